"""NVTX ranges for `run --profile`: NVIDIA's Nsight Systems shows them beside what the GPU did for each frame.

The calls are those of NVTX's C interface, https://nvidia.github.io/NVTX/doxygen/group__markers__and__ranges.html. Its
library comes with CUDA; where there is none, there are no ranges.
"""

import ctypes
from typing import Any, Callable, Optional, Sequence, TypeVar

LIBRARIES = ("libnvToolsExt.so.1", "libnvtx3interop.so.1")  # to CUDA 12, and since

Given = TypeVar("Given")
Answer = TypeVar("Answer")


def open_nvtx(names: Sequence[str] = LIBRARIES) -> Optional[Any]:
    """The first of these libraries that loads and has ranges; None for none."""
    for name in names:
        try:
            library = ctypes.CDLL(name)
            library.nvtxRangePushA.argtypes = [ctypes.c_char_p]
            library.nvtxRangePop.argtypes = []
        except (OSError, AttributeError):
            continue
        return library
    return None


def ranged(library: Optional[Any], name: str, task: Callable[[Given], Answer]) -> Callable[[Given], Answer]:
    """`task`, each call of it in a range of this name in its own thread; without a library itself."""
    if library is None:
        return task
    shown = name.encode("ascii")

    def within(given: Given) -> Answer:
        library.nvtxRangePushA(shown)
        try:
            return task(given)
        finally:
            library.nvtxRangePop()

    return within
