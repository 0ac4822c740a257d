"""Ridge regression from sums, and what each row would have scored had it not been learnt, without learning again.

Rows are z = [features, 1]; `gram` is the weighted sum of z z^T, `moments` that of z y^T with y one-hot. Everything is
float64. The leave-one-out identity is Allen's PRESS (1974): y - (y - s) / (1 - h), exact for weighted rows when
h = weight * z^T inverse z.
"""

import numpy as np


def regularised_inverse(gram: np.ndarray, penalty: float) -> np.ndarray:
    """The inverse of `gram` (D + 1, D + 1) with `penalty` added for every feature; the constant stays free."""
    added = np.full(len(gram), penalty)
    added[-1] = 0.0
    return np.linalg.inv(gram + np.diag(added))


def leave_one_out(
    inverse: np.ndarray, solution: np.ndarray, rows: np.ndarray, wanted: np.ndarray, weights: np.ndarray
) -> np.ndarray:
    """Scores (N, C) of `rows` (N, D + 1), each from the sums without itself.

    solution: inverse @ moments (D + 1, C); wanted: (N, C) one-hot; weights: (N,), what each row weighs in the sums.
    """
    leverage = weights * np.einsum("ij,ij->i", np.dot(rows, inverse), rows)
    return wanted - (wanted - np.dot(rows, solution)) / (1 - leverage)[:, np.newaxis]


def leave_one_out_of_mean(
    inverse: np.ndarray, solution: np.ndarray, rows: np.ndarray, wanted: np.ndarray
) -> np.ndarray:
    """As leave_one_out, for all n rows of a class that is nothing but them and weighs 1 in total.

    With one left out, the others weigh 1 / (n - 1) each, not 1 / n: the class still weighs 1. Leaving one out of n rows
    that weigh 1 / (n - 1) is just that, so the weights are raised first (Woodbury), then one is left out as above.
    """
    n = len(rows)
    if n == 1:
        return leave_one_out(inverse, solution, rows, wanted, np.ones(1))
    extra = 1.0 / (n - 1) - 1.0 / n
    kernel = np.dot(np.dot(rows, inverse), rows.T)
    raised = np.linalg.inv(np.eye(n) + extra * kernel)
    scores = np.dot(raised, np.dot(rows, solution) + extra * np.dot(kernel, wanted))
    leverage = np.einsum("ij,ji->i", raised, kernel) / (n - 1)
    return wanted - (wanted - scores) / (1 - leverage)[:, np.newaxis]
