"""What the page shows of the loop: the newest frame with its result, or what is wrong with the camera. For any thread.

The loop's thread writes and never waits for a viewer. A picture is compressed when a viewer wants it, once for all.
"""

import collections
import threading
import time
from typing import Any, Callable, Deque, Dict, NamedTuple, Optional

from edge.contract.results import FrameResult, result_to_dict
from edge.sources import Frame, monotonic_ns
from edge.web.events import Events
from edge.web.jpeg import small_jpeg

LIVE, STARTING, LENT = "live", "starting", "lent"  # besides what edge.contract.results.SourceState has
_WIDEST = 640  # pixels of the picture that is sent
_QUALITY = 78
_SPEED_OVER_S = 3.0


class Newest(NamedTuple):
    number: int  # of frames shown; their own numbers begin again when a camera comes back
    frame: Frame
    result: FrameResult


class Scene:
    def __init__(
        self,
        clock: Callable[[], float] = time.time,
        clock_ns: Callable[[], int] = monotonic_ns,
    ) -> None:
        """clock_ns: the clock that stamps the frames."""
        self.events = Events(clock)
        self.on_change: Callable[[], None] = lambda: None  # called in the loop's thread
        self._clock_ns = clock_ns
        self._newest: Optional[Newest] = None
        self._state = {"name": STARTING, "line": ""}
        self._shown_at: Deque[int] = collections.deque()  # ns, of the last seconds
        self._speed = 0.0  # frames a second
        self._jpeg = (0, b"")  # of which number
        self._lock = threading.Lock()  # of the compression

    def show(self, frame: Frame, result: FrameResult) -> None:
        """A frame was classified."""
        number = self._newest.number + 1 if self._newest else 1
        self._newest = Newest(number, frame, result)
        self._speed = self._measured_speed()
        self.events.see(frame, result)
        if self._state["name"] != LIVE:
            self._say(LIVE, "")
        self.on_change()

    def say(self, name: str, line: str) -> None:
        """There are no frames, and why."""
        if self._state != {"name": name, "line": line}:
            self._say(name, line)
            self.on_change()

    def in_view(self) -> Optional[Frame]:
        """The newest frame, unless the camera is away."""
        newest = self._newest
        return newest.frame if newest and self._state["name"] == LIVE else None

    def newest(self) -> Optional[Newest]:
        """None before the first frame."""
        return self._newest

    def now(self, newest: Optional[Newest]) -> Dict[str, Any]:
        """Its result as a line of `run --json`, its age now, frames a second, and the camera's state."""
        result = None
        if newest:
            result = dict(result_to_dict(newest.result), name=newest.frame.name)
            result["age_ms"] = round((self._clock_ns() - newest.result.captured_ns) / 1e6, 1)
        return {"state": self._state, "result": result, "frames_per_second": round(self._speed, 1)}

    def jpeg(self, newest: Newest) -> bytes:
        """Its picture, at most 640 wide; the same one for all who ask."""
        with self._lock:
            if self._jpeg[0] != newest.number:
                self._jpeg = (newest.number, small_jpeg(newest.frame.image, _WIDEST, _QUALITY))
            return self._jpeg[1]

    def _measured_speed(self) -> float:
        times, now_ns = self._shown_at, self._clock_ns()
        times.append(now_ns)
        while now_ns - times[0] > _SPEED_OVER_S * 1e9:
            times.popleft()
        return (len(times) - 1) * 1e9 / (now_ns - times[0]) if now_ns > times[0] else 0.0

    def _say(self, name: str, line: str) -> None:
        self._state = {"name": name, "line": line}
        self.events.say(name, line)
