"""How long engines take beside each other: blocks of calls in turn, so that a busy machine slows all of them alike."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

Clock = Callable[[], int]  # nanoseconds


@dataclass(frozen=True)
class Latency:
    """Of one engine. Ratios are to the base engine's block of the same round."""

    milliseconds: float  # median of all calls
    ratio: float  # median of the rounds
    low: float  # quartiles of the rounds' ratios
    high: float


def interleave(
    engines: Mapping[str, Callable[[], object]],
    base: str,
    rounds: int,
    calls: int,
    warm_up: int = 3,
    clock: Clock = time.perf_counter_ns,
    progress: Callable[[int, int], None] = lambda step, steps: None,
) -> dict[str, Latency]:
    """Times `engines` in `rounds` rounds; in each, every engine makes `calls` calls after `warm_up` that do not count.

    Each round starts with the next engine, so that none is always behind the same one. `base` is one of their names.
    """
    names = list(engines)
    times: dict[str, list[list[int]]] = {name: [] for name in names}
    for turn in range(rounds):
        first = turn % len(names)
        for name in names[first:] + names[:first]:
            times[name].append(_block(engines[name], calls, warm_up, clock))
        progress(turn + 1, rounds)
    base_blocks = np.median(times[base], axis=1)
    found = {}
    for name in names:
        ratios = np.median(times[name], axis=1) / base_blocks
        low, middle, high = np.percentile(ratios, [25, 50, 75])
        found[name] = Latency(float(np.median(times[name])) / 1e6, float(middle), float(low), float(high))
    return found


def _block(engine: Callable[[], object], calls: int, warm_up: int, clock: Clock) -> list[int]:
    for _ in range(warm_up):
        engine()
    taken = []
    for _ in range(calls):
        start = clock()
        engine()
        taken.append(clock() - start)
    return taken
