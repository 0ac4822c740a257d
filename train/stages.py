"""Names for the stages of a step, and where its time goes by these names: a trace to look at."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path

import torch
from torch.profiler import profile, record_function, schedule

_WAIT, _WARM_UP, _ACTIVE = 1, 2, 5  # steps left out, steps that the profiler starts in, steps in the trace


@contextmanager
def stage(name: str) -> Iterator[None]:
    """Names what is done within it: for torch.profiler, and with a GPU by NVTX for Nsight Systems."""
    with record_function(name), torch.cuda.nvtx.range(name) if torch.cuda.is_available() else nullcontext():
        yield


@contextmanager
def traced(path: Path | None) -> Iterator[Callable[[], None]]:
    """Gives a function to call after each step. Steps 4 to 8 go to `path`, for chrome://tracing or Perfetto."""
    if path is None:
        yield lambda: None
        return
    steps = schedule(wait=_WAIT, warmup=_WARM_UP, active=_ACTIVE, repeat=1)
    with profile(schedule=steps, on_trace_ready=lambda done: done.export_chrome_trace(str(path))) as profiler:
        yield profiler.step
