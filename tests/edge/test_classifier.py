"""edge/classifier.py on a real, tiny network in a release folder."""

import os
import shutil

import numpy as np
import pytest
from release_maker import SPEC, signed_manifest, small_files

from edge.backbone import open_backbone
from edge.base import Rows, make_base, write_base
from edge.classifier import open_classifier
from edge.contract.errors import FormatError
from edge.engine import Engine
from edge.lessons import forget_everything, teach
from edge.pictures import Picture
from edge.release import open_release
from edge.store import open_store

FILES = os.path.join(os.path.dirname(os.path.abspath(__file__)), "files")


def _stripes(count, seed, upright):
    """(count, 8, 8, 1) uint8."""
    random = np.random.RandomState(seed)
    across = 40 + 170 * (np.arange(8) % 2)
    pattern = np.tile(across, (8, 1)) if upright else np.tile(across[:, np.newaxis], (1, 8))
    return np.clip(pattern + random.randn(count, 8, 8) * 12, 0, 255).astype(np.uint8)[..., np.newaxis]


@pytest.fixture
def release(tmp_path):
    """A folder with the tiny network, which knows upright ("cat") from lying ("dog") stripes."""
    folder = tmp_path / "release"
    folder.mkdir()
    (folder / "manifest.json").write_bytes(signed_manifest(small_files(), 1)[0])
    (folder / "labels.txt").write_bytes(b"cat\ndog\n")
    shutil.copy(os.path.join(FILES, "tiny.u8.onnx"), str(folder / "model.u8.onnx"))
    pixels = np.concatenate([_stripes(30, 1, True), _stripes(30, 2, False)])
    targets = np.repeat([0, 1], 30)
    features, _ = Engine(str(folder / "model.u8.onnx")).run(pixels)
    rows = np.concatenate([features, np.ones((60, 1), np.float32)], axis=1)
    fitted = np.linalg.lstsq(rows, np.eye(2)[targets] * 8, rcond=None)[0]
    parts = [Rows(features[start::3], targets[start::3]) for start in range(3)]
    base = make_base(*parts, weights=fitted[:-1], bias=fitted[-1], seed=0)
    write_base(str(folder / "head.npz"), base)
    return open_release(str(folder))


def test_a_release_classifies_frames_of_any_size_and_what_it_is_taught(release, tmp_path):
    flat = [Picture("flat", np.full((30, 40, 3), level, np.uint8)) for level in (100, 110, 120, 130, 140)]
    with open_store(str(tmp_path / "learned.sqlite")) as store:
        classifier = open_classifier(release, store)
        assert classifier.labels == ("cat", "dog")
        assert classifier.classify(_stripes(1, 3, True)[0]).label == "cat"
        assert classifier.classify(_stripes(1, 3, False)[0]).label == "dog"
        assert classifier.probabilities(_stripes(40, 5, True)).shape == (40, 2)
        teach(open_backbone(release), store, "wall", flat, False, 0.0)
        taught = open_classifier(release, store)
        assert taught.labels == ("cat", "dog", "wall")
        assert taught.classify(np.full((64, 64, 3), 125, np.uint8)).label == "wall"
        assert taught.classify(_stripes(1, 3, True)[0]).label == "cat"
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
