"""What marks of alerts bring: python scripts/alert_gain.py RUN PICTURES.zip [--groups A+B C+D ...]

Each group of classes is one label to the board, made of RUN's features (a Lite0, best as it comes) and half of the
train part; its rule alerts of the whole group, but the person wants one class of it. They mark some of the alerts that
the other half gives; what is told is counted in the test part, with every class of every group as the wanted one in
turn. What edge/alerts/preference.py goes by was chosen on animals_photo and omniglot: report on TrashNet.
"""

import argparse
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression

from bench.features import read_photos
from edge.alerts.preference import Preference, learn_preference
from edge.base import Base, Rows, encode, evened_rows, make_base
from edge.contract.spec import parse_spec_text
from edge.engine import Engine, run_in_batches
from edge.head import even
from edge.ridge import known, learn

MARKS = ((0, 1), (0, 2), (0, 5), (1, 1), (3, 3), (10, 10))  # wanted, unwanted
ORDINARY = 10  # alerts that nobody marked
MISSED = 3  # marks of moments that the rule passed over: wanted ones, and false alerts of such
SURE = 0.9  # the score of the rule

Floats = NDArray[np.float32]
Indices = NDArray[np.int64]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("run", type=Path)
    parser.add_argument("pictures", type=Path)
    parser.add_argument("--groups", nargs="+", default=["glass+plastic", "cardboard+paper", "metal+trash"])
    parser.add_argument("--draws", type=int, default=10)
    options = parser.parse_args()
    groups = [group.split("+") for group in options.groups]
    x, label, part = features(options.run / "int8", options.pictures)
    found: dict[str, list[tuple[float, float]]] = {}
    for draw in range(options.draws):
        for name, figures in measure(World(x, label, part, groups, draw)):
            found.setdefault(name, []).append(figures)
    print("| marks | wanted | others |")
    print("| --- | --- | --- |")
    for name, rows in found.items():
        mean = np.mean(rows, axis=0)
        half = 1.96 * np.std(rows, axis=0, ddof=1) / np.sqrt(len(rows))
        cells = [f"{100 * m:.1f} ± {100 * h:.1f} %" for m, h in zip(mean, half, strict=True)]
        print(f"| {name} | {cells[0]} | {cells[1]} |")


def features(folder: Path, pictures: Path) -> tuple[Floats, NDArray[np.str_], NDArray[np.str_]]:
    """(N, D), labels and parts of all pictures, by the u8 file."""
    spec, engine = parse_spec_text((folder / "spec.json").read_text("utf-8")), Engine(str(folder / "model.u8.onnx"))
    x, labels, parts = [], [], []
    for pixels, label, part in read_photos(pictures, spec):
        x.append(run_in_batches(engine, pixels)[0])
        labels += label
        parts += part
    return np.concatenate(x), np.array(labels), np.array(parts)


class World:
    """What one draw gives: a board that knows the groups, pictures to mark and pictures to report on."""

    def __init__(
        self, x: Floats, label: NDArray[np.str_], part: NDArray[np.str_], groups: list[list[str]], draw: int
    ) -> None:
        group_of = {each: number for number, group in enumerate(groups) for each in group}
        targets = np.array([group_of[str(each)] for each in label])
        self.random = np.random.default_rng(draw)
        train = self.random.permutation(np.flatnonzero(part == "train"))
        taught, self.pool = np.split(train, [len(train) // 2])
        val, self.test = np.flatnonzero(part == "val"), np.flatnonzero(part == "test")
        scale = x[taught].std()
        fitted = LogisticRegression(max_iter=300).fit(x[taught] / scale, targets[taught])
        held = Rows(x[val], targets[val])
        weights = fitted.coef_.T / scale
        self.base: Base = make_base(Rows(x[taught], targets[taught]), held, held, weights, fitted.intercept_, 0)
        self.x, self.label, self.groups = x, label, groups
        self.said = fitted.predict_proba(x / scale)  # (N, groups)


def measure(world: World) -> Iterator[tuple[str, tuple[float, float]]]:
    """For each way and wanted class: shares of the wanted and of the other pictures that are told."""
    for number, group in enumerate(world.groups):
        fits = (world.said.argmax(axis=1) == number) & (world.said[:, number] >= SURE)
        for wanted in group:
            is_wanted = world.label == wanted
            marks = [world.random.permutation(rows) for rows in halves(world.pool[fits[world.pool]], is_wanted)]
            good, bad = halves(world.test[fits[world.test]], is_wanted)
            for counts in MARKS:
                yield from told(world, marks, counts, is_wanted, good, bad)
            yield from started(world, marks, fits, is_wanted)


def halves(rows: Indices, is_wanted: NDArray[np.bool_]) -> list[Indices]:
    return [rows[is_wanted[rows]], rows[~is_wanted[rows]]]


def told(
    world: World,
    marks: list[Indices],
    counts: tuple[int, int],
    is_wanted: NDArray[np.bool_],
    good: Indices,
    bad: Indices,
) -> Iterator[tuple[str, tuple[float, float]]]:
    """Of alerts that the rule gives."""
    marked = np.concatenate([rows[:count] for rows, count in zip(marks, counts, strict=True)])
    others = world.random.permutation(np.setdiff1d(np.concatenate(marks), marked))[:ORDINARY]
    learnt = preference(world, marked, is_wanted[marked], others, starts=False)
    name = "{} wanted, {} not".format(*counts)
    yield name, tuple(np.mean([not learnt.is_unwanted(world.x[[i]]) for i in rows]) for rows in (good, bad))
    if counts[0]:  # beside it: as the nearest mark
        near = even(world.x[marked].copy())
        alike = lambda rows: is_wanted[marked][np.dot(even(world.x[rows].copy()), near.T).argmax(axis=1)]  # noqa: E731
        yield f"{name}: as the nearest mark", (alike(good).mean(), alike(bad).mean())
        kept = beside_training(world, marked, is_wanted[marked])
        yield f"{name}: beside what the network knows", (kept(good).mean(), kept(bad).mean())


def beside_training(world: World, marked: Indices, wanted: NDArray[np.bool_]) -> Callable[[Indices], NDArray[np.bool_]]:
    """What tells, had the marks been learnt as a lesson is: by the inverse that the release carries."""
    base, targets = world.base, np.where(wanted, 1.0, -1.0)[:, np.newaxis]
    rows = evened_rows(encode(world.x[marked], base.step), base.step)
    weights = 1.0 / np.bincount(wanted.astype(int), minlength=2)[wanted.astype(int)]
    before = known(base.inverse, np.zeros((rows.shape[1], 1)), rows, targets)
    solution = learn(before, weights).solution

    def told(those: Indices) -> NDArray[np.bool_]:
        return np.dot(evened_rows(encode(world.x[those], base.step), base.step), solution)[:, 0] >= 0

    return told


def started(
    world: World, marks: list[Indices], fits: NDArray[np.bool_], is_wanted: NDArray[np.bool_]
) -> Iterator[tuple[str, tuple[float, float]]]:
    """Of moments that the rule passes over."""
    pool = [world.random.permutation(rows) for rows in halves(world.pool[~fits[world.pool]], is_wanted)]
    good, bad = halves(world.test[~fits[world.test]], is_wanted)
    if min(len(pool[0]), len(pool[1])) < MISSED or not len(good):
        return
    for missed in (0, MISSED):
        marked = np.concatenate([rows[:MISSED] for rows in marks] + [rows[:missed] for rows in pool])
        learnt = preference(world, marked, is_wanted[marked], marked[:0], starts=missed > 0)
        name = f"missed by the rule, {MISSED} wanted, {MISSED} not, and as many of what it missed: {missed > 0}"
        yield name, tuple(np.mean([learnt.is_alike(world.x[[i]]) for i in rows]) for rows in (good, bad))


def preference(world: World, marked: Indices, wanted: NDArray[np.bool_], ordinary: Indices, starts: bool) -> Preference:
    step = world.base.step
    codes = [
        encode(world.x[rows], step) if len(rows) else np.zeros((0, len(step)), np.int8) for rows in (marked, ordinary)
    ]
    learnt = learn_preference(codes[0], wanted, codes[1], step, starts)
    assert learnt is not None  # noqa: S101  both sides are there
    return learnt


if __name__ == "__main__":
    main()
