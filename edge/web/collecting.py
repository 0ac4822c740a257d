"""Collecting from the page: while a button is held, pictures of what is in view go into a folder for `edgewise train`.

Nothing of it is the loop's: a hold has a thread of its own, so that neither the loop nor a viewer waits for the disk.
"""

import collections
import os
import threading
import time
from contextlib import suppress
from typing import Any, Callable, Dict, Iterator, List, Optional

from edge.collection import Collected, Collection, check_folder_label
from edge.contract.errors import BoardError, EdgewiseError, InputError
from edge.preprocess import decode_picture
from edge.sources import Frame
from edge.web.jpeg import small_jpeg
from edge.web.zip_stream import zip_pieces

MOST = 5000  # pictures in the folder
LEAST_FREE_BYTES = 256 << 20  # of its disk: a full one learns nothing and takes no release
_LISTED = 300  # pictures that the page lists, the newest
_EVERY_S = 0.2  # a picture; faster ones show the same
_LONGEST_S = 60.0  # a hold; its viewer may have gone
_PATIENCE_S = 10.0  # with a disk that hangs
_WIDEST = 128  # pixels of a picture on the page


class _Hold:
    """Pictures of a label that are being taken."""

    def __init__(self, label: str) -> None:
        self.label = label
        self.ids: List[int] = []  # of what was taken
        self.alike = 0  # that were not, since one like them was there
        self.stopped = ""  # what went wrong, as a line
        self.let_go = threading.Event()
        self.thread: Any = None


class Collecting:
    """For any thread."""

    def __init__(
        self,
        folder: str,
        in_view: Callable[[], Optional[Frame]],
        most: int = MOST,
        least_free_bytes: int = LEAST_FREE_BYTES,
    ) -> None:
        """in_view: gives the newest frame, None while the camera is away. Raises InputError for the folder."""
        self._collection = Collection(folder)
        self._in_view = in_view
        self._most = most
        self._least_free_bytes = least_free_bytes
        # By numbers of this run: no path of a request is ever a path of a file
        self._pictures: "collections.OrderedDict[int, Collected]" = collections.OrderedDict(
            enumerate(self._collection.all(), 1)
        )
        self._numbered = len(self._pictures)
        self._hold: Optional[_Hold] = None
        self._newest: List[int] = []  # what the last hold took, until it was taken back
        self._lock = threading.Lock()  # of what is above
        self.changes = 0  # how often the list has changed in this run

    def hold_fields(self) -> Optional[Dict[str, Any]]:
        """What is being taken. Never waits."""
        hold = self._hold
        if hold is None:
            return None
        return {"label": hold.label, "pictures": len(hold.ids), "alike": hold.alike, "stopped": hold.stopped}

    def begin(self, label: str) -> Optional[Dict[str, Any]]:
        """Begins to take what is in view.

        Raises UsageError for an impossible label, BoardError without a frame or room, or while somebody else collects.
        """
        hold, frame = _Hold(check_folder_label(label)), self._in_view()
        if frame is None:
            raise BoardError("no picture is in view", "a camera that delivers", "wait until it is back")
        self._check_room()
        with self._lock:
            if self._hold is not None and self._hold.thread.is_alive():
                raise BoardError(
                    "somebody collects {} already".format(self._hold.label), "one at a time", "wait for the end"
                )
            self._hold = hold
            hold.thread = threading.Thread(target=self._take, args=(hold, frame), name="collect", daemon=True)
            hold.thread.start()
        return self.hold_fields()

    def end(self) -> Dict[str, Any]:
        """Ends the hold; what it took can be taken back as one. Raises BoardError if nobody collects."""
        hold = self._hold
        if hold is None:
            raise BoardError("nobody collects", "a hold that has begun", "hold again")
        hold.let_go.set()
        hold.thread.join(_PATIENCE_S)
        self._let_go(hold)
        done = {"label": hold.label, "ids": list(hold.ids), "alike": hold.alike, "stopped": hold.stopped}
        return dict(done, collected=self.fields())

    def take_back(self) -> Dict[str, Any]:
        """Removes what the last hold took. Raises BoardError if that is nothing, or was taken back."""
        with self._lock:
            ids, self._newest = [each for each in self._newest if each in self._pictures], []
        if not ids:
            raise BoardError("nothing to take back", "a hold that took pictures", "remove them one by one")
        for each in ids:
            self._remove(each)
        return dict(self.fields(), removed=ids)

    def remove(self, number: int) -> Dict[str, Any]:
        """Removes a picture. Raises InputError if it is not there, BoardError if it cannot be removed."""
        self._remove(number)
        return dict(self.fields(), removed=[number])

    def fields(self) -> Dict[str, Any]:
        with self._lock:
            pictures = list(self._pictures.items())
        counts = collections.Counter(picture.label for _, picture in pictures)
        return {
            "folder": self._collection.folder,
            "most": self._most,
            "total": len(pictures),
            "labels": [{"label": label, "pictures": counts[label]} for label in sorted(counts, key=str.lower)],
            "pictures": [
                {"id": number, "label": picture.label, "name": picture.name}
                for number, picture in reversed(pictures[-_LISTED:])
            ],
        }

    def jpeg(self, number: int) -> bytes:
        """A picture, small. Raises InputError if it is not there or no picture."""
        return small_jpeg(decode_picture(self._collection.path(self._found(number))), _WIDEST)

    def zip_pieces(self) -> Iterator[bytes]:
        """All that was collected, as a zip in the layout that `edgewise train` reads."""
        with self._lock:
            pictures = list(self._pictures.values())
        return zip_pieces((picture.label + "/" + picture.name, self._collection.path(picture)) for picture in pictures)

    def close(self) -> None:
        """Ends a hold, if there is one."""
        with suppress(BoardError):
            self.end()

    def _take(self, hold: _Hold, frame: Optional[Frame]) -> None:
        """The hold's thread."""
        ends, newest = time.monotonic() + _LONGEST_S, None
        try:
            self._collection.open_label(hold.label)
            while time.monotonic() < ends:
                if frame is not None and frame is not newest:
                    self._take_one(hold, frame)
                if hold.let_go.wait(_EVERY_S):
                    return
                newest, frame = frame, self._in_view()
            self._let_go(hold)
        except EdgewiseError as error:
            hold.stopped = str(error)

    def _take_one(self, hold: _Hold, frame: Frame) -> None:
        """Raises BoardError without room, InputError as Collection.take."""
        self._check_room()
        picture = self._collection.take(hold.label, frame)
        if picture is None:
            hold.alike += 1
            return
        with self._lock:
            self._numbered += 1
            self._pictures[self._numbered] = picture
            hold.ids.append(self._numbered)
            self.changes += 1

    def _let_go(self, hold: _Hold) -> None:
        with self._lock:
            if self._hold is hold:
                self._hold, self._newest = None, list(hold.ids)

    def _check_room(self) -> None:
        """Raises BoardError where no further picture may be taken."""
        if len(self._pictures) >= self._most:
            raise BoardError(
                "{} pictures are in {}".format(len(self._pictures), self._collection.folder),
                "fewer than {}".format(self._most),
                "download them, and start with another folder",
            )
        try:
            disk = os.statvfs(self._collection.folder)
        except OSError as error:
            raise BoardError(
                "{}: {}".format(self._collection.folder, error.strerror), "the folder as it was", "start again"
            ) from None
        if disk.f_bavail * disk.f_frsize < self._least_free_bytes:
            raise BoardError(
                "the disk of {} has {} MB left".format(self._collection.folder, disk.f_bavail * disk.f_frsize >> 20),
                "at least {} MB".format(self._least_free_bytes >> 20),
                "free some space",
            )

    def _found(self, number: int) -> Collected:
        with self._lock:
            picture = self._pictures.get(number)
        if picture is None:
            raise InputError("there is no picture {}".format(number), "one of the list", "load the page anew")
        return picture

    def _remove(self, number: int) -> None:
        try:
            self._collection.remove(self._found(number))
        except InputError as error:
            if number in self._pictures:
                raise BoardError(error.found, error.expected, error.remedy) from None
            raise
        with self._lock:
            self._pictures.pop(number, None)
            self.changes += 1
