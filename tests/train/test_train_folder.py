"""Folders and zips of pictures: layouts, parts, what is skipped and what is refused."""

import struct
import zipfile
import zlib
from pathlib import Path

import cv2
import numpy as np
import pytest

from edge.contract.errors import InputError
from train.data import load_data


def png(value: int, size: tuple[int, int] = (12, 12), colour: bool = False) -> bytes:
    """A grey picture, or one with a blue cast."""
    picture = np.full((*size, 3), value, np.uint8)
    if colour:
        picture[..., 0] = 255 - value
    return bytes(cv2.imencode(".png", picture)[1])


def write_files(folder: Path, files: dict[str, bytes]) -> Path:
    for name, data in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    return folder


def write_zip(path: Path, files: dict[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return path


def boundless_png() -> bytes:
    """A PNG whose header promises 100,000 x 100,000 pixels, at which OpenCV raises its own error."""

    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    header = struct.pack(">IIBBBBB", 100_000, 100_000, 8, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"0")) + chunk(b"IEND", b"")


def two_classes(count: int = 10, colour: bool = False, prefix: str = "") -> dict[str, bytes]:
    return {
        f"{prefix}{label}/{i}.png": png(base + i, colour=colour)
        for label, base in (("cat", 20), ("dog", 200))
        for i in range(count)
    }


def test_class_folders_alone_are_split_70_10_20_class_by_class(tmp_path: Path) -> None:
    data = load_data(str(write_files(tmp_path, two_classes(20))), seed=0)
    assert data.labels == ("cat", "dog")
    for part, count in (("train", 14), ("val", 2), ("test", 4)):
        assert np.bincount(data.parts[part].targets).tolist() == [count, count]
    assert data.source == str(tmp_path.resolve())


def test_no_picture_is_in_two_parts(tmp_path: Path) -> None:
    data = load_data(str(write_files(tmp_path, two_classes(20))), seed=3)
    values = np.concatenate([part.pixels[:, 0, 0, 0] for part in data.parts.values()])
    assert sorted(values.tolist()) == sorted([20 + i for i in range(20)] + [200 + i for i in range(20)])


def test_the_split_depends_on_the_seed_alone(tmp_path: Path) -> None:
    folder = str(write_files(tmp_path, two_classes(20)))
    first, again, other = (load_data(folder, seed).test.pixels for seed in (0, 0, 1))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


def test_given_parts_are_kept_and_only_the_missing_one_is_cut(tmp_path: Path) -> None:
    files = two_classes(10, prefix="train/") | two_classes(5, prefix="test/")
    data = load_data(str(write_files(tmp_path, files)), seed=0)
    assert [len(part.targets) for part in data.parts.values()] == [18, 2, 10]


def test_a_zip_gives_the_same_pictures_as_its_folder_also_within_one_outer_folder(tmp_path: Path) -> None:
    files = two_classes(10, prefix="train/") | two_classes(5, prefix="val/") | two_classes(5, prefix="test/")
    folder = load_data(str(write_files(tmp_path / "folder", files)), seed=0)
    plain = load_data(str(write_zip(tmp_path / "a.zip", files)), seed=0)
    outer = {"photos/" + name: data for name, data in files.items()} | {"__MACOSX/photos/._0.png": b"x"}
    wrapped = load_data(str(write_zip(tmp_path / "b.zip", outer)), seed=0)
    for data in (plain, wrapped):
        assert data.skipped == ()
        for name, part in data.parts.items():
            assert np.array_equal(part.pixels, folder.parts[name].pixels)
            assert np.array_equal(part.targets, folder.parts[name].targets)


def test_a_class_may_be_called_train(tmp_path: Path) -> None:
    files = two_classes(4) | {f"train/{i}.png": png(i) for i in range(4)}
    assert load_data(str(write_files(tmp_path, files)), seed=0).labels == ("cat", "dog", "train")


@pytest.mark.parametrize(("colour", "channels"), [(False, 1), (True, 3)])
def test_grey_pictures_make_one_channel_and_coloured_ones_three(tmp_path: Path, colour: bool, channels: int) -> None:
    folder = str(write_files(tmp_path, two_classes(4, colour)))
    assert load_data(folder, seed=0).train.pixels.shape == (4, 32, 32, channels)
    assert load_data(folder, seed=0, channels=4 - channels).train.pixels.shape[3] == 4 - channels


def test_unreadable_and_stray_pictures_are_skipped_and_named(tmp_path: Path) -> None:
    odd = {"cat/broken.jpg": b"\xff\xd8\xff", "cat/empty.png": b"", "stray.png": png(1), "notes.txt": b"x"}
    files = two_classes(6) | odd | {"dog/boundless.png": boundless_png()}
    for source in (write_files(tmp_path / "folder", files), write_zip(tmp_path / "a.zip", files)):
        data = load_data(str(source), seed=0)
        assert sorted(data.skipped) == ["cat/broken.jpg", "cat/empty.png", "dog/boundless.png", "stray.png"]
        assert sum(len(part.targets) for part in data.parts.values()) == 12


def test_a_zip_member_with_a_wrong_checksum_is_skipped(tmp_path: Path) -> None:
    files = two_classes(6) | {"cat/flipped.png": png(77, (5, 5))}
    path = write_zip(tmp_path / "a.zip", files)
    path.write_bytes(path.read_bytes().replace(files["cat/flipped.png"], files["cat/flipped.png"][:-1] + b"?", 1))
    assert load_data(str(path), seed=0).skipped == ("cat/flipped.png",)


def test_zip_names_that_point_outside_are_left_alone_and_nothing_is_written(tmp_path: Path) -> None:
    path = write_zip(tmp_path / "a.zip", two_classes(5) | {"../cat/1.png": png(1)})
    data = load_data(str(path), seed=0, channels=1)
    assert sum(len(part.targets) for part in data.parts.values()) == 10
    assert [entry.name for entry in tmp_path.iterdir()] == ["a.zip"]


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({}, "holds no pictures"),
        ({"cat/notes.txt": b"x"}, "holds no pictures"),
        ({"1.png": png(1), "2.png": png(2)}, "has no class"),
        ({f"cat/{i}.png": png(i) for i in range(9)}, "has one class, 'cat'"),
        (
            two_classes(5) | {"emu/1.png": png(1)},
            "'emu' has 1 readable training pictures; expected at least 3",
        ),
        ({"cat/1.png": b"x", "dog/1.png": b"x"}, "none of 2 pictures"),
        (two_classes(5, prefix="train/") | {"test/emu/1.png": png(1)}, "test/ has the class 'emu'"),
        (two_classes(5) | {"e\u0301mu/1.png": png(1), "\u00e9mu/1.png": png(1)}, "has the class '\u00e9mu' twice"),
    ],
)
def test_a_set_that_cannot_be_learnt_from_is_refused(tmp_path: Path, files: dict[str, bytes], message: str) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    for source in (write_files(folder, files), write_zip(tmp_path / "a.zip", files)):
        with pytest.raises(InputError) as refusal:
            load_data(str(source), seed=0)
        assert message in str(refusal.value)
        assert "\n" not in str(refusal.value)


def test_a_truncated_and_a_foreign_zip_are_refused(tmp_path: Path) -> None:
    whole = write_zip(tmp_path / "a.zip", two_classes(5)).read_bytes()
    for data in (whole[: len(whole) // 2], b"", b"no zip at all"):
        path = tmp_path / "b.zip"
        path.write_bytes(data)
        with pytest.raises(InputError, match="is no whole zip"):
            load_data(str(path), seed=0)


def test_a_missing_path_is_refused_with_the_names_that_are_known(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="digits, cifar10, fashionmnist, kmnist, mnist"):
        load_data(str(tmp_path / "nowhere"), seed=0)
    (tmp_path / "a.tar").write_bytes(b"x")
    with pytest.raises(InputError, match="is no data set"):
        load_data(str(tmp_path / "a.tar"), seed=0)


def test_progress_rises_to_the_number_of_pictures(tmp_path: Path) -> None:
    seen: list[tuple[int, int]] = []
    load_data(
        str(write_files(tmp_path, two_classes(40))), seed=0, progress=lambda done, total: seen.append((done, total))
    )
    assert seen == [(32, 80), (64, 80), (80, 80)]
