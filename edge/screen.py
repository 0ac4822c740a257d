"""Where a run is seen: a film, a window, or both, in the size of its first frame."""

import contextlib
from typing import Any, Optional, Tuple

import numpy as np

from edge.contract.results import SourceState
from edge.film import FilmWriter, open_film
from edge.overlay import draw, draw_state, drawing_size
from edge.sources.source import ASSUMED_FRAMES_PER_SECOND, Frame
from edge.window import open_window

_EMPTY = (640, 480)  # a window's size before the first frame


class Screen:
    """Opened with the ExitStack that it is given, in which the film is finished and the window closed."""

    def __init__(self, stack: contextlib.ExitStack, film: Optional[str], window: bool, has_display: bool) -> None:
        """Raises BoardError for a window without a display."""
        self._stack = stack
        self._film_path = film
        self._film: Optional[FilmWriter] = None
        self._window = stack.enter_context(open_window("edgewise", has_display)) if window else None
        self._size: Optional[Tuple[int, int]] = None
        self._rate = ASSUMED_FRAMES_PER_SECOND
        self._last = np.zeros((_EMPTY[1], _EMPTY[0], 3), np.uint8)  # the last frame's picture

    def show(self, frame: Optional[Frame], result: Any) -> bool:
        """result: a FrameResult with its frame, or a SourceState without one. False: the window was closed.

        Raises as open_film().
        """
        if isinstance(result, SourceState):
            self._rate = result.frames_per_second or self._rate
            size = self._size or drawing_size(_EMPTY)
            return self._window.show(draw_state(self._last, result, size)) if self._window else True
        if self._size is None:
            self._size = drawing_size((frame.image.shape[1], frame.image.shape[0]))
            if self._film_path:
                self._film = self._stack.enter_context(open_film(self._film_path, self._rate, self._size))
        self._last = frame.image
        drawn = draw(frame.image, result, self._size)
        while self._film and self._film.frames <= result.sequence:  # more than once after a gap, to keep time
            self._film.write(drawn)
        return self._window.show(drawn) if self._window else True

    def pressed(self) -> str:
        """The window's keys since the last call."""
        return self._window.pressed() if self._window else ""
