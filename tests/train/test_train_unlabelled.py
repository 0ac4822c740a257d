"""Pictures without labels: from folders, zips and films, drawn by a seed, and refused where they say nothing."""

import logging
import zipfile
from pathlib import Path

import cv2
import numpy as np
import pytest

from edge.contract.errors import InputError
from edge.contract.spec import ModelSpec
from edge.preprocess import decode_picture, prepare
from train.unlabelled import load_unlabelled

SPEC = ModelSpec("resnet-s", 32, 32, 3, 64, 2)


def noise(seed: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (40, 50, 3), np.uint8)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """12 pictures at several depths, and a file that is none."""
    root = tmp_path / "pictures"
    for i in range(12):
        path = root / ("deep/er" if i % 2 else "") / f"{i:02}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(path), noise(i))
    (root / "notes.txt").write_text("no picture")
    return root


def test_every_picture_under_a_folder_is_prepared_as_the_board_does(folder: Path) -> None:
    steps: list[tuple[int, int]] = []
    found = load_unlabelled(str(folder), SPEC, 100, 0, lambda done, of: steps.append((done, of)))
    assert found.shape == (12, 32, 32, 3) and found.dtype == np.uint8
    paths = sorted(folder.rglob("*.png"), key=lambda path: path.relative_to(folder).as_posix())
    assert np.array_equal(found, np.stack([prepare(decode_picture(str(path)), SPEC) for path in paths]))
    assert steps[-1] == (12, 12) and len(steps) == 12


def test_a_limit_draws_by_the_seed(folder: Path) -> None:
    first, again, other = (load_unlabelled(str(folder), SPEC, 8, seed) for seed in (0, 0, 1))
    assert len(first) == 8 and np.array_equal(first, again) and not np.array_equal(first, other)


def test_a_zip_gives_what_its_folder_gives_and_grey_is_one_channel(tmp_path: Path, folder: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        for path in folder.rglob("*"):
            archive.write(path, path.relative_to(folder))
    spec = SPEC._replace(channels=1)
    found = load_unlabelled(str(tmp_path / "a.zip"), spec, 100, 0)
    assert found.shape == (12, 32, 32, 1)
    assert np.array_equal(found, load_unlabelled(str(folder), spec, 100, 0))


def test_a_film_gives_frames_at_even_distances(tmp_path: Path) -> None:
    path = tmp_path / "film.avi"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), 10, (64, 64))
    for i in range(41):
        frame = np.full((64, 64, 3), 6 * i, np.uint8)
        frame[:32] = 0
        writer.write(frame)
    writer.release()
    found = load_unlabelled(str(path), SPEC, 9, 0)
    assert found.shape == (9, 32, 32, 3)
    assert found[:, -1].mean((1, 2)) == pytest.approx(np.arange(0, 41, 5) * 6, abs=3)


def test_unreadable_pictures_are_left_out_and_counted(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    (folder / "00.png").write_bytes(b"no picture")
    with caplog.at_level(logging.WARNING):
        assert len(load_unlabelled(str(folder), SPEC, 100, 0)) == 11
    assert "1 of 12 pictures cannot be read" in caplog.text


def test_too_few_pictures_or_none_are_refused(tmp_path: Path, folder: Path) -> None:
    for i in range(5):
        (folder / f"{2 * i:02}.png").write_bytes(b"no picture")
    with pytest.raises(InputError, match="7 readable pictures, and 5 that are not; expected at least 8"):
        load_unlabelled(str(folder), SPEC, 100, 0)
    (tmp_path / "empty").mkdir()
    (tmp_path / "film.mp4").write_bytes(b"no film")
    (tmp_path / "a.zip").write_bytes(b"no zip")
    for name, message in (
        ("empty", "has 0 readable"),
        ("film.mp4", "has 0 readable"),
        ("a.zip", "no whole zip"),
        ("none", "has no pictures"),
        ("pictures/notes.txt", "has no pictures"),
    ):
        with pytest.raises(InputError, match=message) as refusal:
            load_unlabelled(str(tmp_path / name), SPEC, 100, 0)
        assert "\n" not in str(refusal.value)


def test_pictures_of_one_colour_each_are_refused(tmp_path: Path) -> None:
    for i in range(10):
        cv2.imwrite(str(tmp_path / f"{i}.png"), np.full((40, 40, 3), (i, 2 * i, 200), np.uint8))
    with pytest.raises(InputError, match="is of one colour"):
        load_unlabelled(str(tmp_path), SPEC, 100, 0)
