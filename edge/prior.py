"""What the desktop's sums amount to before any example: solved once, when a release is opened."""

from typing import NamedTuple

import numpy as np

from edge.base import Base, evened_rows, scale, scaled
from edge.ridge import regularised_inverse


class Prior(NamedTuple):
    """Over rows z = [evened features, 1], in float64."""

    inverse: np.ndarray  # (D + 1, D + 1) of the penalised gram
    solution: np.ndarray  # (D + 1, C)
    leverage: np.ndarray  # (M,): z^T inverse z of the `choose` sample


def make_prior(base: Base) -> Prior:
    """The ridge solution of the base alone."""
    to_features = scale(base.step)
    inverse = regularised_inverse(scaled(base.gram, to_features), float(base.penalty))
    sample = evened_rows(base.choose_codes, base.step)
    return Prior(inverse, np.dot(inverse, (base.sums * to_features).T), leverage(inverse, sample))


def leverage(inverse: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """rows: (N, D + 1). Returns (N,): z^T inverse z, how far a row is from what the gram was made of."""
    return np.einsum("ij,ij->i", np.dot(rows, inverse), rows)
