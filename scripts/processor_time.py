"""Processor time of a run's u8 file beside onnxruntime on FP32: python scripts/processor_time.py RUN [CALLS]

`edgewise bench int8` measures by the clock, which other work on the machine distorts. This counts the one thread's own
time, call by call in turn, so that a busy machine tells nearly the same. Medians.
"""

import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

from bench.float_model import export_float, float_input
from bench.peer import Failure, open_file
from edge.engine import Engine
from train.run_folder import load_run

WARM_UP = 10


def main() -> None:
    folder, calls = Path(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 240
    run = load_run(folder)
    shape = (run.spec.channels, run.spec.height, run.spec.width)
    pixels = np.random.default_rng(0).integers(0, 256, (1, *shape[1:], shape[0]), np.uint8)
    floats = float_input(pixels)
    ours = Engine(str(folder / "int8" / "model.u8.onnx"), threads=1)
    with tempfile.TemporaryDirectory() as scratch:
        export_float(run.network, shape, Path(scratch) / "fp32.onnx")
        fp32 = open_file(Path(scratch) / "fp32.onnx", 1, floats.shape)
    if isinstance(fp32, Failure):
        sys.exit(str(fp32))
    engines: dict[str, Callable[[], Any]] = {"u8": lambda: ours.run(pixels), "FP32": lambda: fp32(floats)}
    times: dict[str, list[float]] = {name: [] for name in engines}
    for _ in range(calls):
        for name, engine in engines.items():
            started = time.thread_time()
            engine()
            times[name].append(1e3 * (time.thread_time() - started))
    u8, float32 = (median(times[name][WARM_UP:]) for name in engines)
    print(f"u8 {u8:.2f} ms, FP32 {float32:.2f} ms, u8 / FP32 {u8 / float32:.3f}")


if __name__ == "__main__":
    main()
