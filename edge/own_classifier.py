"""The network's own classifier over what codes know of features, for corrections to be put beside it."""

import numpy as np

from edge.base import BATCH, Base
from edge.head import softmax

_SUMS = np.geomspace(0.3, 3000.0, 41)  # of features, where 1 makes as much difference as the bias does
_SHARP = (1.0, 2.0, 4.0, 8.0, 16.0)  # deviations of the logits
_FITTED = 500  # rows of the `choose` sample that the sum is fitted to, about


def own_classifier(base: Base) -> np.ndarray:
    """The network's own classifier, for rows [features of sum 1, 1], at the scale of the one-hot answers of a lesson.

    Returns (D + 1, C) float64. Of features, codes know all but their sum: one sum stands for all, that by which the
    `choose` sample is likeliest, so that weights and bias keep their proportion. Least squares give the scale.
    """
    weights, bias = base.weights.astype(np.float64), base.bias.astype(np.float64)
    found = plain_product(base.choose_codes, base.step, np.concatenate([weights, np.zeros((1, len(bias)))]))
    total = _likeliest_sum(found, bias, base.choose_targets)
    columns = np.stack([(total * found + bias).ravel(), np.ones(found.size)], axis=1)
    scale, constant = np.linalg.lstsq(columns, np.eye(len(bias))[base.choose_targets].ravel(), rcond=None)[0]
    return np.concatenate([scale * total * weights, [scale * bias + constant]])


def _likeliest_sum(found: np.ndarray, bias: np.ndarray, targets: np.ndarray) -> float:
    """found: (N, C) of features of sum 1. Each sum has a sharpness of its own: a network may be too sure, or unsure."""
    rows = slice(None, None, len(found) // _FITTED + 1)
    picked = np.arange(len(found[rows])), targets[rows]
    sums = _SUMS * max(bias.std(), 1e-12) / max(found.std(), 1e-12)
    whole = [each * found[rows] + bias for each in sums]
    logits = [sharp / max(each.std(), 1e-12) * each for each in whole for sharp in _SHARP]
    likelihoods = [np.log(np.maximum(softmax(each)[picked], 1e-12)).mean() for each in logits]
    return float(sums[int(np.argmax(likelihoods)) // len(_SHARP)])


def plain_product(codes: np.ndarray, step: np.ndarray, matrix: np.ndarray) -> np.ndarray:
    """As evened_product(), of the rows [features of sum 1, 1]: the squares of evened features, with their signs."""
    found = []
    for i in range(0, len(codes), BATCH):
        evened = codes[i : i + BATCH] * step.astype(np.float64)
        found.append(np.dot(evened * np.abs(evened), matrix[:-1]) + matrix[-1])
    return np.concatenate(found)
