"""The groups of rows that a bench can measure alone."""

from typing import TypeVar

from edge.contract.errors import UsageError

Group = TypeVar("Group")


def chosen_groups(groups: dict[str, Group], only: str | None) -> list[Group]:
    """What measures each group, or the one that `only` names. Raises UsageError for another name."""
    if only is None:
        return list(groups.values())
    if only not in groups:
        raise UsageError(f"the group {only!r}", ", ".join(groups), "name one of them, or none for all")
    return [groups[only]]
