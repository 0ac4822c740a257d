"""How unlike everything known a picture is: far from what was learnt, and like no class.

Two numbers: the leverage of a row (edge/leverage.py), about the variance of its scores had they been drawn from a
Gaussian process, and its highest score. Each is taken in deviations of the `choose` sample, and they are added. Rows
have length 1 (edge.head.even), without which leverage tells little (Mahalanobis++, arXiv 2505.18032). docs/learning.md
has the other scores that were tried.
"""

from typing import NamedTuple, Tuple

import numpy as np

from edge.base import Base, evened_product
from edge.leverage import leverage
from edge.ridge import Fit, Known

FALSE_ALARMS = 0.05  # of pictures of known classes, unless another share is asked for


class Unlikeness(NamedTuple):
    """After n examples. Made anew by every pass, since a class that was taught is unknown no longer."""

    directions: np.ndarray  # (D + 1, K) float32, of the base, as is
    rest: np.ndarray  # () float32: both are read for every frame
    spread: np.ndarray  # (D + 1, n) of the examples
    middle: np.ndarray  # (n, n)
    solution: np.ndarray  # (D + 1, C), offsets included
    far: Tuple[float, float]  # mean and deviation of the root of the leverage, over the `choose` sample
    sure: Tuple[float, float]  # of the highest score
    ordinary: np.ndarray  # (M,) sorted: the unlikeness of the `choose` sample


def make_unlikeness(base: Base, taught: Known, fit: Fit, solution: np.ndarray) -> Unlikeness:
    """solution: (D + 1, C) of `fit` with the offsets."""
    far = np.sqrt(_left(base.choose_leverage, evened_product(base.choose_codes, base.step, taught.spread), fit.middle))
    sure = evened_product(base.choose_codes, base.step, solution).max(axis=1)
    found = Unlikeness(
        base.directions, base.rest, taught.spread, fit.middle, solution, _spread(far), _spread(sure), np.empty(0)
    )
    return found._replace(ordinary=np.sort(_sum(found, far, sure)))


def unlikeness(known: Unlikeness, evened: np.ndarray) -> np.ndarray:
    """evened: (N, D) float32 as edge.head.even gives them. Returns (N,) float64, higher for what is less known."""
    rows = np.concatenate([evened, np.ones((len(evened), 1), np.float32)], axis=1)
    left = leverage(known.directions, known.rest, rows)
    if len(known.middle):  # else there is nothing to take off, and that costs each frame a quarter of this
        left = _left(left, np.dot(rows, known.spread), known.middle)
    return _sum(known, np.sqrt(np.maximum(left, 0.0)), np.dot(rows, known.solution).max(axis=1))


def threshold(known: Unlikeness, false_alarms: float) -> float:
    """Above it a picture is unknown: of pictures like the `choose` sample at most `false_alarms`, a share, on average.

    That is the quantile of split conformal prediction (Vovk et al. 2005), which a small sample does not make too low.
    At 0, or for a share that the sample is too small to tell, nothing is unknown.
    """
    count = len(known.ordinary)
    at = int(np.ceil((count + 1) * (1 - false_alarms))) - 1
    return float(known.ordinary[max(0, at)]) if at < count else float("inf")


def _left(before: np.ndarray, products: np.ndarray, middle: np.ndarray) -> np.ndarray:
    """The leverage (N,) that the examples leave; products: (N, n), rows @ spread."""
    return np.maximum(before - np.einsum("ij,ij->i", np.dot(products, middle), products), 0.0)


def _spread(values: np.ndarray) -> Tuple[float, float]:
    return float(values.mean()), float(max(values.std(), 1e-12))


def _sum(known: Unlikeness, far: np.ndarray, sure: np.ndarray) -> np.ndarray:
    return (far - known.far[0]) / known.far[1] - (sure - known.sure[0]) / known.sure[1]
