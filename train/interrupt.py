"""Ctrl-C as a question: whether it was pressed, asked where a training can end in order."""

import logging
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

_log = logging.getLogger("edgewise")


@contextmanager
def until_interrupted() -> Iterator[Callable[[], bool]]:
    """Gives a function that says whether Ctrl-C was pressed. The second one interrupts at once, as it does elsewhere.

    For the main thread only: no other can be interrupted.
    """
    pressed = False

    def press(number: int, frame: FrameType | None) -> None:
        nonlocal pressed
        pressed = True
        signal.signal(signal.SIGINT, before)
        _log.info("stopping after this step, with what was learnt; a second Ctrl-C gives that up")

    before = signal.signal(signal.SIGINT, press)
    try:
        yield lambda: pressed
    finally:
        signal.signal(signal.SIGINT, before)
