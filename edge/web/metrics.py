"""The one door to prometheus_client: what the loop does, as numbers for a monitoring system to collect."""

import time
from typing import Any, Callable, Dict, Iterator, Mapping, NamedTuple, Optional

from edge.contract.errors import UsageError
from edge.contract.results import SourceState
from edge.loop import Answer

try:
    import prometheus_client
    from prometheus_client.core import GaugeMetricFamily
except ImportError:
    raise UsageError(
        "prometheus_client is not installed",
        "prometheus_client 0.17 or later, which counts for --metrics",
        "run `python3 -m pip install --user prometheus_client` on the board",
    ) from None

_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)
_LIVE = "live"


class _Families(NamedTuple):
    """What is counted for each source."""

    frames: Any
    dropped: Any
    unknown: Any
    unsure: Any
    reused: Any
    states: Any
    live: Any
    last_frame: Any
    age: Any
    stage: Any


def _families(registry: Any) -> _Families:
    def made(kind: Any, name: str, text: str, *labels: str, **more: Any) -> Any:
        return kind("edgewise_" + name, text, ("source",) + labels, registry=registry, **more)

    counter, gauge, histogram = prometheus_client.Counter, prometheus_client.Gauge, prometheus_client.Histogram
    return _Families(
        frames=made(counter, "frames", "Frames that were classified"),
        dropped=made(counter, "frames_dropped", "Frames that a newer one replaced, or that were black"),
        unknown=made(counter, "frames_unknown", "Classified frames that were unlike everything known"),
        unsure=made(counter, "frames_unsure", "Classified frames whose score was below --min-score"),
        reused=made(counter, "frames_reused", "Classified frames in which nothing had moved"),
        states=made(counter, "source_states", "How often a source came into a state", "state"),
        live=made(gauge, "source_live", "Whether a source delivers frames"),
        last_frame=made(gauge, "last_frame_time_seconds", "When the newest frame was captured, since 1970"),
        age=made(histogram, "frame_age_seconds", "From a frame's capture to its result", buckets=_SECONDS),
        stage=made(histogram, "stage_seconds", "What the stages took", "stage", buckets=_SECONDS),
    )


class Metrics:
    """Told by the loop's thread, read by any."""

    content_type = prometheus_client.CONTENT_TYPE_LATEST

    def __init__(self, examples: Callable[[], Mapping[str, int]], clock: Callable[[], float] = time.time) -> None:
        """examples: gives how many there are of each label."""
        self._clock = clock
        self._registry = prometheus_client.CollectorRegistry()
        prometheus_client.ProcessCollector(registry=self._registry)  # its process_start_time_seconds tells of restarts
        self._registry.register(_Examples(examples))
        self._families = _families(self._registry)
        self._sources: Dict[str, _Source] = {}

    def see(self, answer: Answer) -> None:
        """A frame was classified, or a source came into a state."""
        source = self._sources.get(answer.source)
        if source is None:
            source = self._sources[answer.source] = _Source(self._families, answer.source)
        if isinstance(answer, SourceState):
            source.say(answer.state)
        else:
            source.count(answer, self._clock())

    def text(self) -> bytes:
        """Everything, in the text form of Prometheus."""
        return prometheus_client.generate_latest(self._registry)


class _Source:
    """The numbers of one source, looked up once: each look-up by labels costs as much as the counting."""

    def __init__(self, families: _Families, name: str) -> None:
        self._name = name
        self._states = families.states
        self._frames, self._dropped = families.frames.labels(name), families.dropped.labels(name)
        self._unknown, self._unsure = families.unknown.labels(name), families.unsure.labels(name)
        self._reused, self._live = families.reused.labels(name), families.live.labels(name)
        self._last_frame, self._age = families.last_frame.labels(name), families.age.labels(name)
        self._read, self._prepare, self._infer = (
            families.stage.labels(name, stage) for stage in ("read", "prepare", "infer")
        )
        self._state = ""
        self._sequence: Optional[int] = None

    def say(self, state: str) -> None:
        if state != self._state:
            self._state = state
            self._states.labels(self._name, state).inc()
            self._live.set(state == _LIVE)

    def count(self, result: Any, now_s: float) -> None:
        """result: a FrameResult."""
        self._frames.inc()
        if self._sequence is not None and result.sequence > self._sequence + 1:
            self._dropped.inc(result.sequence - self._sequence - 1)
        self._sequence = result.sequence
        for counter, counts in ((self._unknown, result.unknown), (self._reused, result.reused)):
            if counts:
                counter.inc()
        if not result.sure:
            self._unsure.inc()
        self._last_frame.set(now_s - result.age_ms / 1e3)
        self._age.observe(result.age_ms / 1e3)
        self._read.observe(result.read_ms / 1e3)
        self._prepare.observe(result.prepare_ms / 1e3)
        if not result.reused:  # else the network rested
            self._infer.observe(result.infer_ms / 1e3)


class _Examples:
    """What was learnt, counted when it is asked for: a label may come and go."""

    def __init__(self, examples: Callable[[], Mapping[str, int]]) -> None:
        self._examples = examples

    def collect(self) -> Iterator[Any]:
        family = GaugeMetricFamily("edgewise_examples", "Examples that were taught on this board", labels=("label",))
        for label, count in sorted(self._examples().items()):
            family.add_metric((label,), count)
        yield family
