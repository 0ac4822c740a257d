"""What happened before the camera lately: each change of the answer that lasted, with a small picture, in memory."""

import collections
import threading
import time
from typing import Any, Callable, Deque, Dict, List, NamedTuple, Optional

from edge.contract.results import FrameResult, answer
from edge.lasting import Lasting
from edge.sources import Frame
from edge.web.jpeg import small_jpeg

KEPT = 60
_WIDEST = 160  # pixels of an event's picture


class _Event(NamedTuple):
    id: int
    at_s: float  # since 1970
    kind: str  # seen, or a state of the camera
    text: str
    score: Optional[float]
    jpeg: bytes


class Events:
    """The loop's thread writes, any other reads."""

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self._events: Deque[_Event] = collections.deque(maxlen=KEPT)  # the newest last
        self._made = 0
        self._lasting = Lasting()
        self._lock = threading.Lock()

    def see(self, frame: Frame, result: FrameResult) -> None:
        if self._lasting.see(result):
            self._add("seen", answer(result), result.score, small_jpeg(frame.image, _WIDEST))

    def say(self, kind: str, text: str) -> None:
        """The camera came or went."""
        self._lasting.begin_anew()
        self._add(kind, text, None, b"")

    def all(self) -> List[Dict[str, Any]]:
        """The newest first."""
        with self._lock:
            events = list(self._events)
        return [
            {
                "id": event.id,
                "at_s": round(event.at_s, 3),
                "kind": event.kind,
                "text": event.text,
                "score": event.score if event.score is None else round(event.score, 4),
                "has_picture": bool(event.jpeg),
            }
            for event in reversed(events)
        ]

    def count(self) -> int:
        """How many there have been: another number, another list."""
        return self._made

    def jpeg(self, event: int) -> Optional[bytes]:
        """The picture of the event with this id; None if it has none, or is gone."""
        with self._lock:
            found = [each.jpeg for each in self._events if each.id == event]
        return found[0] if found and found[0] else None

    def _add(self, kind: str, text: str, score: Optional[float], jpeg: bytes) -> None:
        with self._lock:
            self._made += 1
            self._events.append(_Event(self._made, self._clock(), kind, text, score, jpeg))
