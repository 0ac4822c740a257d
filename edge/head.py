"""The last layer: features -> scores -> probabilities."""

from typing import NamedTuple, Optional, Tuple

import numpy as np


class Head(NamedTuple):
    """A linear classifier over the frozen backbone's features: D features in, C labels out."""

    weights: np.ndarray  # (D, C) float32
    bias: np.ndarray  # (C,) float32
    labels: Tuple[str, ...]  # C of them, the release's own first, then the taught ones in sorted order
    temperature: float  # what scores are divided by before the softmax
    evened: bool  # whether it is for features as `even` gives them, or as the network does
    own: Optional[np.ndarray] = None  # (D, C) float32: the network's own classifier beside it, for features of sum 1


def even(features: np.ndarray) -> np.ndarray:
    """features: (N, D) floating. Returns their square roots, with their signs, at length 1 a row; same dtype.

    A few loud features no longer outweigh the others, nor a bright picture a dim one: the power transform of Hu et al.
    (2021, arXiv 2006.03806), whose length 1 is also what makes distances tell the unknown (Mueller and Hein 2025,
    Mahalanobis++, arXiv 2505.18032).
    """
    magnitudes = np.abs(features)
    lengths = np.sqrt(magnitudes.sum(axis=1, keepdims=True))
    roots = np.copysign(np.sqrt(magnitudes, out=magnitudes), features, out=magnitudes)
    roots /= np.maximum(lengths, np.finfo(np.float32).tiny)
    return roots


def scores(head: Head, features: np.ndarray) -> np.ndarray:
    """features: (N, D) float32, as the network gives them. Returns (N, C) float32; a row's largest is its label."""
    if not head.evened:
        return np.dot(features, head.weights) + head.bias
    evened = even(features)
    found = np.dot(evened, head.weights) + head.bias
    return found if head.own is None else found + np.dot(evened * np.abs(evened), head.own)


def probabilities(head: Head, features: np.ndarray) -> np.ndarray:
    """features: (N, D) float32, as the network gives them. Returns (N, C) float32, rows summing to 1."""
    return softmax(scores(head, features) / np.float32(head.temperature))


def softmax(values: np.ndarray) -> np.ndarray:
    """values: (N, C) floating. Returns the softmax of each row, same dtype."""
    exponentials = np.exp(values - values.max(axis=1, keepdims=True))
    return exponentials / exponentials.sum(axis=1, keepdims=True)
