"""Room for a data set's pictures: memory, or, where they would take most of it, a file that the system pages in."""

import logging
import math
import mmap
import os
import tempfile
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edge.contract.errors import UsageError

_SHARE = 0.5  # of the memory that is available: a network wants some, too
_MEMINFO = Path("/proc/meminfo")
_FOLDER = Path("/var/tmp")  # noqa: S108  /tmp may itself be memory, and the file has no name

_log = logging.getLogger("edgewise")


def make_room(shape: tuple[int, ...]) -> NDArray[np.uint8]:
    """A writable array of `shape`, whose content is undefined. A file has no name and goes with the array.

    Raises UsageError where neither memory nor disk has that much room.
    """
    size = math.prod(shape)
    if size <= _SHARE * _available():
        return np.empty(shape, np.uint8)
    folder = _FOLDER if _FOLDER.is_dir() else Path(tempfile.gettempdir())
    try:
        with tempfile.TemporaryFile(dir=folder) as file:
            os.posix_fallocate(file.fileno(), 0, size)  # a hole that cannot be filled later would be a SIGBUS
            room = mmap.mmap(file.fileno(), size)
    except OSError as error:
        raise UsageError(
            f"the pictures take {size / 1e9:.1f} GB, too much for memory and for {folder} ({error.strerror})",
            "room in one of the two",
            "make room, or train on smaller pictures (--size)",
        ) from None
    _log.info("the pictures take %.1f GB: they lie in a file in %s until this ends", size / 1e9, folder)
    return np.frombuffer(room, np.uint8).reshape(shape)


def _available() -> float:
    """Bytes that programs can have without swapping, as Linux estimates them; elsewhere the system has to page."""
    if not _MEMINFO.exists():
        return math.inf
    lines = (line.split() for line in _MEMINFO.read_text().splitlines())
    return 1024 * next((int(words[1]) for words in lines if words[0] == "MemAvailable:"), 0)
