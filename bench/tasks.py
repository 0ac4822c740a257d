"""The tasks of `edgewise bench learning`: known classes, new ones, and paired draws of a few examples of these."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bench.features import Features
from edge.base import Base, Rows, make_base

_ROWS = 600  # of a class in each part: MNIST would take the slow peers hours
_SAMPLED = 60  # training rows of a class that choose the same offset as all of them do
Floats = NDArray[np.float32]
Targets = NDArray[np.int64]


@dataclass(frozen=True)
class Part:
    x: Floats  # (N, D), as the network gives them
    targets: Targets  # (N,): columns, known classes first

    def where(self, keep: NDArray[np.bool_]) -> "Part":
        return Part(self.x[keep], self.targets[keep])


@dataclass(frozen=True)
class Task:
    name: str
    labels: tuple[str, ...]  # known, then new
    known: int
    train: Part  # of the known classes
    sample: Part  # of train, for fits that only an offset is wanted of
    choose: Part  # of the known classes; choices rest on it
    pool: Part  # of the new classes: examples are drawn from it
    test: Part  # of all classes; no choice touches it
    base: Base

    @property
    def new(self) -> range:
        return range(self.known, len(self.labels))


def make_task(name: str, features: Features, known: list[str], new: list[str], seed: int) -> Task:
    """The known classes' classifier is scikit-learn's logistic regression, which stands for the network's own."""
    from sklearn.linear_model import LogisticRegression

    order = known + new
    columns = {label: column for column, label in enumerate(order)}
    targets = np.array([columns.get(str(label), -1) for label in features.label], np.int64)
    random = np.random.default_rng(seed)

    def part(name: str, least: int, end: int) -> Part:
        its = [np.flatnonzero((features.part == name) & (targets == c)) for c in range(least, end)]
        picked = np.concatenate([np.sort(random.permutation(rows)[:_ROWS]) for rows in its])
        return Part(features.x[picked], targets[picked])

    train, choose, test = part("train", 0, len(known)), part("val", 0, len(known)), part("test", 0, len(order))
    pool = part("train", len(known), len(order))
    sampled = [random.permutation(np.flatnonzero(train.targets == c))[:_SAMPLED] for c in range(len(known))]
    fitted = LogisticRegression(max_iter=100, tol=1e-3).fit(train.x, train.targets)
    old = test.where(test.targets < len(known))
    rows = (Rows(train.x, train.targets), Rows(choose.x, choose.targets), Rows(old.x, old.targets))
    base = make_base(rows[0], rows[1], rows[2], fitted.coef_.T, fitted.intercept_, seed)
    sample = Part(train.x[np.concatenate(sampled)], train.targets[np.concatenate(sampled)])
    return Task(name, tuple(order), len(known), train, sample, choose, pool, test, base)


def draw(task: Task, shots: int, seed: int) -> Part:
    """`shots` examples of each new class; a larger draw of the same seed holds the smaller one."""
    random = np.random.default_rng(seed)
    its = [random.permutation(np.flatnonzero(task.pool.targets == c))[:shots] for c in task.new]
    return Part(task.pool.x[np.concatenate(its)], task.pool.targets[np.concatenate(its)])


def trashnet(features: dict[str, Features], tuned: bool = False) -> Task:
    known = ["cardboard", "glass", "metal", "paper", "plastic"]
    name = "trashnet, tuned" if tuned else "trashnet"
    return make_task(f"{name} 5+1", features[name], known, ["trash"], 0)


def animals(features: dict[str, Features]) -> Iterator[Task]:
    """Four orders: each takes every fourth of the sixteen classes as new."""
    names = sorted({str(label) for label in features["animals"].label})
    for start in range(4):
        new = names[start::4]
        yield make_task("animals 12+4", features["animals"], [n for n in names if n not in new], new, start)


def omniglot(features: dict[str, Features], orders: range = range(5)) -> Iterator[Task]:
    """In each order 25 characters are drawn as known, 5 as new."""
    names = sorted({str(label) for label in features["omniglot"].label})
    for order in orders:
        picked = [names[i] for i in np.random.default_rng(order).permutation(len(names))[:30]]
        yield make_task("omniglot 25+5", features["omniglot"], picked[:25], picked[25:], order)


def mnist(features: dict[str, Features]) -> Task:
    return make_task("mnist 7+3", features["mnist"], list("0123456"), list("789"), 0)
