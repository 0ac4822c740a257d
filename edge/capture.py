"""A thread for each source: it reads, prepares and judges frames beside the loop, and opens again what was lost."""

import contextlib
import threading
import time
from typing import Any, Callable, Iterator, List, NamedTuple, Optional, Sequence

import cv2
import numpy as np

from edge.contract.errors import EdgewiseError, SourceError
from edge.contract.results import SourceState
from edge.health import BLACK, FROZEN, LIVE, Health
from edge.sources import Feed, Frame, Source, monotonic_ns
from edge.turns import Turns

LOST = "lost"
_LOOK_EVERY_S = 0.25  # for what plainly is not there; looking costs next to nothing
_JOIN_S = 2.0
_WHY = {
    FROZEN: "{}: the same bytes for {:g} s; it is opened again",
    BLACK: "{}: a black picture; uncover its lens, or wait for light",
}


class Patience(NamedTuple):
    """How long a live source is waited for."""

    first_retry_s: float = 0.5  # after an opening that failed; doubled each time
    longest_retry_s: float = 15.0
    frozen_s: float = 5.0  # the same bytes for so long are no picture


PATIENCE = Patience()


class Ready(NamedTuple):
    """A frame that only has to be classified."""

    frame: Frame
    prepared: Any  # what `prepare` made of its image
    read_ms: float
    prepare_ms: float


@contextlib.contextmanager
def capturing(
    feeds: Sequence[Feed], prepare: Callable[[np.ndarray], Any], patience: Patience, told: List[str]
) -> Iterator[Turns]:
    """The frames of `feeds`, each read in a thread of its own, which ends with the `with` block.

    Turns gives Ready and SourceState. What the sources remarked at their end is added to `told`. A thread in a read of
    a file that never returns stays, a daemon, until it does; what is live is read by processes, which are ended.
    OpenCV keeps to these threads from now on: a resize would wait for its pool's, which the network leaves no core.
    """
    cv2.setNumThreads(1)
    turns = Turns([feed.live for feed in feeds])
    threads = [Reading(turns, index, feed, prepare, patience, told) for index, feed in enumerate(feeds)]
    for thread in threads:
        thread.start()
    try:
        yield turns
    finally:
        turns.stop()
        for thread in threads:
            thread.interrupt()
        until = time.monotonic() + _JOIN_S
        for thread in threads:
            thread.join(max(0.0, until - time.monotonic()))


class Reading(threading.Thread):
    """The thread of one feed."""

    def __init__(
        self,
        turns: Turns,
        index: int,
        feed: Feed,
        prepare: Callable[[np.ndarray], Any],
        patience: Patience,
        told: List[str],
    ) -> None:
        super(Reading, self).__init__(name="capture", daemon=True)
        self._turns = turns
        self._index = index
        self._feed = feed
        self._prepare = prepare
        self._patience = patience
        self._told = told
        self._health = Health(patience.frozen_s)
        self._state = ""
        self._tries = 0  # in this state
        self._retry_s = patience.first_retry_s
        self._count = 0  # frames that were numbered
        self._source: Optional[Source] = None

    def interrupt(self) -> None:
        """Makes a read that is under way return; called after the turns have stopped."""
        source = self._source
        if source is not None:
            source.close()

    def run(self) -> None:
        try:
            if self._feed.live:
                self._read_for_ever()
            else:
                self._read_once()
        except Exception as error:  # noqa: BLE001  whatever it is, the loop is to hear of it
            self._turns.end(error)
        else:
            self._turns.end()

    def _read_once(self) -> None:
        with self._opened() as source:
            self._say(LIVE, "", source.frames_per_second)
            for frame in iter(source.read, None):
                if not self._hand_over(frame):
                    break
        self._told.extend(source.remarks)

    def _read_for_ever(self) -> None:
        while not self._turns.stopped:
            try:
                self._feed.look()
            except SourceError as error:
                self._say(LOST, str(error))
                self._turns.pause(_LOOK_EVERY_S)
                continue
            try:
                self._read_live()
            except EdgewiseError as error:
                self._say(LOST, str(error))
                self._health.forget()
            self._turns.pause(self._retry_s)
            self._retry_s = min(2 * self._retry_s, self._patience.longest_retry_s)

    def _read_live(self) -> None:
        """Until nobody takes its frames, or it is frozen. Raises SourceError when it delivers no more."""
        with self._opened() as source:
            first = self._count
            for frame in iter(source.read, None):
                frame = frame._replace(sequence=first + frame.sequence)
                self._count = frame.sequence + 1
                health = self._health.see(frame)
                if health == LIVE:
                    self._retry_s = self._patience.first_retry_s
                    if self._state != LIVE:
                        self._say(LIVE, "", source.frames_per_second)
                    if not self._hand_over(frame):
                        return
                else:
                    self._say(health, _WHY[health].format(self._feed.name, self._patience.frozen_s))
                    if health == FROZEN:
                        return
        raise SourceError("{} ended".format(self._feed.name), "frames without end", "check the camera")

    @contextlib.contextmanager
    def _opened(self) -> Iterator[Source]:
        with self._feed.open() as source:
            self._source = source
            if self._turns.stopped:  # between being opened and being known to interrupt()
                source.close()
            yield source

    def _hand_over(self, frame: Frame) -> bool:
        read = time.perf_counter()
        read_ms = (monotonic_ns() - frame.captured_ns) / 1e6
        prepared = self._prepare(frame.image)
        return self._turns.put(self._index, Ready(frame, prepared, read_ms, (time.perf_counter() - read) * 1e3))

    def _say(self, state: str, why: str, frames_per_second: float = 0.0) -> None:
        self._tries = self._tries + 1 if state == self._state else 1
        self._state = state
        self._turns.tell(self._index, SourceState(self._feed.name, state, why, self._tries, frames_per_second))
