"""What a choice of the head is worth, by other values of what it is made from.

.venv/bin/python scripts/head_choices.py RUNS DATA CHOICE, which are those of `edgewise bench learning`; CHOICE is apart
(shares that are weighed feature by feature, ADR 29), penalty, or cost (what known classes may lose). Each of the five
known classes of TrashNet in turn is the new one, Omniglot is drawn in other orders than the bench's, and all draws are
others. Harmonic mean of old and new accuracy, percent, and what known classes lose, points.
"""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from bench.contest import ours, teach
from bench.features import Features, load_features
from bench.tasks import Task, animals, draw, make_task, mnist, omniglot
from edge import base, judge, solve

FIVE = ["cardboard", "glass", "metal", "paper", "plastic"]
ORDERS = range(10, 15)  # of Omniglot
SEEDS = range(6)
_COST: dict[Any, dict[str, Any]] = {judge: {"_FREE_COST": 0.02, "_WORTH": 1.0}}
CHOICES: dict[str, tuple[tuple[int, ...], dict[str, dict[Any, dict[str, Any]]]]] = {  # shots; constants by title
    "apart": ((2, 5, 10, 20), {"without": {solve: {"_APART": (0.0,)}}, "with": {}}),
    "penalty": ((5, 10), {f"{each:g}": {base: {"_RIDGES": (each,)}} for each in (0.003, 0.03, 0.1, 0.3, 1.0)}),
    "cost": ((5, 10), {"as it is": {}, "2 points, at a worth of 1": _COST}),
}


def main() -> None:
    features = load_features(Path(sys.argv[1]), Path(sys.argv[2]), lambda *_: None)
    shots, settings = CHOICES[sys.argv[3]]
    for title, constants in settings.items():
        told = {(module, name): value for module, names in constants.items() for name, value in names.items()}
        before = {(module, name): getattr(module, name) for module, name in told}
        set_all(told)
        for name, tasks in sets(features):
            figures = ", ".join(compared(tasks, count) for count in shots if enough(tasks, count))
            print(f"{title}: {name}: {figures}", flush=True)
        set_all(before)


def set_all(values: dict[tuple[Any, str], Any]) -> None:
    for (module, name), value in values.items():
        setattr(module, name, value)


def sets(features: dict[str, Features]) -> Iterator[tuple[str, list[Task]]]:
    photos = features["trashnet"]
    yield "trashnet's five", [make_task(new, photos, [c for c in FIVE if c != new], [new], 0) for new in FIVE]
    yield "animals", list(animals(features))
    yield "mnist", [mnist(features)]
    yield "omniglot", list(omniglot(features, ORDERS))


def enough(tasks: list[Task], shots: int) -> bool:
    return all(shots <= np.bincount(task.pool.targets)[task.known :].min() for task in tasks)


def compared(tasks: list[Task], shots: int) -> str:
    found = [ours(task, teach(task, draw(task, shots, seed))) for task in tasks for seed in SEEDS]
    harmonic, cost = (100 * float(np.mean([getattr(one, of) for one in found])) for of in ("harmonic", "cost"))
    return f"{shots} shots {harmonic:.1f} (costs {cost:.1f})"


if __name__ == "__main__":
    main()
