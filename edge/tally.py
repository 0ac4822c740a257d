"""How a run went: what was classified, how old it was, and what states its sources were in."""

import collections
from typing import Any, Deque, Dict, Iterable, NamedTuple, Optional, Tuple

import numpy as np

from edge.contract.results import FrameResult, SourceState

_KEPT = 10000  # frames whose times the medians are of: five minutes at 30 a second, in bounded memory


class Summary(NamedTuple):
    """How a run went. Medians and 95th percentiles are of its last 10,000 frames, 0 where there was none."""

    frames: int  # classified
    dropped: int  # replaced by a newer one before the loop came to them, or black
    frames_per_second: float  # from the first result to the last
    age_median_ms: float
    age_p95_ms: float
    prepare_median_ms: float
    prepare_p95_ms: float
    infer_median_ms: float
    infer_p95_ms: float
    reused: int = 0  # of `frames`: nothing had moved, and the network rested
    lost: int = 0  # how often the source was lost, and in the other states without a picture
    stale: int = 0
    frozen: int = 0
    black: int = 0


class Tally:
    """Takes results and states of one source one by one, and sums them up at any time."""

    def __init__(self) -> None:
        self._frames = self._reused = 0
        self._first_ns = 0.0
        self._last: Optional[FrameResult] = None
        self._times: Deque[Tuple[float, float, float]] = collections.deque(maxlen=_KEPT)  # age, prepare, infer in ms
        self._state = ""
        self._states: Dict[str, int] = dict.fromkeys(("lost", "stale", "frozen", "black"), 0)

    def add(self, answer: Any) -> None:
        """answer: a FrameResult or a SourceState."""
        if isinstance(answer, SourceState):
            if answer.state != self._state and answer.state in self._states:
                self._states[answer.state] += 1
            self._state = answer.state
            return
        if self._frames == 0:
            self._first_ns = _finished_ns(answer)
        self._frames += 1
        self._reused += answer.reused
        self._last = answer
        self._times.append((answer.age_ms, answer.prepare_ms, answer.infer_ms))

    def summary(self) -> Summary:
        if self._last is None:
            return Summary(*[0] * 9, **self._states)
        seconds = (_finished_ns(self._last) - self._first_ns) / 1e9
        rate = (self._frames - 1) / seconds if seconds > 0 else 0.0
        spread = np.percentile(list(self._times), [50, 95], axis=0).T.ravel()  # age's two, prepare's two, infer's two
        dropped = self._last.sequence + 1 - self._frames
        return Summary(self._frames, dropped, rate, *spread.tolist(), reused=self._reused, **self._states)


def summarize(results: Iterable[FrameResult]) -> Summary:
    """As Tally, for results that are all there."""
    tally = Tally()
    for result in results:
        tally.add(result)
    return tally.summary()


def _finished_ns(result: FrameResult) -> float:
    return result.captured_ns + result.age_ms * 1e6
