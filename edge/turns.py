"""What lies between the threads that read the sources and the loop: of each source one slot, or a short queue.

A live source's slot holds its newest frame; a film's queue holds the next few, all of which are taken. Sources with
something to take have turns. A frame that has waited in its slot is left for the next one where that is about to come:
a loop slower than its camera would else answer with frames that are up to a whole interval old.
"""

import collections
import threading
import time
from typing import Any, Deque, Dict, List, NamedTuple, Optional, Sequence

from edge.contract.results import SourceState

_DEPTH = 4  # frames of a film that are read ahead
_WAIT_SHARE = 0.1  # of the time since a frame was taken, for a newer one: the most that it slows the loop
_LATE = 1.25  # intervals after a frame: the next one no longer is to be counted on
_STALE_S = 1.0  # without a new frame, what a live source showed last is no longer what is there


class Taken(NamedTuple):
    index: int  # of the source
    item: Any  # what was put there, or a SourceState


class Turns:
    """`put`, `tell` and `end` belong to the reading threads, `take` and `stop` to the loop's."""

    def __init__(self, newest_only: Sequence[bool]) -> None:
        self._newest_only = tuple(newest_only)
        self._items: List[Deque[Any]] = [collections.deque() for _ in newest_only]
        self._told: Deque[Taken] = collections.deque()
        self._latest: Dict[int, SourceState] = {}
        self._fed: Dict[int, float] = {}  # when a live source last gave a frame
        self._interval: Dict[int, float] = {}  # from the frame before to that one
        self._left: Dict[int, float] = {}  # live sources whose frame is left for the next one, and until when
        self._taken = time.monotonic()  # when a frame last was
        self._going = len(self._items)
        self._error: Optional[Exception] = None
        self._next = 0
        self._stopped = False
        self._changed = threading.Condition()

    def put(self, index: int, item: Any) -> bool:
        """Hands over what a source gave, blocking while its queue is full. False: nobody takes any more."""
        items = self._items[index]
        with self._changed:
            if self._newest_only[index]:
                items.clear()
                now = time.monotonic()
                self._interval[index] = now - self._fed.get(index, now)
                self._fed[index] = now
                self._left.pop(index, None)
                self._no_longer_stale(index)
            while len(items) >= _DEPTH and not self._stopped:
                self._changed.wait()
            items.append(item)
            self._changed.notify_all()
            return not self._stopped

    def tell(self, index: int, state: SourceState) -> None:
        """Says how a source is; it comes before any frame, and takes the place of what it said in the same state."""
        with self._changed:
            self._tell(index, state)
            self._changed.notify_all()

    def end(self, error: Optional[Exception] = None) -> None:
        """A source has no more frames; of an `error` the loop hears after what was put before it."""
        with self._changed:
            self._going -= 1
            self._error = self._error or error
            self._changed.notify_all()

    def stop(self) -> None:
        """Nobody takes any more."""
        with self._changed:
            self._stopped = True
            self._changed.notify_all()

    @property
    def stopped(self) -> bool:
        return self._stopped

    def pause(self, seconds: float) -> None:
        """Waits, or until nobody takes any more."""
        with self._changed:
            self._changed.wait_for(lambda: self._stopped, seconds)

    def take(self, timeout_s: float) -> Optional[Taken]:
        """The next frame or state; the states of sources without frames again, when nothing comes for `timeout_s`.

        None when all sources have ended; raises what ended one of them.
        """
        with self._changed:
            asked = time.monotonic()
            until = asked + timeout_s
            self._left = self._about_to_be_newer(asked)
            while True:
                self._find_stale()
                if self._told:
                    return self._told.popleft()
                taken = self._turn()
                if taken is not None:
                    self._taken = time.monotonic()
                    self._changed.notify_all()
                    return taken
                if self._left:
                    if not self._changed.wait(max(0.0, max(self._left.values()) - time.monotonic())):
                        self._left.clear()
                    continue
                if self._error is not None:
                    raise self._error
                if self._going == 0:
                    return None
                if not self._changed.wait(max(0.0, until - time.monotonic())):
                    until = time.monotonic() + timeout_s
                    self._told.extend(Taken(*each) for each in self._latest.items() if each[1].state != "live")

    def _tell(self, index: int, state: SourceState) -> None:
        last = self._told[-1] if self._told else None
        if last and last.index == index and last.item.state == state.state:
            self._told.pop()
        self._told.append(Taken(index, state))
        self._latest[index] = state

    def _find_stale(self) -> None:
        now = time.monotonic()
        for index, fed in self._fed.items():
            if now - fed > _STALE_S and self._latest[index].state == "live":
                why = "{}: no new frame for {:g} s".format(self._latest[index].source, _STALE_S)
                self._tell(index, self._latest[index]._replace(state="stale", why=why))

    def _no_longer_stale(self, index: int) -> None:
        if self._latest[index].state == "stale":
            self._tell(index, self._latest[index]._replace(state="live", why=""))

    def _turn(self) -> Optional[Taken]:
        """From the source after the one that was last: none waits while another has two turns."""
        count = len(self._items)
        for step in range(count):
            index = (self._next + step) % count
            if self._items[index] and index not in self._left:
                self._next = index + 1
                return Taken(index, self._items[index].popleft())
        return None

    def _about_to_be_newer(self, now: float) -> Dict[int, float]:
        """The live sources whose next frame is worth waiting for, and when it no longer is to be counted on."""
        longest = now + _WAIT_SHARE * (now - self._taken)
        late = {index: self._fed[index] + _LATE * interval for index, interval in self._interval.items()}
        return {index: at for index, at in late.items() if self._items[index] and now < at <= longest}
