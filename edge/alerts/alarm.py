"""When an alert begins and when it is over: a rule that holds for long enough, and then no more for a while."""

from typing import Optional

BEGINS, ENDS = "begins", "ends"
_OVER_NS = 2000000000  # a shorter gap is a flicker, and what comes after it no other alert


class Alarm:
    """Of one rule over one source."""

    def __init__(self, for_s: float) -> None:
        """for_s: how long the rule must hold without a gap."""
        self._for_ns = for_s * 1e9
        self._since_ns: Optional[int] = None
        self._held_ns = 0
        self._is_on = False

    def see(self, holds: bool, now_ns: int) -> str:
        """Whether the rule holds now. Returns BEGINS or ENDS for an alert that does, else an empty text."""
        if holds:
            if self._since_ns is None:
                self._since_ns = now_ns
            self._held_ns = now_ns
            if not self._is_on and now_ns - self._since_ns >= self._for_ns:
                self._is_on = True
                return BEGINS
        elif not self._is_on:
            self._since_ns = None
        elif now_ns - self._held_ns >= _OVER_NS:
            self.lasted_s = (self._held_ns - self._since_ns) / 1e9
            self._is_on, self._since_ns = False, None
            return ENDS
        return ""
