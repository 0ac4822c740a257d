"""What every source of pictures gives before anything is decoded, resized or split."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edge.contract.errors import InputError, UsageError
from edge.contract.labels import check_label

PARTS = ("train", "val", "test")
MAX_CLASSES = 10_000  # edge.contract.spec's bound


@dataclass(frozen=True)
class RawPart:
    """A list of pictures, each read when it is asked for: a folder of photos need not fit into memory."""

    targets: NDArray[np.int64]  # (N,), indices into the labels
    read: Callable[[int], NDArray[np.uint8]]  # the i-th: any size, grey or BGR. Raises InputError if it is unreadable
    name: Callable[[int], str]  # of the i-th, for people
    file: Callable[[int], bytes] | None = None  # what the i-th is decoded from, nothing where it cannot be read


@dataclass(frozen=True)
class RawData:
    parts: Mapping[str, RawPart]  # by a name of PARTS; "train" is always there
    labels: tuple[str, ...]
    source: str  # an absolute path, or the name of a known data set
    skipped: tuple[str, ...] = ()  # pictures that belong to no class


def check_labels(names: list[str], source: str) -> tuple[str, ...]:
    """The names as labels, in their order. Raises InputError for one that cannot be a label or comes twice."""
    try:
        labels = tuple(check_label(name) for name in names)
    except UsageError as error:
        raise InputError(f"{source}: {error.found}", error.expected, "rename that class") from None
    if len(set(labels)) != len(labels):
        twice = next(label for label in labels if labels.count(label) > 1)
        raise InputError(f"{source} has the class {twice!r} twice", "each class once", "rename or merge them")
    if len(labels) > MAX_CLASSES:
        raise InputError(f"{source} has {len(labels)} classes", f"at most {MAX_CLASSES}", "train on fewer")
    if len(labels) < 2:
        found = f"{source} has one class, {labels[0]!r}" if labels else f"{source} has no class"
        raise InputError(found, "at least two classes", "add pictures of what else the camera may see")
    return labels
