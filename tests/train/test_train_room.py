"""Where pictures lie while a network trains: in memory or, where they would take most of it, in a file."""

import resource
from pathlib import Path

import cv2
import numpy as np
import pytest

from edge.contract.errors import UsageError
from edge.contract.spec import ModelSpec
from edge.preprocess import prepare
from train import room
from train.data import DataSet, load_data
from train.one_ahead import one_ahead


@pytest.fixture
def photos(tmp_path: Path) -> str:
    """Two classes of 50 pictures, every seventh of them no picture."""
    random = np.random.default_rng(0)
    for label in ("cat", "dog"):
        (tmp_path / "photos" / label).mkdir(parents=True)
        for i in range(50):
            path = tmp_path / "photos" / label / f"{i:02}.png"
            cv2.imwrite(str(path), random.integers(0, 256, (40, 40, 3), np.uint8))
            if not i % 7:
                path.write_bytes(b"no picture")
    return str(tmp_path / "photos")


@pytest.fixture
def no_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(room, "_available", lambda: 1000.0)


def load(photos: str) -> DataSet:
    return load_data(photos, seed=0, size=(32, 32))


def test_pictures_that_take_most_of_the_memory_lie_in_a_file_and_are_the_same(
    photos: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    before = load(photos)
    monkeypatch.setattr(room, "_available", lambda: 1000.0)
    with caplog.at_level("INFO", "edgewise"):
        after = load(photos)
    assert "they lie in a file" in caplog.text
    assert after.skipped == before.skipped
    assert len(after.skipped) == 16
    for name, part in before.parts.items():
        assert np.array_equal(after.parts[name].pixels, part.pixels)
        assert np.array_equal(after.parts[name].targets, part.targets)
        assert after.parts[name].names == part.names


def test_each_picture_keeps_its_name_and_label_where_some_are_unreadable_and_parts_are_cut(photos: str) -> None:
    for part in load(photos).parts.values():
        for pixels, target, name in zip(part.pixels, part.targets, part.names):
            assert np.array_equal(pixels, prepare(cv2.imread(f"{photos}/{name}"), ModelSpec("", 32, 32, 3, 1, 2)))
            assert name.startswith(("cat/", "dog/")[target])


def test_pictures_for_which_neither_memory_nor_disk_has_room_are_one_clear_line(photos: str, no_memory: None) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, hard))
    try:
        with pytest.raises(UsageError, match=r"the pictures take 0\.0 GB, too much for memory and for /var/tmp"):
            load(photos)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_what_is_made_ahead_comes_in_order_and_its_error_where_it_belongs() -> None:
    def items() -> object:
        yield from "ab"
        raise ValueError("after b")

    coming = one_ahead(iter(items()))
    assert [next(coming), next(coming)] == ["a", "b"]
    with pytest.raises(ValueError, match="after b"):
        next(coming)
