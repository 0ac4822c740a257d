"""Collecting: what is taken lies in a folder that training reads, and nothing is taken twice."""

import os

import cv2
import numpy as np
import pytest

from edge.__main__ import main
from edge.collect import Collector
from edge.contract.errors import InputError, UsageError
from edge.sources import Frame


def scene(seed, noise=0.0):
    blocks = np.random.RandomState(seed).randint(0, 256, (6, 8, 3)).astype(np.float64)
    image = np.kron(blocks, np.ones((40, 40, 1))) + np.random.RandomState(seed + 1).randn(240, 320, 3) * noise
    return np.clip(image, 0, 255).astype(np.uint8)


def frame(image, sequence=0):
    return Frame(sequence, 0, image, "fake")


def test_the_same_scene_with_other_noise_is_taken_once_and_another_scene_is_taken(tmp_path):
    collector = Collector(str(tmp_path), ["cup", "pen"], clock=lambda: 0.0)
    taken = [collector.take("cup", frame(scene(1, noise), n)) for n, noise in enumerate((0, 4, 8))]
    assert taken == [True, False, False]
    assert collector.take("cup", frame(scene(2), 3)) and collector.take("pen", frame(scene(1), 4))
    assert sorted(os.listdir(str(tmp_path / "cup"))) == ["19700101-000000-000000.png", "19700101-000000-000003.png"]
    kept = cv2.imread(str(tmp_path / "cup" / "19700101-000000-000000.png"))
    assert np.array_equal(kept, scene(1)) and (collector.taken, collector.alike) == ({"cup": 2, "pen": 1}, 2)


def test_what_was_taken_before_counts(tmp_path):
    Collector(str(tmp_path), ["cup"]).take("cup", frame(scene(1)))
    assert not Collector(str(tmp_path), ["cup"]).take("cup", frame(scene(1, 4)))


@pytest.mark.parametrize("labels", [[], ["a"] * 10, ["../up"]])
def test_labels_that_cannot_be_are_wrong_use(tmp_path, labels):
    with pytest.raises((UsageError, InputError)):
        Collector(str(tmp_path), labels)


def test_a_folder_that_cannot_be_written_is_a_line(tmp_path):
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(InputError):
        Collector(str(tmp_path / "file"), ["cup"])


def test_the_verb_takes_all_of_a_folder_without_a_board(tmp_path, capsys):
    (tmp_path / "camera").mkdir()
    for number, image in enumerate((scene(1), scene(1, 4), scene(3))):
        cv2.imwrite(str(tmp_path / "camera" / "{}.png".format(number)), image)
    words = [str(tmp_path / "camera"), "--label", "cup", "--out", str(tmp_path / "data"), "--all", "--json"]
    assert main(["--board", "", "collect"] + words) == 0
    assert '"taken": {"cup": 2}' in capsys.readouterr().out
    assert len(os.listdir(str(tmp_path / "data" / "cup"))) == 2
