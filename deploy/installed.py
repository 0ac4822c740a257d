"""What is installed on a board, and back to the release before: both asked of the board's own runtime."""

from dataclasses import dataclass
from typing import Any

from deploy.board import Board
from deploy.target import parse_target
from edge.contract.errors import BoardError


@dataclass(frozen=True)
class ReleaseStatus:
    state: str  # STAGED, TRIAL, GOOD or FAILED
    counter: int
    why: str  # of a FAILED one


@dataclass(frozen=True)
class BoardStatus:
    root: str
    current: str | None
    previous: str | None  # what rollback would go back to
    counter: int  # only a release with a higher one can be installed
    releases: dict[str, ReleaseStatus]
    trusted: tuple[str, ...]  # ids of the keys
    busy: bool  # an install or a rollback is going on
    retrained: bool = False  # whether a deeper pass on the board made the network that it runs


@dataclass(frozen=True)
class RollbackReport:
    release: str  # current now
    state: str
    previous: str | None


def status(target: str) -> BoardStatus:
    """Raises UsageError for a bad target, BoardError for one without a release or that cannot be reached."""
    answer = _asked(target, "status")
    releases = {name: ReleaseStatus(**entry) for name, entry in answer.pop("releases").items()}
    return BoardStatus(releases=releases, trusted=tuple(answer.pop("trusted")), **answer)


def rollback(target: str) -> RollbackReport:
    """Makes the release before current again. Raises as status(); GateError if its golden vectors do not hold."""
    answer = _asked(target, "rollback")
    return RollbackReport(answer["release"], answer["state"], answer["previous"])


def _asked(target: str, verb: str) -> dict[str, Any]:
    with Board(parse_target(target)) as board:
        found = board.look()
        if found.runtime is None:
            raise BoardError(f"no release is installed in {found.root}", "one", "flash one with --trust NAME.pub")
        return board.run(found.runtime, verb)
