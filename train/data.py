"""DATA -> pictures as the board will see them: every source, one pixel arithmetic, one split."""

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, nullcontext, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edge.contract.errors import InputError
from edge.contract.spec import ModelSpec
from edge.preprocess import prepare
from train.arrays import DOWNLOADS, read_digits, read_download, read_npz
from train.folder import open_zip, read_folder
from train.raw import RawData, RawPart
from train.room import make_room
from train.split import cut_parts

Progress = Callable[[int, int], None]  # (pictures done, of all)

_GREY_SAMPLE = 64  # pictures looked at to tell grey from colour
_RUN = 32  # pictures that a thread reads at a time; decoding holds no lock of Python's


@dataclass(frozen=True)
class Pictures:
    pixels: NDArray[np.uint8]  # (N, H, W, C), grey or BGR
    targets: NDArray[np.int64]  # (N,), indices into the labels
    names: tuple[str, ...] = ()  # by which a person finds each: a file's, or a place in an array; empty if unknown

    def name(self, i: int) -> str:
        return self.names[i] if self.names else f"picture {i}"

    def take(self, indices: NDArray[np.int64]) -> "Pictures":
        """Those of `indices`, in that order."""
        names = tuple(self.names[i] for i in indices) if self.names else ()
        return Pictures(self.pixels[indices], self.targets[indices], names)


@dataclass(frozen=True)
class DataSet:
    """What a run learns from and is measured on. `val` is never trained on, and no choice is made on it."""

    train: Pictures
    val: Pictures
    test: Pictures
    labels: tuple[str, ...]
    source: str  # an absolute path, or the name of a known data set
    seed: int  # of the split
    skipped: tuple[str, ...]  # pictures that could not be read or belong to no class

    @property
    def parts(self) -> dict[str, Pictures]:
        return {"train": self.train, "val": self.val, "test": self.test}


def load_data(
    source: str,
    seed: int,
    size: tuple[int, int] = (32, 32),
    channels: int | None = None,
    progress: Progress | None = None,
    downloads: Path | None = None,
) -> DataSet:
    """The data set `source`, every picture through `edge.preprocess.prepare` to `size` (height, width).

    source: `digits`, a name of DOWNLOADS, a folder or zip of class folders (under train/ val/ test/ or alone), or an
    .npz. Parts that are not there are cut from train by `seed` (train/split.py). channels: 1 (grey) or 3 (BGR); None
    takes 1 if a sample of the pictures is grey. downloads: where DOWNLOADS are kept, ~/.cache/edgewise by default.
    Raises InputError.
    """
    with open_data(source, downloads) as raw:
        return prepare_data(raw, seed, size, channels, progress)


def prepare_data(
    raw: RawData,
    seed: int,
    size: tuple[int, int] = (32, 32),
    channels: int | None = None,
    progress: Progress | None = None,
) -> DataSet:
    """As load_data, of pictures that are open."""
    if channels is None:
        channels = 1 if _is_grey(raw.parts["train"]) else 3
    spec = ModelSpec("", *size, channels, 1, len(raw.labels))
    parts, unreadable = _prepare_parts(raw, spec, progress)
    missing = tuple(name for name in ("val", "test") if name not in parts)
    cut = cut_parts(parts["train"].targets, raw.labels, missing, seed, raw.source)
    rest = cut.pop("train")
    parts |= {name: parts["train"].take(indices) for name, indices in cut.items()}
    parts["train"] = _keep(parts["train"], rest)
    return DataSet(**parts, labels=raw.labels, source=raw.source, seed=seed, skipped=raw.skipped + unreadable)


def open_data(source: str, downloads: Path | None = None) -> AbstractContextManager[RawData]:
    """The pictures of `source` as they are, while it is open. Parameters and errors as those of load_data."""
    downloads = downloads or Path.home() / ".cache" / "edgewise"
    if source == "digits":
        return nullcontext(read_digits())
    if source in DOWNLOADS:
        return nullcontext(read_download(source, downloads))
    path = Path(source)
    if path.is_dir():
        return nullcontext(read_folder(path))
    known = ", ".join(("digits", *DOWNLOADS))
    if not path.exists():
        raise InputError(
            f"there is no data set {source!r}", f"a folder, .zip, .npz or one of {known}", "check the path"
        )
    if path.suffix.lower() == ".npz":
        return nullcontext(read_npz(path))
    if path.suffix.lower() == ".zip":
        return open_zip(path)
    raise InputError(f"{source} is no data set", f"a folder, .zip, .npz or one of {known}", "give one of these")


def _is_grey(part: RawPart) -> bool:
    """Whether the readable ones of an even sample have three equal channels, or one."""
    for i in np.linspace(0, len(part.targets) - 1, min(_GREY_SAMPLE, len(part.targets))).astype(int):
        try:
            picture = part.read(int(i))
        except InputError:
            continue
        if picture.ndim == 3 and (picture != picture[..., :1]).any():
            return False
    return True


def _prepare_parts(
    raw: RawData, spec: ModelSpec, progress: Progress | None
) -> tuple[dict[str, Pictures], tuple[str, ...]]:
    """Every part that has readable pictures, and the names of those that are not."""
    parts: dict[str, Pictures] = {}
    unreadable: list[str] = []
    done, total = 0, sum(len(part.targets) for part in raw.parts.values())
    pool = ThreadPoolExecutor(os.cpu_count())
    try:
        for name, part in raw.parts.items():
            count = len(part.targets)
            pixels = make_room((count, spec.height, spec.width, spec.channels))
            readable: list[int] = []
            runs = [range(first, min(first + _RUN, count)) for first in range(0, count, _RUN)]
            for run, read in zip(runs, pool.map(partial(_read_run, part, spec, pixels), runs), strict=True):
                readable += read
                done += len(run)
                if progress:
                    progress(done, total)
            names = tuple(part.name(i).removeprefix(raw.source + " ") for i in range(count))
            unreadable += [part.name(i) for i in sorted(set(range(count)) - set(readable))]
            if readable:
                parts[name] = _keep(Pictures(pixels, part.targets, names), np.array(readable))
    finally:
        pool.shutdown(cancel_futures=True)  # Ctrl-C does not wait for all that is queued
    if "train" not in parts:
        raise InputError(f"none of {len(unreadable)} pictures in {raw.source} is readable", "pictures", "replace them")
    return parts, tuple(unreadable)


def _read_run(part: RawPart, spec: ModelSpec, pixels: NDArray[np.uint8], run: range) -> list[int]:
    """Puts those of `run` that are readable into their rows of `pixels`, and returns which they are."""
    readable = []
    for i in run:
        with suppress(InputError):
            pixels[i] = prepare(part.read(i), spec)
            readable.append(i)
    return readable


def _keep(pictures: Pictures, rows: NDArray[np.int64]) -> Pictures:
    """Those of `rows`, which are sorted, moved together where they lie: there may be no room for a copy."""
    for place, row in enumerate(rows):
        if place != row:
            pictures.pixels[place] = pictures.pixels[row]
    names = tuple(pictures.names[row] for row in rows)
    return Pictures(pictures.pixels[: len(rows)], pictures.targets[rows], names)
