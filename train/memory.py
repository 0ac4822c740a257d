"""Memory of large tensors that is kept for the next ones, instead of given back to the system at every step."""

import ctypes
import sys

_M_TRIM_THRESHOLD, _M_MMAP_MAX = -1, -4  # of glibc's malloc.h


def keep_freed_memory() -> None:
    """Makes glibc keep what is freed, for the rest of the process; does nothing where there is no glibc.

    By default it maps each large block afresh and gives it back: filling those pages with zeros took more than half of
    the time of elementwise operations on 77 MB tensors (scripts/freed_memory.py). See mallopt(3).
    """
    if not sys.platform.startswith("linux"):
        return
    try:
        mallopt = ctypes.CDLL("libc.so.6").mallopt
    except (OSError, AttributeError):
        return
    mallopt(_M_MMAP_MAX, 0)
    mallopt(_M_TRIM_THRESHOLD, 2**31 - 1)
