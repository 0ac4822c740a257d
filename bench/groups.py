"""The groups of rows that a bench can measure alone."""

from collections.abc import Callable, Iterator
from typing import TypeVar

from edge.contract.errors import UsageError

Measured = TypeVar("Measured")


def chosen_groups(groups: dict[str, Callable[[], Measured]], only: str | None) -> Iterator[Callable[[], Measured]]:
    """What measures each of `groups` in turn, or the one that `only` names. Raises UsageError for another name."""
    if only is not None and only not in groups:
        raise UsageError(f"the group {only!r}", ", ".join(groups), "name one of them, or none for all")
    return (measured for name, measured in groups.items() if only in (None, name))
