"""What torch.compile saves of a training step on this machine's CPU: docs/training.md.

PYTHONPATH=. .venv/bin/python scripts/compile_gain.py NETWORK SIDE CHANNELS BATCH   (resnet-s 32 1 128)

Seconds of compilation, and the median step with and without it, taking turns.
"""

import sys
import time
from statistics import median

import torch
from torch.nn.functional import cross_entropy

from train.memory import keep_freed_memory
from train.network import build_network

TURNS = 15


def main() -> None:
    name, (side, channels, batch) = sys.argv[1], map(int, sys.argv[2:])
    keep_freed_memory()
    pixels = torch.randn(batch, channels, side, side).to(memory_format=torch.channels_last)
    networks = [build_network(name, channels, 10, (side, side)).to(memory_format=torch.channels_last) for _ in range(2)]
    networks[1].compile()
    for network, title in zip(networks, ("first step", "first step, compiling"), strict=True):
        print(f"{title}: {step(network, pixels):.1f} s", flush=True)
    times = [[step(network, pixels) for network in networks] for _ in range(TURNS + 1)][1:]
    plain, compiled = (median(each) for each in zip(*times, strict=True))
    print(f"{name}: {1000 * plain:.1f} ms a step, compiled {1000 * compiled:.1f} ms: {compiled / plain:.2f} of it")


def step(network: torch.nn.Module, pixels: torch.Tensor) -> float:
    """Seconds that a forward and a backward pass take."""
    began = time.perf_counter()
    cross_entropy(network(pixels)[1], torch.zeros(len(pixels), dtype=torch.int64)).backward()
    network.zero_grad()
    return time.perf_counter() - began


if __name__ == "__main__":
    main()
