"""One thread reads the source; the loop takes the newest frame of a camera, and every frame of a film."""

import collections
import contextlib
import threading
from typing import Deque, Iterator, Optional

import numpy as np

from edge.contract.errors import SourceError
from edge.sources import Frame, Source

_DEPTH = 4  # frames of a film that are read ahead
_JOIN_S = 1.0


class Handover:
    """What lies between the reading thread and the loop: one slot where the newest wins, or a short queue."""

    def __init__(self, newest_only: bool) -> None:
        self._newest_only = newest_only
        self._frames: Deque[Frame] = collections.deque()
        self._error: Optional[Exception] = None
        self._ended = False
        self._stopped = False
        self._changed = threading.Condition()

    def put(self, frame: Frame) -> bool:
        """Hands a frame over, blocking while the queue is full. False: nobody takes frames any more."""
        with self._changed:
            if self._newest_only:
                self._frames.clear()
            while len(self._frames) >= _DEPTH and not self._stopped:
                self._changed.wait()
            self._frames.append(frame)
            self._changed.notify_all()
            return not self._stopped

    def end(self, error: Optional[Exception] = None) -> None:
        """There are no more frames, because of `error` if there is one."""
        with self._changed:
            self._ended, self._error = True, error
            self._changed.notify_all()

    def stop(self) -> None:
        """Nobody takes frames any more."""
        with self._changed:
            self._stopped = True
            self._changed.notify_all()

    def take(self, timeout_s: Optional[float] = None) -> Optional[Frame]:
        """The next frame, or None at the end.

        Raises SourceError when none comes for `timeout_s`, and whatever ended the frames, after the last of them.
        """
        with self._changed:
            if not self._changed.wait_for(lambda: bool(self._frames) or self._ended, timeout_s):
                raise SourceError(
                    "the camera has delivered nothing for {:g} s".format(timeout_s),
                    "a frame",
                    "check its cable and power, then start again",
                )
            if self._frames:
                frame = self._frames.popleft()
                self._changed.notify_all()
                return frame
            if self._error is not None:
                raise self._error
            return None


def refuse_frozen(frames: Iterator[Frame], after_s: float) -> Iterator[Frame]:
    """Passes frames on. Raises SourceError when their bytes have not changed for `after_s`: a sensor's noise does."""
    first: Optional[Frame] = None  # of those with the same bytes
    for frame in frames:
        if first is None or not _same_bytes(first.image, frame.image):
            first = frame
        elif frame.captured_ns - first.captured_ns >= after_s * 1e9:
            raise SourceError(
                "{} has delivered the same bytes for {:g} s".format(frame.name, after_s),
                "a picture that changes, if only by its noise",
                "uncover the lens, or plug the camera in again",
            )
        yield frame


@contextlib.contextmanager
def capturing(source: Source, timeout_s: float, frozen_s: float) -> Iterator[Iterator[Frame]]:
    """The frames of `source`, read in a thread of their own, which ends with the `with` block.

    A live source's frames raise SourceError when none comes for `timeout_s` or all are the same for `frozen_s`. A
    read that never returns keeps its thread, a daemon, until it does.
    """
    handover = Handover(newest_only=source.live)
    thread = threading.Thread(target=_read_all, args=(source, handover, frozen_s), name="capture", daemon=True)
    thread.start()
    wait_s = timeout_s if source.live else None  # a slow disk is no error
    try:
        yield iter(lambda: handover.take(wait_s), None)
    finally:
        handover.stop()
        thread.join(_JOIN_S)


def _read_all(source: Source, handover: Handover, frozen_s: float) -> None:
    frames: Iterator[Frame] = iter(source.read, None)
    if source.live:
        frames = refuse_frozen(frames, frozen_s)
    try:
        for frame in frames:
            if not handover.put(frame):
                break
    except Exception as error:  # noqa: BLE001  whatever it is, the loop is to hear of it
        handover.end(error)
    else:
        handover.end()


def _same_bytes(one: np.ndarray, other: np.ndarray) -> bool:
    """A few rows tell most frames apart."""
    return np.array_equal(one[::16], other[::16]) and np.array_equal(one, other)
