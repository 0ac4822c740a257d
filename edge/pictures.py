"""Files and folders of pictures -> arrays, with a list of what could not be read."""

import os
from typing import List, NamedTuple, Sequence, Tuple

import numpy as np

from edge.contract.errors import InputError
from edge.preprocess import decode_picture


class Picture(NamedTuple):
    source: str  # its path
    image: np.ndarray  # (H, W, 3) uint8 BGR


class Skipped(NamedTuple):
    source: str
    why: str


def read_pictures(places: Sequence[str]) -> Tuple[List[Picture], List[Skipped]]:
    """The pictures at `places`, files or folders (with all below them), in sorted order within a folder.

    What is no picture is skipped and said. Raises InputError if nothing could be read.
    """
    pictures, skipped = [], []
    for path in _files(places):
        try:
            pictures.append(Picture(path, decode_picture(path)))
        except InputError as error:
            skipped.append(Skipped(path, error.found))
    if not pictures:
        found = "{} files, none a picture: {}".format(len(skipped), skipped[0].why) if skipped else "no files"
        raise InputError(found, "JPEG, PNG, BMP or WebP pictures", "check the path")
    return pictures, skipped


def folder_label(source: str) -> str:
    """The label that a picture's folder names."""
    return os.path.basename(os.path.dirname(os.path.abspath(source)))


def _files(places: Sequence[str]) -> List[str]:
    found = []
    for place in places:
        if not os.path.isdir(place):
            found.append(place)
        for folder, folders, names in os.walk(place):
            folders.sort()
            found += [os.path.join(folder, name) for name in sorted(names) if not name.startswith(".")]
    return found
