"""The rows of `edgewise check`: faults planted in TrashNet's five classes and in animals, and how many it finds.

Into them go 20 broken files, 30 copies within train, 10 copies from train in test and 30 pictures of train under
another class. Copies are resized, compressed, brightened or cut a little. What check finds in the pictures as they are
is not counted, but its labels to look at compete with the planted ones for the first 60 places. Of the animals, 20 are
turned: rubbish on a table has no upright.
"""

import tempfile
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from bench.rows import Row
from edge.preprocess import decode_bytes
from train.check.findings import Findings, look_through
from train.data import open_data

_BROKEN, _COPIES, _LEAKS, _FLIPPED = 20, 30, 10, 30
_TURNED = 20
_SUSPECTS, _LEAST_FLIPPED = 60, 21  # of the 30, among so many suspects

Picture = NDArray[np.uint8]
Pair = frozenset[str]


@dataclass(frozen=True)
class Planted:
    """Names, as `check` has them; of copies, with the name of what they are copies of."""

    broken: frozenset[str]
    copies: tuple[Pair, ...]
    leaks: tuple[Pair, ...]
    flipped: frozenset[str]


def planted_rows(pictures: Path, seed: int, command: str, progress: Callable[[str, int, int], None]) -> list[Row]:
    """pictures: trashnet_256.zip."""
    counts = _found(pictures, seed, progress)
    claims = (
        ("broken files", _BROKEN, _BROKEN),
        ("copies in train", _COPIES, _COPIES),
        ("copies of train in test", _LEAKS, _LEAKS),
        (f"flipped labels, in the first {_SUSPECTS}", _FLIPPED, _LEAST_FLIPPED),
    )
    rows = []
    for (what, planted, least), count in zip(claims, counts, strict=True):
        must = f"all {planted}" if least == planted else f">= {least}"
        rows.append(Row(f"check: {what}", count, f"of {planted} planted", must, count >= least, command))
    return rows


def turned_row(pictures: Path, seed: int, command: str, progress: Callable[[str, int, int], None]) -> Row:
    """pictures: animals_photo.zip."""
    with tempfile.TemporaryDirectory() as scratch:
        with zipfile.ZipFile(pictures) as archive:
            archive.extractall(scratch)
        planted = turn(Path(scratch), np.random.default_rng(seed))
        with open_data(scratch) as raw:
            found = look_through(raw, progress)
    told = {found.survey.pictures[each.picture].name: each.turn for each in found.sideways}
    right = sum(told.get(name) == degrees for name, degrees in planted.items())
    others: dict[str, float | str] = {"pictures named that were not turned": len(told.keys() - planted.keys())}
    name = "check: pictures turned, named with the turn that sets them upright"
    return Row(name, right, f"of {_TURNED} planted", "", None, command, others)


def turn(folder: Path, random: np.random.Generator) -> dict[str, int]:
    """Turns pictures of folder/PART/CLASS/*.jpg against the clock. Returns by how many degrees, by name."""
    paths = sorted(folder.glob("*/*/*.jpg"))
    turned = {}
    for path in random.permutation(np.array(paths))[:_TURNED]:
        quarters = int(random.integers(1, 4))
        picture = np.ascontiguousarray(np.rot90(decode_bytes(path.read_bytes(), path.name), quarters))
        cv2.imwrite(str(path), picture, [cv2.IMWRITE_JPEG_QUALITY, 90])
        turned[path.relative_to(folder).as_posix()] = 90 * quarters
    return turned


def _found(pictures: Path, seed: int, progress: Callable[[str, int, int], None]) -> tuple[int, int, int, int]:
    """How many broken files, copies, leaks and flipped labels are found."""
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch) / "pictures"
        with zipfile.ZipFile(pictures) as archive:
            archive.extractall(folder, [name for name in archive.namelist() if "/trash/" not in name])
        planted = plant(folder, np.random.default_rng(seed))
        with open_data(str(folder)) as raw:
            return count_found(planted, look_through(raw, progress))


def count_found(planted: Planted, found: Findings) -> tuple[int, int, int, int]:
    leaks = [{seen.name for seen in group} for group in found.leaks]
    groups = [{seen.name for seen in group} for group in (*found.leaks, *found.copies, *found.contradictions)]
    suspects = {found.survey.pictures[suspect.picture].name for suspect in found.suspects[:_SUSPECTS]}
    return (
        len(planted.broken & {name for name, _ in found.survey.broken}),
        sum(any(pair <= group for group in groups) for pair in planted.copies),
        sum(any(pair <= group for group in leaks) for pair in planted.leaks),
        len(planted.flipped & suspects),
    )


def plant(folder: Path, random: np.random.Generator) -> Planted:
    """Changes the pictures of folder/train/CLASS/*.jpg, and adds some to train and test."""
    train = sorted(folder.glob("train/*/*.jpg"))
    picked = iter([train[i] for i in random.permutation(len(train))])

    def name(path: Path) -> str:
        return path.relative_to(folder).as_posix()

    broken = [next(picked) for _ in range(_BROKEN)]
    for i, path in enumerate(broken):
        path.write_bytes(_WAYS_TO_BREAK[i % len(_WAYS_TO_BREAK)](path.read_bytes()))
    pairs = []
    for i in range(_COPIES + _LEAKS):
        path = next(picked)
        copy = folder / ("train" if i < _COPIES else "test") / path.parent.name / f"copy-{i}.jpg"
        changed = WAYS_TO_COPY[i % len(WAYS_TO_COPY)](decode_bytes(path.read_bytes(), path.name))
        cv2.imwrite(str(copy), changed, [cv2.IMWRITE_JPEG_QUALITY, 80])
        pairs.append(frozenset((name(path), name(copy))))
    flipped = frozenset(name(path) for path in _flip(picked, sorted((folder / "train").iterdir())))
    return Planted(frozenset(map(name, broken)), tuple(pairs[:_COPIES]), tuple(pairs[_COPIES:]), flipped)


def _flip(picked: Iterator[Path], classes: list[Path]) -> Iterator[Path]:
    """Moves pictures into other classes' folders, and gives where they are then."""
    for i in range(_FLIPPED):
        path = next(picked)
        other = classes[(classes.index(path.parent) + 1 + i % (len(classes) - 1)) % len(classes)]
        yield path.rename(other / f"moved-{i}.jpg")


_WAYS_TO_BREAK: tuple[Callable[[bytes], bytes], ...] = (
    lambda data: b"",
    lambda data: data[: len(data) // 2],
    lambda data: data[: len(data) - 200],
    lambda data: b"<html>404 not found</html>",
    lambda data: bytes(len(data)),
)
WAYS_TO_COPY: tuple[Callable[[Picture], Picture], ...] = (
    lambda picture: picture,
    lambda picture: np.asarray(cv2.resize(picture, None, fx=0.6, fy=0.6, interpolation=cv2.INTER_AREA), np.uint8),
    lambda picture: np.asarray(cv2.convertScaleAbs(picture, alpha=1.15, beta=8), np.uint8),
    lambda picture: np.ascontiguousarray(picture[3:-3, 3:-3]),
)
