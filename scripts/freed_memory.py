"""What keeping freed memory (train/memory.py) saves: elementwise operations on a tensor of 77 MB, without and with it.

Each way runs in a process of its own, in turns, on one thread.
"""

import subprocess
import sys
import time
from statistics import median

ROUNDS = 3


def measure(keep: bool) -> float:
    """Milliseconds of fake quantization, forward and backward."""
    import torch

    from quantize.lsq import quantize
    from train.memory import keep_freed_memory

    torch.set_num_threads(1)
    if keep:
        keep_freed_memory()
    value = torch.randn(16, 96, 112, 112).to(memory_format=torch.channels_last).requires_grad_()
    scale = torch.tensor(0.03, requires_grad=True)
    times = []
    for _ in range(6):
        start = time.perf_counter()
        quantize(value, scale, 0, 127).sum().backward()
        times.append(time.perf_counter() - start)
    return 1e3 * median(times)


def main() -> None:
    if len(sys.argv) > 1:
        print(measure(sys.argv[1] == "keep"))
        return
    found: dict[str, list[float]] = {"give back": [], "keep": []}
    for _ in range(ROUNDS):
        for way, times in found.items():
            done = subprocess.run([sys.executable, __file__, way], check=True, capture_output=True, text=True)
            times.append(float(done.stdout))
    for way, times in found.items():
        print(f"{way}: {median(times):.0f} ms")


if __name__ == "__main__":
    main()
