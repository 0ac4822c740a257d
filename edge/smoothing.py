"""Answers over time: one odd frame among many need not change what is said."""

import math
from typing import Dict, Optional

from edge.contract.results import FrameResult

_KEPT = 5  # labels, as many as a result lists
_LEAST = 1e-3  # what fades below this is forgotten


class Smoother:
    """Of one source: the scores of its results, each fading with the time constant `seconds`.

    An exponential average that knows how long ago a frame was, so that it is the same at any rate of frames. A result
    lists its five best labels; the others count as 0.
    """

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._scores: Dict[str, float] = {}
        self._unknown = 0.0
        self._last_ns: Optional[int] = None

    def smooth(self, result: FrameResult) -> FrameResult:
        """`result` with label, score, top and unknown of the average up to it."""
        kept = 0.0  # of what was before
        if self._last_ns is not None:
            kept = math.exp(-(result.captured_ns - self._last_ns) / 1e9 / self._seconds)
        self._last_ns = result.captured_ns
        new = dict(result.top)
        scores = {
            label: kept * self._scores.get(label, 0.0) + (1 - kept) * new.get(label, 0.0)
            for label in set(self._scores) | set(new)
        }
        self._scores = {label: score for label, score in scores.items() if score > _LEAST}
        self._unknown = kept * self._unknown + (1 - kept) * result.unknown
        top = tuple(sorted(self._scores.items(), key=lambda each: (-each[1], each[0]))[:_KEPT])
        return result._replace(label=top[0][0], score=top[0][1], top=top, unknown=self._unknown > 0.5)
