"""A frame, and an open source of them."""

import threading
import time
from typing import Any, Callable, Iterator, List, NamedTuple, Optional

import numpy as np

ASSUMED_FRAMES_PER_SECOND = 25.0  # of a camera or film that does not say
_CLOSE_WAIT_S = 1.0


class Frame(NamedTuple):
    sequence: int  # at its source, from 0
    captured_ns: int  # monotonic clock when it was there, before decoding
    image: np.ndarray  # (H, W, 3) uint8 BGR
    name: str  # file name, device or address


class Source:
    """An open source. `read` belongs to one thread at a time; `close` may come from another."""

    def __init__(
        self,
        frames: Iterator[Frame],
        release: Callable[[], Any],
        live: bool,
        frames_per_second: float = ASSUMED_FRAMES_PER_SECOND,
        remarks: Optional[List[str]] = None,
        interrupt: Callable[[], Any] = lambda: None,
    ) -> None:
        """`frames` raises SourceError or InputError when they stop for a bad reason. `release` is called once.

        interrupt: makes a read that is under way in another thread return, where that can be done.
        """
        self.live = live  # True: frames come in their own time, and an old one is worth nothing
        self.frames_per_second = frames_per_second  # at which a film of the frames shows them
        self.remarks = [] if remarks is None else remarks  # lines for a person, complete once closed
        self._frames = frames
        self._release = release
        self._interrupt = interrupt
        self._reading = threading.Lock()
        self._closing = False
        self._released = False

    def read(self) -> Optional[Frame]:
        """The next frame, or None at the end. Raises SourceError, InputError."""
        with self._reading:
            try:
                return None if self._closing else next(self._frames, None)
            finally:
                if self._closing:
                    self._release_once()

    def close(self) -> None:
        """Lets the camera or file go: at once, or after a read of a file that hangs, under which OpenCV would crash."""
        self._closing = True
        self._interrupt()
        if self._reading.acquire(timeout=_CLOSE_WAIT_S):
            try:
                self._release_once()
            finally:
                self._reading.release()

    def _release_once(self) -> None:
        if not self._released:
            self._released = True
            self._release()

    def __enter__(self) -> "Source":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def monotonic_ns() -> int:
    """time.monotonic_ns, which Python 3.6 has not. All processes of a machine have this clock in common."""
    return int(time.monotonic() * 1e9)
