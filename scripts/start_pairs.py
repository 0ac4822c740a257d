"""Starts of two boards by turns, to a film's first label: python scripts/start_pairs.py BOARD OTHER FILM [PAIRS]

BOARD and OTHER: roots of stand-in boards that run the same network under two versions of edgewise, as `flash local:DIR`
leaves them. Medians in milliseconds, and the quartiles of a pair's difference, in which what else the machine does
mostly goes away. `chrt -f 10` in front of it goes ahead of all other work, but leaves a twentieth of the time.
"""

import statistics
import sys
import time
from pathlib import Path

from bench.board_process import Run


def main() -> None:
    boards, film = [Path(word) for word in sys.argv[1:3]], sys.argv[3]
    pairs = int(sys.argv[4]) if len(sys.argv) > 4 else 15
    taken: list[list[float]] = [[], []]
    for pair in range(pairs):
        for which in (0, 1) if pair % 2 else (1, 0):
            with Run(boards[which], film) as run:
                run.line()
                taken[which].append(1e3 * (time.monotonic() - run.started))
            time.sleep(0.5)
    low, middle, high = statistics.quantiles([after - before for before, after in zip(*taken, strict=True)])
    print(f"{boards[0]}: {statistics.median(taken[0]):.0f} ms; {boards[1]}: {statistics.median(taken[1]):.0f} ms")
    print(f"difference of a pair: {middle:.0f} ms (quartiles {low:.0f} and {high:.0f}; {pairs} pairs)")


if __name__ == "__main__":
    main()
