"""Writers whose hand a network reads badly: taught with half of their digits, tested on the other half.

The corrections of old classes that a board is mostly used for, on MNIST with its writers' numbers (QMNIST).
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bench.rows import Row, at_least, at_most
from bench.run_backbone import open_run
from edge.backbone import Backbone
from edge.base import base_head, encode
from edge.engine import run_in_batches
from edge.head import Head, scores
from edge.preprocess import prepare
from edge.solve import solve

_BASE_WRITERS, _LEAST_DIGITS = 40, 80
_MORE_DRAWS = 5  # times as many for the full base, which makes few errors
_WORST = 20  # writers that are taught, in each draw of halves
_RATIO, _FULL_RATIO, _PLACEBO = 0.50, 0.85, 0.9
_LOSS, _MOST_LOSS = 0.2, 0.6  # points that the other writers may lose: on average, and by any one lesson

Ints = NDArray[np.int64]


@dataclass(frozen=True)
class Digits:
    x: NDArray[np.float32]  # (N, D), as the network gives them
    targets: Ints  # (N,)
    writers: Ints  # (N,)


@dataclass(frozen=True)
class Lesson:
    """One writer in one draw of halves. Errors are on the half that was not taught."""

    before: int
    after: int
    placebo: int  # errors after another writer's half was taught instead
    loss: float  # share of the other writers' digits


def base_writers(writers: Ints) -> Ints:
    """The 40 writers whose digits the small base is trained on; writers: (N,) of every training digit."""
    return np.sort(np.random.default_rng(0).permutation(_frequent(writers))[:_BASE_WRITERS])


def writer_rows(runs: Path, data: Path, seeds: range, command: str) -> list[Row]:
    """Both bases: one of 40 writers, and one of all training writers, for which only the test part has strangers."""
    with np.load(data / "mnist" / "mnist.npz") as file:
        mnist = {key: file[key] for key in file.files}
    small, full = open_run(runs / "learning" / "writers"), open_run(runs / "mnist-0")
    is_new = ~np.isin(mnist["writer_train"], base_writers(mnist["writer_train"]))
    strangers = _digits(small, mnist, "train", is_new)
    tested = _digits(full, mnist, "test", np.ones(len(mnist["y_test"]), bool))
    more = range(seeds.start, seeds.start + _MORE_DRAWS * len(seeds))
    rows = _rows("MNIST, base of 40 writers", lessons(small, strangers, seeds), _RATIO, command)
    return rows + _rows("MNIST, full base, test writers", lessons(full, tested, more), _FULL_RATIO, command)


def lessons(backbone: Backbone, digits: Digits, seeds: range) -> list[Lesson]:
    """The 20 worst writers on one half, in each draw of halves; each is taught alone."""
    head = base_head(backbone.base, backbone.labels)
    right = _right(head, digits)
    pool = _frequent(digits.writers)
    pooled = np.isin(digits.writers, pool)
    found = []
    for seed in seeds:
        random = np.random.default_rng(seed)
        halves = {int(w): _halves(digits, int(w), random) for w in pool}
        worst = sorted(halves, key=lambda w: float(right[halves[w][0]].mean()))[:_WORST]
        for writer in worst:
            other = int(random.choice(pool[pool != writer]))
            taught, tested = halves[writer]
            learnt = _right(_taught(backbone, digits, taught), digits)
            placebo = _right(_taught(backbone, digits, halves[other][0]), digits)
            others = pooled & (digits.writers != writer)
            before, after, placed = (int((~each[tested]).sum()) for each in (right, learnt, placebo))
            found.append(Lesson(before, after, placed, float(right[others].mean() - learnt[others].mean())))
    return found


def _halves(digits: Digits, writer: int, random: np.random.Generator) -> tuple[Ints, Ints]:
    """Rows of a writer's digits, half of each class in each; the odd one goes to either."""
    its = digits.writers == writer
    halves = []
    for target in np.unique(digits.targets[its]):
        rows = random.permutation(np.flatnonzero(its & (digits.targets == target)))
        halves.append(np.split(rows, [(len(rows) + int(random.integers(2))) // 2]))
    return np.concatenate([half[0] for half in halves]), np.concatenate([half[1] for half in halves])


def _taught(backbone: Backbone, digits: Digits, rows: Ints) -> Head:
    codes, targets = encode(digits.x[rows], backbone.base.step), digits.targets[rows]
    examples = {backbone.labels[target]: codes[targets == target] for target in np.unique(targets)}
    return solve(backbone.base, backbone.labels, examples).head


def _right(head: Head, digits: Digits) -> NDArray[np.bool_]:
    return np.asarray(scores(head, digits.x).argmax(axis=1) == digits.targets)


def _frequent(writers: Ints) -> Ints:
    numbers, counts = np.unique(writers, return_counts=True)
    return numbers[counts >= _LEAST_DIGITS]


def _digits(backbone: Backbone, mnist: dict[str, NDArray[np.uint8]], part: str, keep: NDArray[np.bool_]) -> Digits:
    pictures = mnist[f"x_{part}"][keep]
    features = [
        run_in_batches(backbone.engine, np.stack([prepare(one, backbone.spec) for one in pictures[i : i + 1000]]))[0]
        for i in range(0, len(pictures), 1000)
    ]
    return Digits(
        np.concatenate(features), mnist[f"y_{part}"][keep].astype(np.int64), mnist[f"writer_{part}"][keep].astype(int)
    )


def _rows(name: str, found: list[Lesson], most_ratio: float, command: str) -> list[Row]:
    before, after, placebo = (sum(getattr(each, key) for each in found) for key in ("before", "after", "placebo"))
    losses = 100 * np.array([each.loss for each in found])
    ratio, other, mean, worst = after / before, placebo / before, float(losses.mean()), float(losses.max())
    unit = f"of the errors before ({after} of {before}, {len(found)} lessons)"
    return [
        Row(f"{name}: errors of the writer taught", ratio, unit, *at_most(most_ratio, ratio), command),
        Row(f"{name}: placebo, another writer's digits", other, unit, *at_least(_PLACEBO, other), command),
        Row(f"{name}: the other writers lose", mean, "points, mean of lessons", *at_most(_LOSS, mean), command),
        Row(f"{name}: the other writers lose at most", worst, "points", *at_most(_MOST_LOSS, worst), command),
    ]
