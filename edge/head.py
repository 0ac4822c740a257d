"""The last layer: features -> scores -> probabilities."""

from typing import NamedTuple, Tuple

import numpy as np


class Head(NamedTuple):
    """A linear classifier over the frozen backbone's features: D features in, C labels out."""

    weights: np.ndarray  # (D, C) float32
    bias: np.ndarray  # (C,) float32
    labels: Tuple[str, ...]  # C of them, the release's own first, then the taught ones in sorted order
    temperature: float  # what scores are divided by before the softmax


def scores(head: Head, features: np.ndarray) -> np.ndarray:
    """features: (N, D) float32. Returns (N, C) float32; the largest of a row is its label."""
    return np.dot(features, head.weights) + head.bias


def probabilities(head: Head, features: np.ndarray) -> np.ndarray:
    """features: (N, D) float32. Returns (N, C) float32, rows summing to 1."""
    return softmax(scores(head, features) / np.float32(head.temperature))


def softmax(values: np.ndarray) -> np.ndarray:
    """values: (N, C) floating. Returns the softmax of each row, same dtype."""
    exponentials = np.exp(values - values.max(axis=1, keepdims=True))
    return exponentials / exponentials.sum(axis=1, keepdims=True)
