"""`run --profile`: where the time of each frame went, with onnxruntime's own profile, as one Chrome trace.

The form is the Trace Event Format's array of complete events; chrome://tracing and ui.perfetto.dev show it.
"""

import collections
import json
import os
import time
from typing import Any, Callable, Deque, Dict, List

from edge.contract.errors import InputError
from edge.contract.files import write_whole
from edge.contract.results import FrameResult
from edge.sources import monotonic_ns

_KEPT = 5000  # the last frames: a trace of more is slow to look at
_LOOP = "loop"
_PROCESSES = ((0, "edgewise"), (1, "onnxruntime"))


class Trace:
    """Takes results one by one; `write` makes the file."""

    def __init__(self, clock_ns: Callable[[], int] = monotonic_ns) -> None:
        self._clock_ns = clock_ns
        self._results: Deque[Any] = collections.deque(maxlen=_KEPT)

    def add(self, result: FrameResult) -> None:
        """After everything was done with it, so that showing, writing and learning are in the trace, too."""
        self._results.append((result, self._clock_ns()))

    def events(self) -> List[Dict[str, Any]]:
        """Complete events in microseconds of the monotonic clock: what read a frame in a row, the loop in another."""
        found = []
        for result, done_ns in self._results:
            about = {"source": result.source, "frame": result.sequence, "label": result.label}
            start, named = result.captured_ns / 1e3, result.captured_ns / 1e3 + result.age_ms * 1e3
            read, prepare, infer = result.read_ms * 1e3, result.prepare_ms * 1e3, result.infer_ms * 1e3
            for row, name, at, took in (
                (result.source, "read", start, read),
                (result.source, "prepare", start + read, prepare),
                (_LOOP, "infer", named - infer, infer),
                (_LOOP, "use", named, done_ns / 1e3 - named),
            ):
                found.append({"name": name, "ph": "X", "ts": at, "dur": took, "pid": 0, "tid": row, "args": about})
        return found

    def write(self, path: str, engine_profile: str, engine_started_ns: int) -> int:
        """Writes the trace; returns how many events it has. Raises InputError where it cannot be written.

        engine_profile: the file that onnxruntime wrote, which is removed; its times are microseconds from
        engine_started_ns of the system's clock, as get_profiling_start_time_ns() says.
        """
        shift = (engine_started_ns - (int(time.time() * 1e9) - self._clock_ns())) / 1e3
        with open(engine_profile, encoding="utf-8") as file:
            engine = [dict(event, ts=event["ts"] + shift, pid=1) for event in json.load(file) if "ts" in event]
        os.unlink(engine_profile)
        events = self.events()
        first = min([event["ts"] for event in events] or [shift])
        kept = events + [event for event in engine if event["ts"] >= first - 1e6]
        names = [{"name": "process_name", "ph": "M", "pid": n, "args": {"name": name}} for n, name in _PROCESSES]
        try:
            write_whole(path, json.dumps({"traceEvents": names + kept}).encode("ascii"))
        except OSError as error:
            raise InputError("{}: {}".format(path, error.strerror), "a file to write", "name another") from None
        return len(kept)
