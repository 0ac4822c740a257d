"""Reads every picture of a data set once, and keeps what the other checks need of it: a few hundred bytes a picture."""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from edge.contract.errors import InputError
from train.check.file_marks import FileMarks, read_marks
from train.raw import RawData, RawPart

THUMBNAIL = 16  # pixels a side

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Seen:
    """A picture that can be read."""

    name: str
    part: str
    target: int  # index into the labels
    index: int  # in its part
    digest: bytes  # of its pixels: the same for the same picture in another file
    hash: int  # 64 bits that hardly change when it is resized or compressed
    thumbnail: NDArray[np.uint8]  # (THUMBNAIL, THUMBNAIL) grey


@dataclass(frozen=True)
class Survey:
    pictures: tuple[Seen, ...]
    broken: tuple[tuple[str, str], ...]  # name, why
    turned: tuple[str, ...]  # names of those that only their EXIF tag sets upright


def survey(raw: RawData, see: Callable[[NDArray[np.uint8]], None], progress: Progress) -> Survey:
    """Reads every picture, and shows each that can be read to `see`, in the order of Survey.pictures."""
    pictures: list[Seen] = []
    broken: list[tuple[str, str]] = []
    turned: list[str] = []
    done, total = 0, sum(len(part.targets) for part in raw.parts.values())
    for name, part in raw.parts.items():
        for i, target in enumerate(part.targets):
            marks = read_marks(part.file(i)) if part.file else FileMarks("", False)
            pixels = None if marks.broken else _pixels(part, i)
            if pixels is None:
                broken.append((part.name(i), marks.broken or "OpenCV cannot read it"))
            else:
                pictures.append(describe(pixels, part.name(i), name, int(target), i))
                see(pixels)
                if marks.turned:
                    turned.append(part.name(i))
            done += 1
            progress(done, total)
    return Survey(tuple(pictures), tuple(broken), tuple(turned))


def _pixels(part: RawPart, index: int) -> NDArray[np.uint8] | None:
    try:
        return part.read(index)
    except InputError:
        return None


def describe(pixels: NDArray[np.uint8], name: str, part: str, target: int, index: int) -> Seen:
    """What is kept of a picture. pixels: (H, W), (H, W, 1) or (H, W, 3) uint8. The rest as in Seen."""
    colour = pixels.ndim == 3 and pixels.shape[2] == 3
    grey = np.asarray(cv2.cvtColor(pixels, cv2.COLOR_BGR2GRAY) if colour else pixels, np.uint8)
    digest = hashlib.sha256(f"{pixels.shape}".encode() + np.ascontiguousarray(pixels).tobytes()).digest()[:16]
    small = np.asarray(cv2.resize(grey, (THUMBNAIL, THUMBNAIL), interpolation=cv2.INTER_AREA), np.uint8)
    return Seen(name, part, target, index, digest, perceptual_hash(grey), small)


def perceptual_hash(grey: NDArray[np.uint8]) -> int:
    """pHash (Zauner 2010): which of the 64 slowest waves of a 32 x 32 picture are above their median. grey: (H, W)."""
    small = cv2.resize(grey, (32, 32), interpolation=cv2.INTER_AREA).astype(np.float32)
    waves = cv2.dct(small)[:8, :8].ravel()
    return int.from_bytes(np.packbits(waves > np.median(waves)).tobytes(), "big")
