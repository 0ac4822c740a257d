"""Answers that last: one that was there for a shorter time is a flicker between two others."""

from edge.contract.results import FrameResult, answer

_LASTING_NS = 700000000


class Lasting:
    """Of one source: tells once of each answer that has been the same for long enough."""

    def __init__(self) -> None:
        self._answer = ""
        self._since_ns = 0
        self._told = False

    def see(self, result: FrameResult) -> bool:
        """Whether its answer has just lasted."""
        found = answer(result)
        if found != self._answer:
            self._answer, self._since_ns, self._told = found, result.captured_ns, False
        elif not self._told and result.captured_ns - self._since_ns >= _LASTING_NS:
            self._told = True
            return True
        return False

    def begin_anew(self) -> None:
        """The camera came or went: what it showed before is told again if it is still there."""
        self._answer = ""
