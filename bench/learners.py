"""Learning a new class from a few examples: the peers, in a few lines each, over the same features.

A learner is made for a task and then fits examples: Fit(examples, known rows) -> Score(features) -> (N, C) scores. The
known rows are all training rows of the task or its sample; what a learner needs of either is made once.
"""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from bench.tasks import Floats, Part, Task
from edge.head import softmax

Scores = NDArray[np.float64]
Score = Callable[[Floats], Scores]
Fit = Callable[[Part, Part], Score]  # (examples, rows of known classes)

_SLDA_SHRINKAGE = 1e-4  # Hayes and Kanan's
_EXEMPLARS = 20  # of each known class, as iCaRL keeps with 2,000 for 100 classes
_REPLAYED = 20  # of each known class
_STEPS, _BATCH = 200, 32  # of SGD
_RATE, _REPLAY_RATE = 0.03, 0.1  # chosen on plastic as TrashNet's new class, on val pictures


def imprinting(task: Task) -> Fit:
    """Weights are the normalised means of normalised features (Qi et al. 2018; Coral's ImprintingEngine)."""
    known_means = {id(part): _means(_unit(part.x), part.targets, task.known) for part in (task.train, task.sample)}

    def fit(examples: Part, known: Part) -> Score:
        new = _means(_unit(examples.x), examples.targets, len(task.labels))[task.known :]
        means = _unit(np.concatenate([known_means[id(known)], new]))
        return lambda x: np.dot(_unit(x), means.T)

    return fit


def nearest_mean(task: Task) -> Fit:
    """iCaRL's classifier (Rebuffi et al. 2017): the nearest mean of exemplars, picked by herding."""
    kept = {id(part): _exemplar_means(part, task.known) for part in (task.train, task.sample)}

    def fit(examples: Part, known: Part) -> Score:
        new = _means(_unit(examples.x), examples.targets, len(task.labels))[task.known :]
        means = _unit(np.concatenate([kept[id(known)], new]))
        return lambda x: 2 * np.dot(_unit(x), means.T) - (means**2).sum(axis=1)

    return fit


def deep_slda(task: Task) -> Fit:
    """Streaming linear discriminant analysis (Hayes and Kanan 2020): running means, one running covariance.

    It starts as their own code does, from the known classes' means and the OAS estimate of the covariance about them.
    """
    moments = {id(part): _moments(part, task.known) for part in (task.train, task.sample)}

    def fit(examples: Part, known: Part) -> Score:
        count, left, shares, offs = len(known.targets), 1.0, np.empty(0), []
        means = np.zeros((len(task.labels), known.x.shape[1]))
        means[: task.known] = moments[id(known)][0]
        seen = np.bincount(known.targets, minlength=len(task.labels))
        for row, column in zip(examples.x, examples.targets, strict=True):
            offs.append(row - means[column])
            kept = count / (count + 1)  # of the covariance so far; the rank-one updates are added up in one product
            left, shares = left * kept, np.append(shares * kept, kept / (count + 1))
            means[column] += offs[-1] / (seen[column] + 1)
            seen[column] += 1
            count += 1
        streamed = np.array(offs)
        covariance = left * moments[id(known)][1] + np.dot(streamed.T * shares, streamed)
        shrunk = (1 - _SLDA_SHRINKAGE) * covariance + _SLDA_SHRINKAGE * np.eye(len(covariance))
        weights = np.linalg.solve(shrunk, means.T)
        bias = -0.5 * (means.T * weights).sum(axis=0)
        return lambda x: np.dot(x, weights) + bias

    return fit


def softmax_sgd(task: Task) -> Fit:
    """Coral's SoftmaxRegression: SGD on the new examples alone, from the trained classifier."""

    def fit(examples: Part, known: Part) -> Score:
        return _sgd(task, examples, _RATE)

    return fit


def replay(task: Task) -> Fit:
    """The same with every batch half of new examples, half of kept ones (experience replay)."""

    def fit(examples: Part, known: Part) -> Score:
        kept = np.concatenate([np.flatnonzero(known.targets == c)[:_REPLAYED] for c in range(task.known)])
        return _sgd(task, examples, _REPLAY_RATE, Part(known.x[kept], known.targets[kept]))

    return fit


def logistic_regression(task: Task) -> Fit:
    """The reference: scikit-learn's, class-balanced, on ALL training pictures of known classes and the examples."""
    from sklearn.linear_model import LogisticRegression

    def fit(examples: Part, known: Part) -> Score:
        rows = _joined(examples, known)
        model = LogisticRegression(class_weight="balanced", max_iter=100, tol=1e-3).fit(rows.x, rows.targets)
        return lambda x: np.asarray(model.decision_function(x), np.float64)

    return fit


PEERS: dict[str, Callable[[Task], Fit]] = {
    "imprinting": imprinting,
    "softmax SGD": softmax_sgd,
    "Deep SLDA": deep_slda,
    "replay": replay,
    "iCaRL nearest mean": nearest_mean,
    "logistic regression, all data": logistic_regression,
}


def _sgd(task: Task, examples: Part, rate: float, kept: Part | None = None) -> Score:
    """Softmax regression from the trained weights, a new class's starting at 0; features at a mean length of 1."""
    random = np.random.default_rng(0)
    length = float(np.linalg.norm(task.train.x, axis=1).mean())
    weights = np.zeros((task.train.x.shape[1], len(task.labels)), np.float32)
    bias = np.zeros(len(task.labels), np.float32)
    weights[:, : task.known], bias[: task.known] = task.base.weights * np.float32(length), task.base.bias
    wanted = np.eye(len(task.labels), dtype=np.float32)
    each = _BATCH if kept is None else _BATCH // 2
    for _ in range(_STEPS):
        batch = _picked(examples, random, each)
        if kept is not None:
            batch = _joined(batch, _picked(kept, random, each))
        rows = batch.x / np.float32(length)
        off = (softmax(np.dot(rows, weights) + bias) - wanted[batch.targets]) * np.float32(rate)
        weights -= np.dot(rows.T, off)
        bias -= off.sum(axis=0)
    return lambda x: np.asarray(np.dot(x / np.float32(length), weights) + bias, np.float64)


def _picked(part: Part, random: np.random.Generator, count: int) -> Part:
    at = random.integers(0, len(part.targets), count)
    return Part(part.x[at], part.targets[at])


def _joined(first: Part, second: Part) -> Part:
    return Part(np.concatenate([first.x, second.x]), np.concatenate([first.targets, second.targets]))


def _means(x: NDArray[np.floating], targets: NDArray[np.int64], classes: int) -> NDArray[np.float64]:
    """(C, D), zeros for a class without rows."""
    wanted = np.eye(classes)[targets]
    return np.asarray(np.dot(wanted.T, x) / np.maximum(wanted.sum(axis=0), 1)[:, np.newaxis])


def _moments(part: Part, classes: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Class means and the covariance about them, shrunk as far as its few rows ask for (OAS, Chen et al. 2010)."""
    from sklearn.covariance import oas

    means = _means(part.x, part.targets, classes)
    covariance, _ = oas(part.x - means[part.targets], assume_centered=True)
    return means, np.asarray(covariance, np.float64)


def _exemplar_means(part: Part, classes: int) -> NDArray[np.float64]:
    return np.array([_herd(_unit(part.x[part.targets == c])).mean(axis=0) for c in range(classes)], np.float64)


def _unit(x: NDArray[np.floating]) -> NDArray[np.floating]:
    return np.asarray(x / np.maximum(np.linalg.norm(x, axis=1, keepdims=True), 1e-12))


def _herd(rows: NDArray[np.floating]) -> NDArray[np.floating]:
    """_EXEMPLARS rows whose running mean stays nearest the mean of all."""
    mean, total, left = rows.mean(axis=0), np.zeros(rows.shape[1]), list(range(len(rows)))
    kept: list[int] = []
    while left and len(kept) < _EXEMPLARS:
        distances = np.linalg.norm(mean - (total + rows[left]) / (len(kept) + 1), axis=1)
        kept.append(left.pop(int(np.argmin(distances))))
        total += rows[kept[-1]]
    return rows[kept]
