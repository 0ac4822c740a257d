"""The rows of fine-tuning's speed: which pictures each loop gets, and that a ratio is of turns taken side by side."""

import zipfile
from pathlib import Path

import numpy as np

from bench.train_loops import BATCH, PHOTOS, TUTORIAL
from bench.train_speed import extract, speed_row


def test_the_first_pictures_of_each_class_are_taken_of_the_parts_that_are_named(tmp_path: Path) -> None:
    names = [f"{part}/{label}/{i}.jpg" for part in ("train", "val", "test") for label in "ab" for i in range(4)]
    with zipfile.ZipFile(tmp_path / "all.zip", "w") as pictures:
        for name in [*names, "README"]:
            pictures.writestr(name, b"")
    extract(tmp_path / "all.zip", tmp_path / "out", {"train": None, "val": 2})
    found = sorted(str(path.relative_to(tmp_path / "out")) for path in (tmp_path / "out").rglob("*.jpg"))
    assert found == sorted([*names[:8], "val/a/0.jpg", "val/a/1.jpg", "val/b/0.jpg", "val/b/1.jpg"])


def test_a_ratio_is_of_turns_taken_side_by_side() -> None:
    theirs = np.array([[2.0, 1.5], [20.0, 1.5], [4.0, 1.5]])  # seconds: of the clock, of processor time
    seconds = {TUTORIAL: theirs, PHOTOS: theirs / np.array([2.0, 1.5])}
    row = speed_row("so", seconds, PHOTOS, TUTORIAL, "command")
    assert (row.value, row.must, row.holds) == (2.0, ">= 1.3", True)
    assert "by processor time 1.50" in row.unit and row.peers == {TUTORIAL: f"{BATCH / 4:.1f} a second"}
