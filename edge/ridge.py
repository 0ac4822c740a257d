"""Ridge regression: few examples added to what was solved before, and what each would have scored had it not been.

Rows are z = [features, 1]; sums are float64. With few examples nothing of the size of the features is solved again
(Woodbury). The leave-one-out identity is Allen's PRESS (1974): y - (y - s) / (1 - h), exact for weighted rows when
h = weight * z^T inverse z.
"""

from typing import NamedTuple

import numpy as np

_BLOCK = 128  # rows of a matrix that are worked on at once


class Known(NamedTuple):
    """What was known before N examples, and what it makes of them."""

    solution: np.ndarray  # (D + 1, C): inverse @ the weighted sum of z y^T
    scored: np.ndarray  # (N, C): what was known says of the examples, by the solution or otherwise
    rows: np.ndarray  # (N, D + 1): the examples
    wanted: np.ndarray  # (N, C) one-hot
    spread: np.ndarray  # (D + 1, N): inverse @ rows^T
    kernel: np.ndarray  # (N, N): rows @ spread


class Fit(NamedTuple):
    """The solution with the examples learnt, each with a weight."""

    solution: np.ndarray  # (D + 1, C)
    scores: np.ndarray  # (N, C) of the examples
    kernel: np.ndarray  # (N, N): rows @ inverse @ rows^T, the inverse being the one with the examples
    middle: np.ndarray  # (N, N): the inverse with the examples is inverse - spread @ middle @ spread^T


def invert(gram: np.ndarray) -> None:
    """Puts the inverse of `gram` (n, n), symmetric and positive definite, in its place.

    By Gauss-Jordan steps of a block each, since a board has no room for the four matrices of this size that numpy would
    take. Without pivots it is as exact as numpy on such a matrix (Higham 2002, 14.4); halving it and inverting the
    halves is not: each Schur complement squares the condition, and a few hundred rows of 1,280 features are enough to
    leave no digit.
    """
    for start in range(0, len(gram), _BLOCK):
        its = slice(start, start + _BLOCK)
        pivot = np.linalg.inv(gram[its, its])
        columns, rows = gram[:, its].copy(), np.dot(pivot, gram[its])
        for i in range(0, len(gram), _BLOCK):
            gram[i : i + _BLOCK] -= np.dot(columns[i : i + _BLOCK], rows)
        gram[its] = rows
        gram[:, its] = -np.dot(columns, pivot)
        gram[its, its] = pivot


def known(inverse: np.ndarray, solution: np.ndarray, rows: np.ndarray, wanted: np.ndarray) -> Known:
    """inverse: (D + 1, D + 1), of a penalised gram; solution: (D + 1, C); rows: (N, D + 1), wanted: (N, C).

    The inverse may be float32. A block of it at a time becomes float64.
    """
    if not len(rows):  # nothing was taught: a start need not read all of the inverse
        nothing = np.empty((0, solution.shape[1]))
        return Known(solution, nothing, rows, nothing, np.empty((len(inverse), 0)), np.empty((0, 0)))
    blocks = range(0, len(inverse), _BLOCK)
    spread = np.concatenate([np.dot(inverse[i : i + _BLOCK].astype(np.float64), rows.T) for i in blocks])
    return Known(solution, np.dot(rows, solution), rows, wanted, spread, np.dot(rows, spread))


def known_alone(penalties: np.ndarray, rows: np.ndarray, wanted: np.ndarray) -> Known:
    """Where nothing was known before the examples. penalties: (D + 1,) of the weights; rows, wanted: as for known()."""
    spread = (rows / penalties).T
    solution = np.zeros((rows.shape[1], wanted.shape[1]))
    return Known(solution, np.zeros_like(wanted), rows, wanted, spread, np.dot(rows, spread))


def known_apart(inverse: np.ndarray, mean: np.ndarray, rows: np.ndarray, wanted: np.ndarray) -> Known:
    """As known() of no solution, but each feature by itself: of the inverse the diagonal alone, counted from a mean.

    mean: (D + 1,) of what was known before, 1 for the constant. It is the inverse shrunk to its diagonal (as Friedman
    1989, regularized discriminant analysis): how features vary together in what was known says little of a class of
    which only a few rows are known.
    """
    variances = inverse.diagonal()[:-1].astype(np.float64)[:, np.newaxis]
    features = variances * (rows - mean)[:, :-1].T
    spread = np.concatenate([features, -np.dot(mean[:-1], features)[np.newaxis]])
    solution = np.zeros((len(inverse), wanted.shape[1]))
    return Known(solution, np.zeros_like(wanted), rows, wanted, spread, np.dot(rows, spread))


def blended(one: Known, other: Known, share: float) -> Known:
    """`one` with its inverse replaced by (1 - share) of it and `share` of the other's. The rows are the same."""
    spread = (1 - share) * one.spread + share * other.spread
    return one._replace(spread=spread, kernel=(1 - share) * one.kernel + share * other.kernel)


def learn(before: Known, weights: np.ndarray) -> Fit:
    """The fit in which the examples weigh `weights` (N,), above 0."""
    middle = np.linalg.inv(np.diag(1 / weights) + before.kernel)
    learnt = np.dot(middle, before.wanted - before.scored)
    kernel = before.kernel - np.dot(before.kernel, np.dot(middle, before.kernel))
    return Fit(
        before.solution + np.dot(before.spread, learnt), before.scored + np.dot(before.kernel, learnt), kernel, middle
    )


def leave_one_out(scores: np.ndarray, kernel: np.ndarray, wanted: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """(N, C) scores of N examples, each without itself. scores, kernel: of a Fit, or of some of its examples."""
    return wanted - (wanted - scores) / (1 - weights * np.diag(kernel))[:, np.newaxis]


def leave_one_out_of_class(scores: np.ndarray, kernel: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    """As leave_one_out, for all n examples of a class that is nothing but them and weighs 1 in total.

    With one left out, the others weigh 1 / (n - 1) each, not 1 / n: the class still weighs 1. Leaving one out of n that
    weigh 1 / (n - 1) is just that, so the weights are raised first (Woodbury), then one is left out.
    """
    n = len(scores)
    if n == 1:
        return leave_one_out(scores, kernel, wanted, np.ones(1))
    extra = 1.0 / (n - 1) - 1.0 / n
    raised = np.linalg.inv(np.eye(n) + extra * kernel)
    scores = np.dot(raised, scores + extra * np.dot(kernel, wanted))
    return leave_one_out(scores, np.dot(raised, kernel), wanted, np.full(n, 1.0 / (n - 1)))
