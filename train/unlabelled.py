"""Pictures without labels, as the board will see them: what quantization is tuned on where there is no data set."""

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from edge.contract.errors import InputError
from edge.contract.spec import ModelSpec
from edge.preprocess import prepare
from train.data import Progress
from train.folder import Read, decode, list_folder, list_zip

MIN_PICTURES = 8
FILMS = (".avi", ".m4v", ".mkv", ".mov", ".mp4", ".webm")
_KEY_FRAMES = 250  # a usual distance of theirs: over less, a seek decodes more than going on would
_LOG = logging.getLogger("edgewise.train")

Picture = Callable[[], NDArray[np.uint8]]  # gives (H, W, 3) uint8 BGR, or raises InputError if it is unreadable


def load_unlabelled(
    source: str, spec: ModelSpec, limit: int, seed: int, progress: Progress | None = None
) -> NDArray[np.uint8]:
    """At most `limit` pictures of `source`: (N, height, width, channels) uint8, through `edge.preprocess.prepare`.

    source: a folder or zip with pictures at any depth, of which the seed draws, or a film, of which frames are taken
    at even distances. What cannot be read is left out and counted in the log. Raises InputError if fewer than
    MIN_PICTURES are left, or if each is of one colour.
    """
    prepared = []
    with _open(Path(source), limit, seed) as pictures:
        for done, picture in enumerate(pictures, 1):
            try:
                prepared.append(prepare(picture(), spec))
            except InputError:
                continue
            finally:
                if progress:
                    progress(done, len(pictures))
    unreadable = len(pictures) - len(prepared)
    if len(prepared) < MIN_PICTURES:
        found = f"{source} has {len(prepared)} readable pictures, and {unreadable} that are not"
        raise InputError(found, f"at least {MIN_PICTURES}", "add pictures like the camera's")
    if all((pixels == pixels[:1, :1]).all() for pixels in prepared):
        raise InputError(f"each picture of {source} is of one colour", "what the camera will see", "check the source")
    if unreadable:
        _LOG.warning("%s: %d of %d pictures cannot be read", source, unreadable, len(pictures))
    return np.stack(prepared)


@contextmanager
def _open(path: Path, limit: int, seed: int) -> Iterator[list[Picture]]:
    suffix = path.suffix.lower()
    if path.is_dir():
        names, read = list_folder(path)
        yield _draw(names, read, limit, seed)
    elif path.is_file() and suffix == ".zip":
        with list_zip(path) as (names, read):
            yield _draw(names, read, limit, seed)
    elif path.is_file() and suffix in FILMS:
        with _open_film(path) as (film, frames):
            chosen = np.linspace(0, frames - 1, min(limit, frames)).astype(int)
            yield [partial(_frame, film, int(index)) for index in chosen]
    else:
        expected = "a folder or zip of pictures, or a film as " + ", ".join(FILMS)
        raise InputError(f"{path} has no pictures", expected, "check the path")


def _draw(names: list[str], read: Read, limit: int, seed: int) -> list[Picture]:
    chosen = sorted(np.random.default_rng(seed).permutation(len(names))[:limit])
    return [partial(decode, names[index], read) for index in chosen]


@contextmanager
def _open_film(path: Path) -> Iterator[tuple[cv2.VideoCapture, int]]:
    """The film and the number of its frames, 0 where it is no film that OpenCV can read."""
    film = cv2.VideoCapture(str(path))
    try:
        yield film, max(0, int(film.get(cv2.CAP_PROP_FRAME_COUNT))) if film.isOpened() else 0
    finally:
        film.release()


def _frame(film: cv2.VideoCapture, index: int) -> NDArray[np.uint8]:
    ahead = index - int(film.get(cv2.CAP_PROP_POS_FRAMES))
    if 0 <= ahead <= _KEY_FRAMES:
        for _ in range(ahead):
            film.grab()
    else:
        film.set(cv2.CAP_PROP_POS_FRAMES, index)
    found, frame = film.read()
    if not found:
        raise InputError(f"frame {index} cannot be read", "a whole film", "leave it out")
    return np.asarray(frame, np.uint8)
