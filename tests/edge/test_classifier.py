"""edge/classifier.py on a real, tiny network in a release folder."""

import os
import shutil

import numpy as np
import pytest
from release_maker import SPEC, signed_manifest, small_files
from tiny_board import FILES, stripes, write_tiny_base

from edge.backbone import open_backbone
from edge.base import write_base
from edge.classifier import open_classifier
from edge.contract.errors import FormatError
from edge.lessons import forget_everything, teach
from edge.pictures import Picture
from edge.release import open_release
from edge.store import open_store


@pytest.fixture
def release(tmp_path):
    """A folder with the tiny network, which knows upright ("cat") from lying ("dog") stripes."""
    folder = tmp_path / "release"
    folder.mkdir()
    (folder / "manifest.json").write_bytes(signed_manifest(small_files(), 1)[0])
    (folder / "labels.txt").write_bytes(b"cat\ndog\n")
    shutil.copy(os.path.join(FILES, "tiny.u8.onnx"), str(folder / "model.u8.onnx"))
    write_tiny_base(str(folder / "model.u8.onnx"), str(folder / "head.npz"))
    return open_release(str(folder))


def test_a_release_classifies_frames_of_any_size_and_what_it_is_taught(release, tmp_path):
    flat = [Picture("flat", np.full((30, 40, 3), level, np.uint8)) for level in (100, 110, 120, 130, 140)]
    with open_store(str(tmp_path / "learned.sqlite")) as store:
        classifier = open_classifier(release, store)
        assert classifier.labels == ("cat", "dog")
        assert classifier.classify(stripes(1, 3, True)[0]).label == "cat"
        assert classifier.classify(stripes(1, 3, False)[0]).label == "dog"
        assert classifier.probabilities(stripes(40, 5, True)).shape == (40, 2)
        teach(open_backbone(release), store, "wall", flat, False, 0.0)
        taught = open_classifier(release, store)
        assert taught.labels == ("cat", "dog", "wall")
        assert taught.classify(np.full((64, 64, 3), 125, np.uint8)).label == "wall"
        assert taught.classify(stripes(1, 3, True)[0]).label == "cat"
        assert classifier.labels == ("cat", "dog")  # as it was when it was opened
        forget_everything(open_backbone(release), store)
        assert open_classifier(release, store).labels == ("cat", "dog")


def test_a_base_with_other_steps_does_not_take_the_codes_of_this_one(release):
    path = release.file("head.npz")
    backbone = open_backbone(release)
    write_base(path, backbone.base._replace(step=backbone.base.step * 2))
    assert open_backbone(release).key != backbone.key


def test_a_release_with_a_head_of_another_model_is_refused(release, tmp_path):
    assert SPEC.features == 4
    base = open_backbone(release).base
    write_base(release.file("head.npz"), base._replace(bias=np.zeros(3, np.float32)))
    with open_store(str(tmp_path / "learned.sqlite")) as store, pytest.raises(FormatError):
        open_classifier(release, store)
