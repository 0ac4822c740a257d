"""The loop: frames in, labelled results out, of one source or of several in turn."""

import time
from typing import Any, Callable, Generator, List, NamedTuple, Optional, Sequence, Tuple, Union

import numpy as np

from edge.capture import PATIENCE, Patience, Ready, capturing
from edge.contract.results import FrameResult, Prediction, SourceState
from edge.smoothing import Smoother
from edge.sources import Feed, Frame, monotonic_ns
from edge.stillness import Stillness

_BEAT_S = 1.0  # while no frame comes, the states of the sources do

Answer = Union[FrameResult, SourceState]


class Manner(NamedTuple):
    """How frames are chosen and what is made of their answers."""

    most_per_second: float = 0.0  # frames that are classified; 0: as many as come
    skip_still: bool = False  # a frame in which nothing moved gets the answer of the one before
    smooth_s: float = 0.0  # the time constant of an average over answers; 0: each for itself
    least_score: float = 0.0  # below it a result is not sure


EACH_FRAME = Manner()


def run_loop(
    feeds: Sequence[Feed],
    classify: Callable[[Any], Prediction],
    prepare: Callable[[np.ndarray], Any] = lambda image: image,
    manner: Manner = EACH_FRAME,
    patience: Patience = PATIENCE,
    told: Optional[List[str]] = None,
    clock_ns: Callable[[], int] = monotonic_ns,
) -> Generator[Tuple[Optional[Frame], Answer], None, None]:
    """Classifies what the feeds deliver: each frame of a film, the newest of what is live, with turns among several.

    prepare: (H, W, 3) uint8 BGR -> what `classify` takes; it runs beside the loop, in the threads that read. A live
    source that has no picture to classify gives a SourceState, without a frame, and one more when it is back; while
    nothing comes at all they come again each second, so that the caller can do something else. `told` gets what films
    and folders remark at their end. `clock_ns` is the clock that stamped the frames. Raises InputError for a bad film.
    Close the iterator (contextlib.closing) to stop early.
    """
    answering = [Answering(feed.name, classify, manner) for feed in feeds]
    due = time.monotonic()
    with capturing(feeds, prepare, patience, [] if told is None else told) as turns:
        while True:
            if manner.most_per_second:
                turns.pause(due - time.monotonic())  # before the frame is taken, so that it is not old then
            taken = turns.take(_BEAT_S)
            if taken is None:
                return
            if isinstance(taken.item, SourceState):
                yield None, taken.item
                continue
            if manner.most_per_second:
                due = max(due, time.monotonic() - _BEAT_S) + 1 / manner.most_per_second
            yield taken.item.frame, answering[taken.index].answer(taken.item, clock_ns)


class Answering:
    """What is remembered of one source from frame to frame."""

    def __init__(self, source: str, classify: Callable[[Any], Prediction], manner: Manner) -> None:
        self._source = source
        self._classify = classify
        self._least_score = manner.least_score
        self._stillness = Stillness() if manner.skip_still else None
        self._smoother = Smoother(manner.smooth_s) if manner.smooth_s else None
        self._said: Optional[Prediction] = None

    def answer(self, ready: Ready, clock_ns: Callable[[], int]) -> FrameResult:
        frame = ready.frame
        still = self._stillness is not None and self._stillness.is_still(ready.prepared, frame.captured_ns)
        if still and self._said is not None:
            said = self._said._replace(prepare_ms=0.0, infer_ms=0.0)
        else:
            said = self._said = self._classify(ready.prepared)
        result = FrameResult(
            sequence=frame.sequence,
            captured_ns=frame.captured_ns,
            label=said.label,
            score=said.score,
            top=said.top,
            unknown=said.unknown,
            age_ms=(clock_ns() - frame.captured_ns) / 1e6,
            prepare_ms=ready.prepare_ms + said.prepare_ms,
            infer_ms=said.infer_ms,
            source=self._source,
            read_ms=ready.read_ms,
            reused=still,
        )
        if self._smoother is not None:
            result = self._smoother.smooth(result)
        return result._replace(sure=result.score >= self._least_score)
