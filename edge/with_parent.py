"""Processes that end with the one that started them, however that ends."""

import ctypes
from typing import Callable

_PR_SET_PDEATHSIG = 1  # prctl(2)


def signalled_with_parent(sign: int) -> Callable[[], None]:
    """For subprocess's preexec_fn: `sign` comes when the thread that started the process has ended; Linux only."""
    prctl = getattr(ctypes.CDLL(None), "prctl", None)  # loaded before the fork
    return lambda: prctl(_PR_SET_PDEATHSIG, sign) if prctl else None
