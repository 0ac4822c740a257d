"""The loop: frames in, labelled results out, and how a run of them went."""

import collections
from typing import Callable, Deque, Iterable, Iterator, NamedTuple, Optional, Tuple

import numpy as np

from edge.capture import capturing
from edge.contract.results import FrameResult, Prediction
from edge.sources import Frame, Source, monotonic_ns

_KEPT = 10000  # frames whose times the medians are of: five minutes at 30 a second, in bounded memory


def run_loop(
    source: Source,
    classify: Callable[[np.ndarray], Prediction],
    clock_ns: Callable[[], int] = monotonic_ns,
    timeout_s: float = 5.0,
    frozen_s: float = 5.0,
) -> Iterator[Tuple[Frame, FrameResult]]:
    """Classifies what the source delivers: each frame of a film, the newest of a camera.

    classify: (H, W, 3) uint8 BGR -> Prediction. `clock_ns` is the clock that stamped the frames. Raises SourceError
    when a camera delivers nothing for `timeout_s`, or the same bytes for `frozen_s`; InputError for a bad film. Close
    the iterator (contextlib.closing) to stop early.
    """
    with capturing(source, timeout_s, frozen_s) as frames:
        for frame in frames:
            prediction = classify(frame.image)
            yield (
                frame,
                FrameResult(
                    sequence=frame.sequence,
                    captured_ns=frame.captured_ns,
                    label=prediction.label,
                    score=prediction.score,
                    top=prediction.top,
                    unknown=prediction.unknown,
                    age_ms=(clock_ns() - frame.captured_ns) / 1e6,
                    prepare_ms=prediction.prepare_ms,
                    infer_ms=prediction.infer_ms,
                ),
            )


class Summary(NamedTuple):
    """How a run went. Medians and 95th percentiles are of its last 10,000 frames, 0 where there was none."""

    frames: int  # classified
    dropped: int  # replaced by a newer one before the loop came to them
    frames_per_second: float  # from the first result to the last
    age_median_ms: float
    age_p95_ms: float
    prepare_median_ms: float
    prepare_p95_ms: float
    infer_median_ms: float
    infer_p95_ms: float


class Tally:
    """Takes results one by one, and sums them up at any time."""

    def __init__(self) -> None:
        self._frames = 0
        self._first_ns = 0.0
        self._last: Optional[FrameResult] = None
        self._times: Deque[Tuple[float, float, float]] = collections.deque(maxlen=_KEPT)  # age, prepare, infer in ms

    def add(self, result: FrameResult) -> None:
        if self._frames == 0:
            self._first_ns = _finished_ns(result)
        self._frames += 1
        self._last = result
        self._times.append((result.age_ms, result.prepare_ms, result.infer_ms))

    def summary(self) -> Summary:
        if self._last is None:
            return Summary(*[0] * len(Summary._fields))
        seconds = (_finished_ns(self._last) - self._first_ns) / 1e9
        rate = (self._frames - 1) / seconds if seconds > 0 else 0.0
        spread = np.percentile(list(self._times), [50, 95], axis=0).T.ravel()  # age's two, prepare's two, infer's two
        return Summary(self._frames, self._last.sequence + 1 - self._frames, rate, *spread.tolist())


def summarize(results: Iterable[FrameResult]) -> Summary:
    """As Tally, for results that are all there."""
    tally = Tally()
    for result in results:
        tally.add(result)
    return tally.summary()


def _finished_ns(result: FrameResult) -> float:
    return result.captured_ns + result.age_ms * 1e6
