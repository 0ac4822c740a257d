"""Cuts the parts that a data set lacks from its training pictures, class by class, by a seed."""

import numpy as np
from numpy.typing import NDArray

from edge.contract.errors import InputError

TEST_SHARE = 0.2
VAL_SHARE, VAL_MOST = 0.1, 100  # of a class, and pictures a class


def cut_parts(
    targets: NDArray[np.int64], labels: tuple[str, ...], wanted: tuple[str, ...], seed: int, source: str
) -> dict[str, NDArray[np.int64]]:
    """Sorted indices into `targets` (N,) for "train" and every part of `wanted` ("val", "test").

    Shares are of each class's count: test 20 %, val 10 % and at most 100 pictures, never none. Raises InputError for a
    class with too few pictures for that.
    """
    generator = np.random.default_rng(seed)
    indices: dict[str, list[NDArray[np.int64]]] = {part: [] for part in (*wanted, "train")}
    needed = max(2, 1 + len(wanted))
    for target, label in enumerate(labels):
        members = generator.permutation(np.flatnonzero(targets == target))
        if len(members) < needed:
            raise InputError(
                f"{source}: the class {label!r} has {len(members)} readable training pictures",
                f"at least {needed}, for " + ", ".join(indices),
                "add pictures or remove the class",
            )
        counts = {
            "val": min(VAL_MOST, max(1, round(VAL_SHARE * len(members)))),
            "test": max(1, round(TEST_SHARE * len(members))),
        }
        for part in wanted:
            indices[part].append(members[: counts[part]])
            members = members[counts[part] :]
        indices["train"].append(members)
    return {part: np.sort(np.concatenate(chunks)) for part, chunks in indices.items()}
