"""A picture that moves, made here: what a loop, a page or a board can be tried with where no camera is."""

import time
from typing import Callable, Iterator, Tuple

import numpy as np

from edge.sources.source import Frame, Source

_BARS = ((255, 255, 255), (0, 255, 255), (255, 255, 0), (0, 255, 0), (255, 0, 255), (0, 0, 255), (255, 0, 0), (9, 9, 9))


def open_pattern(size: Tuple[int, int], rate: int, name: str, clock_ns: Callable[[], int]) -> Source:
    """Colour bars that move by a pixel a frame. size: (width, height); rate: frames a second."""
    return Source(_frames(size, rate, name, clock_ns), lambda: None, True, float(rate))


def _frames(size: Tuple[int, int], rate: int, name: str, clock_ns: Callable[[], int]) -> Iterator[Frame]:
    width, height = size
    columns = np.array(_BARS, np.uint8)[np.arange(2 * width) % width * len(_BARS) // width]  # (2 width, 3)
    started = time.monotonic()
    sequence = 0
    while True:
        at = sequence % width
        yield Frame(sequence, clock_ns(), np.repeat(columns[np.newaxis, at : at + width], height, axis=0), name)
        sequence += 1
        time.sleep(max(0.0, started + sequence / rate - time.monotonic()))
