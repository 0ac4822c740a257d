"""How far a row is from what a sum was made of, by the sum's principal directions: probabilistic PCA.

The leverage of a row z is z^T gram^-1 z. Most of what tells rows apart is in the few directions in which the gram is
large; in all others it is given one variance, their mean, as Tipping and Bishop do (1999). A frame then reads a tenth
of what the inverse of 1,281 columns takes: docs/adr/0043-the-unknown-by-principal-directions.md.
"""

from typing import Tuple

import numpy as np

DIRECTIONS = 128
_ROUNDS = 5  # of subspace iteration, which leaves less of the other directions with each


def principal(gram: np.ndarray) -> Tuple[np.ndarray, np.ndarray]:
    """gram: (n, n) float64, symmetric and positive definite. Returns what leverage() takes of it.

    That is directions (n, min(n, DIRECTIONS)) float32 and rest () float32: gram^-1 is about rest - directions
    directions^T, and just that where there are no more columns than directions. No matrix of the gram's size is made,
    since a board has no room for one. Nor is the sign or order of an eigenvector, which another machine's LAPACK may
    choose otherwise, in what is returned.
    """
    size = len(gram)
    count = min(size, DIRECTIONS)
    basis = np.linalg.qr(np.random.RandomState(0).randn(size, count))[0]
    for _ in range(_ROUNDS if count < size else 0):
        basis = np.linalg.qr(np.dot(gram, basis))[0]
    inner = np.dot(basis.T, np.dot(gram, basis))
    variances, axes = np.linalg.eigh(inner)
    rest = (size - count) / (np.trace(gram) - np.trace(inner)) if count < size else 1 / variances[0]
    root = np.dot(axes * np.sqrt(np.maximum(rest - 1 / variances, 0.0)), axes.T)
    return np.dot(basis, root).astype(np.float32), np.array(rest, np.float32)


def leverage(directions: np.ndarray, rest: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """directions, rest: as principal() gives them; rows: (N, n) float32. Returns (N,) float32, 0 at the least."""
    found = np.dot(rows, directions)
    return np.maximum(rest * np.einsum("ij,ij->i", rows, rows) - np.einsum("ij,ij->i", found, found), 0)
