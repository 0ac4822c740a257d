"""Pictures that are there more than once: the same pixels, or the same picture resized, compressed or brightened."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from train.check.survey import Seen

MOST_BITS = 10  # by which two hashes may differ: in TrashNet pairs at 10 are of one thing, pairs at 14 of several
_LEAST_LIKE = 0.97  # correlation of two thumbnails
_BLOCK = 256  # pictures compared at a time with all others


def groups(pictures: Sequence[Seen]) -> list[list[int]]:
    """Indices of pictures that are copies of each other, two or more a group, in the order of the pictures."""
    parent = list(range(len(pictures)))

    def root(i: int) -> int:
        while parent[i] != i:
            parent[i] = parent[parent[i]]
            i = parent[i]
        return i

    for i, j in _pairs(pictures):
        one, other = sorted((root(i), root(j)))
        parent[other] = one
    found: dict[int, list[int]] = defaultdict(list)
    for i in range(len(pictures)):
        found[root(i)].append(i)
    return [group for group in found.values() if len(group) > 1]


def _pairs(pictures: Sequence[Seen]) -> Iterator[tuple[int, int]]:
    by_digest: dict[bytes, list[int]] = defaultdict(list)
    for i, picture in enumerate(pictures):
        by_digest[picture.digest].append(i)
    for same in by_digest.values():
        yield from pairwise(same)
    signs = _signs(pictures)
    thumbnails = np.stack([_normalised(picture) for picture in pictures]) if pictures else np.empty((0, 1))
    for first in range(0, len(pictures), _BLOCK):
        products = signs[first : first + _BLOCK] @ signs[first:].T  # 64 less twice the bits that differ
        for row, product in enumerate(products):
            i = first + row
            near = i + 1 + np.flatnonzero(product[row + 1 :] >= 64 - 2 * MOST_BITS)
            for j in near[np.dot(thumbnails[near], thumbnails[i]) >= _LEAST_LIKE]:
                yield i, int(j)


def _signs(pictures: Sequence[Seen]) -> NDArray[np.float32]:
    """(N, 64): 1 for each bit of a hash that is set, else -1."""
    hashes = np.array([picture.hash for picture in pictures], np.uint64)
    bits = np.unpackbits(hashes.view(np.uint8).reshape(-1, 8), axis=1)
    return np.where(bits, np.float32(1), np.float32(-1))


def _normalised(picture: Seen) -> NDArray[np.float32]:
    """The thumbnail without its brightness and contrast, so that a product of two is their correlation."""
    values = picture.thumbnail.astype(np.float32).ravel()
    values -= values.mean()
    values /= max(float(np.linalg.norm(values)), 1e-6)
    return values
