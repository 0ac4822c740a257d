"""A folder of pictures in the layout that `edgewise train` reads: what is taken into it, and out of it again."""

import os
import time
from contextlib import suppress
from typing import Callable, Dict, List, NamedTuple, Optional

import cv2
import numpy as np

from edge.contract.errors import InputError, UsageError
from edge.contract.files import write_whole
from edge.contract.labels import check_label
from edge.preprocess import decode_picture
from edge.sources import Frame
from edge.sources.files import PICTURE_ENDINGS

_SIDE = 16  # of the small grey pictures that are compared
_ALIKE = 3.0  # of 255, mean difference: the same scene again, but for a sensor's noise and a hand's shake


class Collected(NamedTuple):
    """A picture of the collection."""

    label: str
    name: str  # of the file in the label's folder


def check_folder_label(text: str) -> str:
    """As check_label, for a label that is a folder's name, too. Raises UsageError for one that `train` would hide."""
    label = check_label(text)
    if label.startswith(".") or label == "__MACOSX":
        raise UsageError("the label {!a}".format(label), "a folder's name that is not hidden", "choose another name")
    return label


class Collection:
    """FOLDER/LABEL/TIME-NUMBER.png, without two pictures of a label that are alike. For one writer at a time."""

    def __init__(self, folder: str, clock: Callable[[], float] = time.time) -> None:
        """Raises InputError for a folder that cannot be had."""
        self.folder = folder
        self._clock = clock
        self._small: Dict[str, Dict[str, np.ndarray]] = {}  # by label and name, of the labels that are open
        _make(folder)

    def all(self) -> List[Collected]:
        """What is there, the oldest first as far as its name says so."""
        found = []
        for label in os.listdir(self.folder):
            with suppress(UsageError, OSError):
                found += [Collected(check_folder_label(label), name) for name in _pictures(self._place(label))]
        return sorted(found, key=lambda picture: (picture.name, picture.label))

    def path(self, picture: Collected) -> str:
        return os.path.join(self._place(picture.label), picture.name)

    def open_label(self, label: str) -> None:
        """Makes the label's folder. What is in it counts, and is read once. Raises InputError."""
        if label in self._small:
            return
        place = self._place(label)
        _make(place)
        small = {}
        for name in _pictures(place):
            with suppress(InputError):  # what cannot be read is like nothing
                small[name] = _shrunk(decode_picture(os.path.join(place, name)))
        # A page's viewer may have removed one meanwhile
        self._small[label] = {name: small[name] for name in small if os.path.exists(os.path.join(place, name))}

    def take(self, label: str, frame: Frame) -> Optional[Collected]:
        """Writes the frame as `label`, which is open; None if one like it is there. Raises InputError."""
        small, there = _shrunk(frame.image), self._small[label]
        if any(np.abs(small - other).mean() < _ALIKE for other in list(there.values())):
            return None
        picture = Collected(label, self._free_name(frame.sequence, there))
        path = self.path(picture)
        try:
            write_whole(path, cv2.imencode(".png", frame.image)[1].tobytes())
        except OSError as error:
            raise InputError("{}: {}".format(path, error.strerror), "room for a picture", "free some space") from None
        there[picture.name] = small
        return picture

    def remove(self, picture: Collected) -> None:
        """Raises InputError where it cannot be removed; that it is gone already is no error."""
        try:
            with suppress(FileNotFoundError):
                os.unlink(self.path(picture))
        except OSError as error:
            raise InputError(
                "{}: {}".format(self.path(picture), error.strerror), "a file that you may remove", "check its owner"
            ) from None
        self._small.get(picture.label, {}).pop(picture.name, None)

    def _place(self, label: str) -> str:
        return os.path.join(self.folder, label)

    def _free_name(self, number: int, there: Dict[str, np.ndarray]) -> str:
        """A board without a battery may live through the same second twice, so the next number is tried, too."""
        stamp = time.strftime("%Y%m%d-%H%M%S", time.gmtime(self._clock()))
        while "{}-{:06d}.png".format(stamp, number) in there:
            number += 1
        return "{}-{:06d}.png".format(stamp, number)


def _make(folder: str) -> None:
    try:
        os.makedirs(folder, exist_ok=True)
        os.listdir(folder)
    except OSError as error:
        raise InputError(
            "{}: {}".format(folder, error.strerror), "a folder that you may write to", "choose another"
        ) from None


def _pictures(place: str) -> List[str]:
    return [name for name in sorted(os.listdir(place)) if name.lower().endswith(PICTURE_ENDINGS)]


def _shrunk(image: np.ndarray) -> np.ndarray:
    """(16, 16) int16, grey."""
    grey = cv2.cvtColor(image, cv2.COLOR_BGR2GRAY)
    return cv2.resize(grey, (_SIDE, _SIDE), interpolation=cv2.INTER_AREA).astype(np.int16)
