"""What it brings to weigh a few examples feature by feature, too (ADR 29).

.venv/bin/python scripts/apart_shares.py RUNS DATA, which are those of `edgewise bench learning`. Each of the five known
classes of TrashNet in turn is the new one, and the other sets are as the bench has them, in draws that it does not
report. Harmonic mean of old and new accuracy, without and with it.
"""

import sys
from pathlib import Path

import numpy as np

from bench.contest import ours, teach
from bench.features import load_features
from bench.tasks import Task, animals, draw, make_task, mnist
from edge import solve

FIVE = ["cardboard", "glass", "metal", "paper", "plastic"]
SHOTS, SEEDS = (2, 5, 10, 20), range(6)


def main() -> None:
    features = load_features(Path(sys.argv[1]), Path(sys.argv[2]), lambda *_: None)
    photos = [make_task(new, features["trashnet"], [c for c in FIVE if c != new], [new], 0) for new in FIVE]
    for name, tasks in (
        ("trashnet's five", photos),
        ("animals", list(animals(features))),
        ("mnist", [mnist(features)]),
    ):
        for shots in SHOTS:
            if all(shots <= np.bincount(task.pool.targets)[task.known :].min() for task in tasks):
                print(f"{name}, {shots} shots: {compared(tasks, shots)}", flush=True)


def compared(tasks: list[Task], shots: int) -> str:
    every = solve._APART
    told = []
    for title, shares in (("without", every[:1]), ("with", every)):
        solve._APART = shares
        found = [ours(task, teach(task, draw(task, shots, seed))) for task in tasks for seed in SEEDS]
        harmonic, cost = (100 * float(np.mean([getattr(one, of) for one in found])) for of in ("harmonic", "cost"))
        told.append(f"{title} {harmonic:.1f} (costs {cost:.1f})")
    return ", ".join(told)


if __name__ == "__main__":
    main()
