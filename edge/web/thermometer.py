"""How hot the board is, read every few seconds at most."""

import time
from typing import Callable, Optional

from edge.doctor.finding import Place
from edge.doctor.machine import temperatures

_EVERY_S = 3.0


class Thermometer:
    def __init__(self, place: Place, clock: Callable[[], float] = time.monotonic) -> None:
        self._place = place
        self._clock = clock
        self._read_at = -_EVERY_S
        self._degrees: Optional[float] = None

    def __call__(self) -> Optional[float]:
        """Degrees C of the warmest zone; None where the system does not say."""
        now = self._clock()
        if now - self._read_at >= _EVERY_S:
            zones = temperatures(self._place)
            self._read_at, self._degrees = now, max(zones.values()) if zones else None
        return self._degrees
