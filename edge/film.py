"""Writes a film that is there whole or not at all."""

import os
from typing import Optional, Tuple

import cv2
import numpy as np

from edge.contract.errors import BoardError, InputError, UsageError
from edge.sources.opencv import quiet_opencv

_CODECS = {".mp4": "mp4v", ".avi": "MJPG"}  # what every OpenCV with FFmpeg can write


class FilmWriter:
    """A film in the making, under another name in the same folder. Leaving `with` by an error removes it."""

    def __init__(self, writer: cv2.VideoWriter, part: str, path: str, size: Tuple[int, int]) -> None:
        self.frames = 0
        self._writer = writer
        self._part = part
        self._path = path
        self._size = size

    def write(self, image: np.ndarray) -> None:
        """Adds an (height, width, 3) uint8 BGR frame. Raises InputError for another size, which OpenCV leaves out."""
        width, height = self._size
        if image.shape != (height, width, 3) or image.dtype != np.uint8:
            raise InputError(
                "a frame of {} {}".format(image.dtype, image.shape),
                "uint8 ({}, {}, 3)".format(height, width),
                "resize it",
            )
        self._writer.write(image)
        self.frames += 1

    def close(self) -> None:
        """Gives the film its name. Raises InputError if it has no frame, BoardError if not all reached the disk."""
        self._writer.release()
        try:
            if self.frames == 0:
                raise InputError("{} was given no frame".format(self._path), "at least one", "check the source")
            arrived = _count_frames(self._part)  # OpenCV reports no failed write
            if arrived != self.frames:
                raise BoardError(
                    "{} of {} frames reached {}".format(arrived, self.frames, self._path),
                    "all",
                    "make room on the disk",
                )
            os.replace(self._part, self._path)
        except BaseException:
            self.discard()
            raise

    def discard(self) -> None:
        """Removes what was written."""
        self._writer.release()
        if os.path.exists(self._part):
            os.remove(self._part)

    def __enter__(self) -> "FilmWriter":
        return self

    def __exit__(self, kind: Optional[type], *_: object) -> None:
        if kind is None:
            self.close()
        else:
            self.discard()


def open_film(path: str, frames_per_second: float, size: Tuple[int, int]) -> FilmWriter:
    """A film to write to. size: (width, height), both even.

    Raises UsageError for an ending, a size or a folder that cannot be, BoardError if this OpenCV cannot write it.
    """
    stem, ending = os.path.splitext(path)
    if ending.lower() not in _CODECS:
        raise UsageError("the film's name {}".format(path), "one that ends in .mp4 or .avi", "choose another name")
    if min(size) < 2 or size[0] % 2 or size[1] % 2:
        raise UsageError("a film of {} x {} pixels".format(*size), "an even width and height", "choose another size")
    folder = os.path.dirname(path) or "."
    if not os.path.isdir(folder) or not os.access(folder, os.W_OK):
        raise UsageError("the film's folder {}".format(folder), "a folder that you may write to", "make it first")
    quiet_opencv()
    part = stem + ".part" + ending
    codec = _CODECS[ending.lower()]
    writer = cv2.VideoWriter(part, cv2.VideoWriter_fourcc(*codec), frames_per_second, size)
    film = FilmWriter(writer, part, path, size)
    if not writer.isOpened():
        film.discard()
        raise BoardError(
            "this OpenCV cannot write {} films with the codec {}".format(ending, codec),
            "an OpenCV with FFmpeg or GStreamer",
            "try the ending {}".format(".avi" if codec == "mp4v" else ".mp4"),
        )
    return film


def _count_frames(path: str) -> int:
    capture = cv2.VideoCapture(path)
    try:
        return int(capture.get(cv2.CAP_PROP_FRAME_COUNT)) if capture.isOpened() else 0
    finally:
        capture.release()
