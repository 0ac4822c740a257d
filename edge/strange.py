"""How unlike the training pictures a picture is to the network: Mahalanobis distance to the nearest class mean.

Over evened features, from the sums of head.npz alone (Lee et al. 2018, arXiv 1807.03888), in units of the held-out
pictures' median.
"""

from typing import NamedTuple

import numpy as np

from edge.base import Base, evened_rows, scale
from edge.head import even

_RIDGE = 0.01  # of the mean variance within classes


class Familiar(NamedTuple):
    whitening: np.ndarray  # (D, D) float64: evened features @ whitening vary by about 1 within a class
    means: np.ndarray  # (C, D) float64, whitened
    unit: float  # median squared distance of the held-out sample


def familiar(base: Base) -> Familiar:
    """What is familiar to the network that `base` was made from."""
    to_features = scale(base.step)
    means = base.sums * to_features
    within = base.gram * np.outer(to_features, to_features) - np.dot(means.T, means)
    within, means = within[:-1, :-1], means[:, :-1]
    ridge = _RIDGE * np.trace(within) / len(within) + np.finfo(np.float32).tiny  # above 0 if no class varies at all
    whitening = np.linalg.cholesky(np.linalg.inv(within + ridge * np.eye(len(within))))
    found = Familiar(whitening, np.dot(means, whitening), 1.0)
    held_out = _squares(found, evened_rows(base.choose_codes, base.step)[:, :-1])
    return found._replace(unit=float(np.median(held_out)))


def strangeness(known: Familiar, features: np.ndarray) -> np.ndarray:
    """features: (N, D) float32, as the network gives them. Returns (N,) float64: squared distances, 1 if ordinary."""
    return _squares(known, even(features)) / known.unit


def _squares(known: Familiar, evened: np.ndarray) -> np.ndarray:
    rows = np.dot(evened, known.whitening)
    squares = (rows**2).sum(axis=1)[:, np.newaxis] + (known.means**2).sum(axis=1) - 2 * np.dot(rows, known.means.T)
    return np.maximum(squares.min(axis=1), 0.0)
