"""The one door to prometheus_client: what the loop does, as numbers for a monitoring system to collect.

The loop counts in plain numbers, and only a scrape makes prometheus_client's of them: its own counters and histograms
take a lock for each, and cost a frame twice as much (scripts/metrics_cost.py).
"""

import bisect
import itertools
import time
from typing import Any, Callable, Dict, Iterator, List, Mapping, Tuple

from edge.contract.errors import UsageError
from edge.contract.results import FrameResult, SourceState
from edge.loop import Answer

try:
    import prometheus_client
    from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
except ImportError:
    raise UsageError(
        "prometheus_client is not installed",
        "prometheus_client 0.17 or later, which answers for --metrics",
        "run `python3 -m pip install --user prometheus_client` on the board",
    ) from None

_BOUNDS_MS = (1.0, 2.5, 5.0, 10.0, 25.0, 50.0, 100.0, 250.0, 500.0, 1000.0, 2500.0, 5000.0)
_LIVE = "live"


class Metrics:
    """Told by the loop's thread, read by any."""

    content_type = prometheus_client.CONTENT_TYPE_LATEST

    def __init__(self, examples: Callable[[], Mapping[str, int]], clock: Callable[[], float] = time.time) -> None:
        """examples: gives how many there are of each label."""
        self._examples = examples
        self._clock = clock
        self._sources: Dict[str, _Source] = {}
        self._registry = prometheus_client.CollectorRegistry()
        prometheus_client.ProcessCollector(registry=self._registry)  # its process_start_time_seconds tells of restarts
        self._registry.register(self)

    def see(self, answer: Answer) -> None:
        """A frame was classified, or a source came into a state."""
        source = self._sources.get(answer.source)
        if source is None:
            source = self._sources[answer.source] = _Source()
        if isinstance(answer, SourceState):
            source.say(answer.state)
        else:
            source.count(answer, self._clock())

    def text(self) -> bytes:
        """Everything, in the text form of Prometheus."""
        return prometheus_client.generate_latest(self._registry)

    def collect(self) -> Iterator[Any]:
        """What prometheus_client asks for when it makes the text."""
        sources = sorted(self._sources.copy().items())
        for name, text, value in _COUNTERS:
            family = CounterMetricFamily("edgewise_" + name, text, labels=("source",))
            for source, counts in sources:
                family.add_metric((source,), value(counts))
            yield family
        states = CounterMetricFamily(
            "edgewise_source_states", "How often a source came into a state", labels=("source", "state")
        )
        live = GaugeMetricFamily("edgewise_source_live", "Whether a source delivers frames", labels=("source",))
        newest = GaugeMetricFamily(
            "edgewise_last_frame_time_seconds", "When the newest frame was captured, since 1970", labels=("source",)
        )
        age = HistogramMetricFamily(
            "edgewise_frame_age_seconds", "From a frame's capture to its result", labels=("source",)
        )
        stage = HistogramMetricFamily("edgewise_stage_seconds", "What the stages took", labels=("source", "stage"))
        for source, counts in sources:
            for state, count in sorted(counts.states.copy().items()):
                states.add_metric((source, state), count)
            live.add_metric((source,), counts.state == _LIVE)
            newest.add_metric((source,), counts.newest_s)
            age.add_metric((source,), *counts.age.read())
            for name, histogram in (("read", counts.read), ("prepare", counts.prepare), ("infer", counts.infer)):
                stage.add_metric((source, name), *histogram.read())
        examples = GaugeMetricFamily("edgewise_examples", "Examples that were taught on this board", labels=("label",))
        for label, count in sorted(self._examples().items()):
            examples.add_metric((label,), count)
        for family in (states, live, newest, age, stage, examples):
            yield family


class _Source:
    """What was counted of one source."""

    def __init__(self) -> None:
        self.frames = self.dropped = self.unknown = self.unsure = self.reused = 0
        self.state = ""
        self.states: Dict[str, int] = {}
        self.newest_s = 0.0
        self.age, self.read, self.prepare, self.infer = (_Histogram() for _ in range(4))
        self._next = 0  # the sequence number that follows

    def say(self, state: str) -> None:
        if state != self.state:
            self.state = state
            self.states[state] = self.states.get(state, 0) + 1

    def count(self, result: FrameResult, now_s: float) -> None:
        if self.frames and result.sequence > self._next:
            self.dropped += result.sequence - self._next
        self._next = result.sequence + 1
        self.frames += 1
        self.unknown += result.unknown
        self.unsure += not result.sure
        self.reused += result.reused
        self.newest_s = now_s - result.age_ms / 1e3
        self.age.add(result.age_ms)
        self.read.add(result.read_ms)
        self.prepare.add(result.prepare_ms)
        if not result.reused:  # else the network rested
            self.infer.add(result.infer_ms)


_COUNTERS: Tuple[Tuple[str, str, Callable[[_Source], int]], ...] = (
    ("frames", "Frames that were classified", lambda source: source.frames),
    ("frames_dropped", "Frames that a newer one replaced, or that were black", lambda source: source.dropped),
    ("frames_unknown", "Classified frames that were unlike everything known", lambda source: source.unknown),
    ("frames_unsure", "Classified frames whose score was below --min-score", lambda source: source.unsure),
    ("frames_reused", "Classified frames in which nothing had moved", lambda source: source.reused),
)


class _Histogram:
    """Durations, added in milliseconds and read in seconds."""

    def __init__(self) -> None:
        self._counts = [0] * (len(_BOUNDS_MS) + 1)
        self._sum_ms = 0.0

    def add(self, duration_ms: float) -> None:
        self._counts[bisect.bisect_left(_BOUNDS_MS, duration_ms)] += 1
        self._sum_ms += duration_ms

    def read(self) -> Tuple[List[Tuple[str, int]], float]:
        """Each bound with the count of what is not above it, as Prometheus has them, and the sum in seconds."""
        bounds = ["{:g}".format(bound / 1e3) for bound in _BOUNDS_MS] + ["+Inf"]
        return list(zip(bounds, itertools.accumulate(self._counts))), self._sum_ms / 1e3
