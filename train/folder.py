"""A folder or zip of pictures in class folders, under train/ val/ test/ or alone: torchvision's ImageFolder layout."""

import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath

import numpy as np
from numpy.typing import NDArray

from edge.contract.errors import InputError
from edge.preprocess import decode_bytes
from train.raw import PARTS, RawData, RawPart, check_labels

SUFFIXES = (".bmp", ".jpeg", ".jpg", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp")
MAX_ZIP_MEMBERS = 1_000_000
MAX_PICTURE_BYTES = 64 << 20
_LAYOUT = "class folders with pictures, under train/ val/ test/ or alone"

Read = Callable[[str], bytes]  # the file of that name


def read_folder(folder: Path) -> RawData:
    """The pictures under `folder`. Raises InputError if it holds none in the layout."""
    names, read = list_folder(folder)
    return _arrange(names, read, str(folder.resolve()))


@contextmanager
def open_zip(path: Path) -> Iterator[RawData]:
    """The pictures in the zip at `path` while it is open. Raises InputError as `list_zip`, or for another layout."""
    with list_zip(path) as (names, read):
        yield _arrange(names, read, str(path.resolve()))


def list_folder(folder: Path) -> tuple[list[str], Read]:
    """The pictures under `folder` in the order of their names, relative to it, and what reads one."""
    root = folder.resolve()
    names = (path.relative_to(root).as_posix() for path in root.rglob("*") if path.is_file())
    return sorted(filter(_is_picture, names)), lambda name: (root / name).read_bytes()


@contextmanager
def list_zip(path: Path) -> Iterator[tuple[list[str], Read]]:
    """The pictures in the zip at `path` in order, read by member in memory while it is open: nothing is extracted.

    Raises InputError for what is no whole zip, holds too much or is encrypted.
    """
    source = str(path.resolve())
    try:
        archive = zipfile.ZipFile(path)
    except (zipfile.BadZipFile, OSError) as error:
        raise InputError(f"{source} is no whole zip ({error})", "a zip of pictures", "copy it again") from None
    with archive:
        members = {info.filename: info for info in archive.infolist() if not info.is_dir()}
        if len(members) > MAX_ZIP_MEMBERS:
            raise InputError(f"{source} has {len(members)} files", f"at most {MAX_ZIP_MEMBERS}", "unpack it")
        if any(info.flag_bits & 1 for info in members.values()):
            raise InputError(f"{source} is encrypted", "a zip without a password", "make it again without one")
        yield sorted(filter(_is_picture, members)), lambda name: _read_member(archive, members[name])


def _read_member(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> bytes:
    """At most the `file_size` that the zip states, and with the right checksum; nothing if that is too much."""
    return archive.read(member) if member.file_size <= MAX_PICTURE_BYTES else b""


def decode(name: str, read: Read) -> NDArray[np.uint8]:
    """(H, W, 3) uint8 BGR. Raises InputError if it is unreadable."""
    return np.asarray(decode_bytes(_content(name, read), name), np.uint8)


def _content(name: str, read: Read) -> bytes:
    try:
        return read(name)
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, OSError):
        return b""


def _arrange(pictures: list[str], read: Read, source: str) -> RawData:
    """Makes parts and classes of file names."""
    if not pictures:
        raise InputError(f"{source} holds no pictures", _LAYOUT, "add some, as " + ", ".join(SUFFIXES))
    placed, skipped = _place(pictures)
    classes = sorted({name for name, _ in placed["train"]})
    labels = check_labels(classes, source)
    for part, pairs in placed.items():
        foreign = sorted({name for name, _ in pairs} - set(classes))
        if foreign:
            found = f"{source}: {part}/ has the class {foreign[0]!r}, train/ has not"
            raise InputError(found, "the same classes in each", "move or remove its pictures")
    index = {name: i for i, name in enumerate(classes)}
    parts = {part: _part(pairs, index, read) for part, pairs in placed.items() if pairs}
    return RawData(parts, labels, source, skipped)


def _place(pictures: list[str]) -> tuple[dict[str, list[tuple[str, str]]], tuple[str, ...]]:
    """By part, pairs of a class folder and a file name, and the names that are in no class folder.

    Without a train/ that holds folders, every folder is a class, also one called train.
    """
    top = _wrapper_depth(pictures)
    split = any(folders[0] == "train" for folders in (_folders(name, top) for name in pictures) if len(folders) > 1)
    placed: dict[str, list[tuple[str, str]]] = {part: [] for part in PARTS}
    skipped = []
    for name in pictures:
        folders = _folders(name, top)
        part, below = (folders[0], folders[1:]) if split and folders else ("train", folders)
        if part in placed and below:
            placed[part].append((below[0], name))
        else:
            skipped.append(name)
    return placed, tuple(skipped)


def _part(pairs: list[tuple[str, str]], index: dict[str, int], read: Read) -> RawPart:
    targets = np.array([index[label] for label, _ in pairs], np.int64)
    return RawPart(
        targets,
        read=lambda i: decode(pairs[i][1], read),
        name=lambda i: pairs[i][1],
        file=lambda i: _content(pairs[i][1], read),
    )


def _is_picture(name: str) -> bool:
    path = PurePosixPath(name)
    hidden = any(part.startswith(".") or part == "__MACOSX" for part in path.parts)
    return path.suffix.lower() in SUFFIXES and not hidden


def _folders(name: str, top: int) -> tuple[str, ...]:
    return PurePosixPath(name).parts[top:-1]


def _wrapper_depth(names: list[str]) -> int:
    """How many folders wrap the whole set, as in a zip made of one folder: photos/cat/1.jpg, photos/dog/2.jpg."""
    depth = 0
    while True:
        folders = [_folders(name, depth) for name in names]
        first = folders[0][:1]
        if any(len(f) < 2 or f[:1] != first or f[0] in PARTS for f in folders):
            return depth
        depth += 1
