"""Two networks on the same pictures: which reads more of them right, and whether chance gives that."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.stats import binomtest


class Paired(NamedTuple):
    gained: int  # pictures that only the second reads right
    lost: int  # that only the first does
    p: float  # how often a split as uneven comes about where neither is better


def compare_paired(first: NDArray[np.bool_], second: NDArray[np.bool_]) -> Paired:
    """McNemar's test (1947), exact: of the pictures that one alone reads right, half are each's if neither is better.

    first, second: (N,), whether each reads the picture right.
    """
    gained, lost = int((second & ~first).sum()), int((first & ~second).sum())
    p = float(binomtest(gained, gained + lost).pvalue) if gained + lost else 1.0
    return Paired(gained, lost, p)
