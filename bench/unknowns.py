"""How well pictures of classes that were never taught are told from known ones: every score that was tried.

Each is higher for what is less known. Those from training rows are Mahalanobis distances and nearest neighbours; they
need what a release does not carry, and stand here to compare.
"""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from bench.tasks import Floats, Part, Task
from edge.base import encode, evened_rows
from edge.head import even, softmax
from edge.leverage import leverage
from edge.solve import solve
from edge.unknown import unlikeness

OURS, SOFTMAX = "edgewise", "max-softmax"
Values = NDArray[np.float64]

_RIDGE = 1.0  # of the mean variance within classes; 0.1 and 4 were tried on TrashNet's other classes
_NEIGHBOURS_OF = 60  # rows of a class


def auroc(known: Values, unknown: Values) -> float:
    """The chance that an unknown picture scores higher than a known one; ties count a half."""
    less = np.searchsorted(np.sort(known), unknown, side="left")
    not_more = np.searchsorted(np.sort(known), unknown, side="right")
    return float((less + not_more).mean() / 2 / len(known))


def aurocs(task: Task) -> dict[str, float]:
    """AUROC of every score: test pictures of known classes against those of new ones, before anything is taught."""
    is_old = task.test.targets < task.known
    scored = tried(task)
    return {name: auroc(score(task.test.x[is_old]), score(task.test.x[~is_old])) for name, score in scored.items()}


def tried(task: Task) -> dict[str, Callable[[Floats], Values]]:
    known = solve(task.base, task.labels[: task.known], {}).unlikeness
    weights, bias = task.base.weights, task.base.bias

    def logits(x: Floats) -> Values:
        return np.asarray(np.dot(x, weights) + bias, np.float64)

    found: dict[str, Callable[[Floats], Values]] = {
        OURS: lambda x: unlikeness(known, even(x)),
        SOFTMAX: lambda x: -softmax(logits(x)).max(axis=1),
        "max logit": lambda x: -logits(x).max(axis=1),
        "energy": lambda x: -np.log(np.exp(logits(x) - 50).sum(axis=1)),
        "leverage, evened": lambda x: _leverage(task, x),
        "ridge's highest score, evened": lambda x: -_ones(even(x)).dot(task.base.solution).max(axis=1),
    }
    for name, prepared in (("", _same), (", L2", _unit), (", evened", even)):
        rows = Part(prepared(task.train.x), task.train.targets)
        plain, relative = _mahalanobis(rows)
        found[f"Mahalanobis{name}"] = _after(plain, prepared)
        found[f"relative Mahalanobis{name}"] = _after(relative, prepared)
    found["covariance of each class, L2"] = _after(
        _own_covariances(Part(_unit(task.train.x), task.train.targets)), _unit
    )
    found["nearest of 60 a class, cosine"] = _after(_nearest(task), _unit)
    found["nearest class mean, cosine"] = _after(_nearest_mean(task), _unit)
    return found


def _after(score: Callable[[Floats], Values], prepared: Callable[[Floats], Floats]) -> Callable[[Floats], Values]:
    return lambda x: score(prepared(x))


def _same(x: Floats) -> Floats:
    return x


def _unit(x: Floats) -> Floats:
    return np.asarray(x / np.maximum(np.linalg.norm(x, axis=1, keepdims=True), 1e-12), np.float32)


def _ones(x: Floats) -> Values:
    return np.concatenate([x, np.ones((len(x), 1))], axis=1)


def _leverage(task: Task, x: Floats) -> Values:
    rows = evened_rows(encode(x, task.base.step), task.base.step)
    return np.asarray(leverage(task.base.directions, task.base.rest, rows.astype(np.float32)))


def _moments(rows: Part) -> tuple[Values, Values, Values]:
    """Class means, the mean covariance within classes, and the covariance of all, classes weighing the same."""
    classes = range(int(rows.targets.max()) + 1)
    means = np.array([rows.x[rows.targets == c].mean(axis=0) for c in classes], np.float64)
    within = np.mean([np.cov(rows.x[rows.targets == c].T, bias=True) for c in classes], axis=0)
    off = means - means.mean(axis=0)
    return means, within, within + np.dot(off.T, off) / len(means)


def _inverse(covariance: Values) -> Values:
    return np.linalg.inv(covariance + _RIDGE * np.trace(covariance) / len(covariance) * np.eye(len(covariance)))


def _squares(x: Floats, mean: Values, inverse: Values) -> Values:
    return np.asarray(np.einsum("ij,ij->i", np.dot(x - mean, inverse), x - mean))


def _mahalanobis(rows: Part) -> tuple[Callable[[Floats], Values], Callable[[Floats], Values]]:
    """To the nearest class mean (Lee et al. 2018), and that less the distance to all (Ren et al. 2021)."""
    means, within, of_all = _moments(rows)
    near, far, middle = np.linalg.cholesky(_inverse(within)), _inverse(of_all), means.mean(axis=0)
    places = np.dot(means, near)

    def plain(x: Floats) -> Values:
        whitened = np.dot(x, near)
        squares = (whitened**2).sum(axis=1)[:, np.newaxis] - 2 * np.dot(whitened, places.T) + (places**2).sum(axis=1)
        return np.asarray(squares.min(axis=1))

    return plain, lambda x: plain(x) - _squares(x, middle, far)


def _own_covariances(rows: Part) -> Callable[[Floats], Values]:
    """As Mahalanobis, each class with its own covariance, half shrunk to that of all (Friedman 1989)."""
    means, within, _ = _moments(rows)
    own = [np.cov(rows.x[rows.targets == c].T, bias=True) for c in range(len(means))]
    inverses = [_inverse((each + within) / 2) for each in own]
    return lambda x: np.asarray(
        np.min([_squares(x, mean, inverse) for mean, inverse in zip(means, inverses, strict=True)], axis=0)
    )


def _nearest(task: Task) -> Callable[[Floats], Values]:
    """Cosine to the nearest of a sample of training rows (Sun et al. 2022)."""
    random = np.random.default_rng(0)
    its = [random.permutation(np.flatnonzero(task.train.targets == c))[:_NEIGHBOURS_OF] for c in range(task.known)]
    kept = _unit(task.train.x[np.concatenate(its)])
    return lambda x: -np.asarray(np.dot(x, kept.T).max(axis=1), np.float64)


def _nearest_mean(task: Task) -> Callable[[Floats], Values]:
    rows = _unit(task.train.x)
    means = _unit(np.array([rows[task.train.targets == c].mean(axis=0) for c in range(task.known)], np.float32))
    return lambda x: -np.asarray(np.dot(x, means.T).max(axis=1), np.float64)
