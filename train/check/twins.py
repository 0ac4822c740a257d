"""Pictures that are there more than once: the same pixels, or the same picture resized, compressed or brightened."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from train.check.survey import Seen

MOST_BITS = 7  # by which two hashes may differ: below 8, one of their 8 bytes is the same (pigeonhole principle)
_LEAST_LIKE = 0.97  # correlation of two thumbnails


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
    by_byte: dict[tuple[int, int], list[int]] = defaultdict(list)
    for i, picture in enumerate(pictures):
        by_digest[picture.digest].append(i)
        for place in range(8):
            by_byte[place, picture.hash >> (8 * place) & 255].append(i)
    for same in by_digest.values():
        yield from pairwise(same)
    hashes = np.array([picture.hash for picture in pictures], np.uint64)
    thumbnails = np.stack([_normalised(picture) for picture in pictures]) if pictures else np.empty((0, 1))
    for members in by_byte.values():
        its = np.array(members)
        for at, i in enumerate(its[:-1]):
            others = its[at + 1 :]
            near = others[_bits(hashes[others] ^ hashes[i]) <= MOST_BITS]
            for j in near[np.dot(thumbnails[near], thumbnails[i]) >= _LEAST_LIKE]:
                yield int(i), int(j)


def _bits(values: NDArray[np.uint64]) -> NDArray[np.int64]:
    """How many bits are set in each of (N,) uint64."""
    return np.asarray(np.unpackbits(values.view(np.uint8).reshape(-1, 8), axis=1).sum(axis=1), np.int64)


def _normalised(picture: Seen) -> NDArray[np.float32]:
    """The thumbnail without its brightness and contrast, so that a product of two is their correlation."""
    values = picture.thumbnail.astype(np.float32).ravel()
    values -= values.mean()
    values /= max(float(np.linalg.norm(values)), 1e-6)
    return values
