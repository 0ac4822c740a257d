"""What is installed on a board, back to the release before, a new key: all asked of the board's own runtime."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from deploy.board import Board
from deploy.target import parse_target
from edge.contract.errors import BoardError, InputError
from edge.contract.rotation import parse_rotation

_ROTATION = "incoming/key.rotation"


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
    engine: dict[str, Any] | None = None  # what runs the release: name, form, why and the measurement, if one holds


@dataclass(frozen=True)
class RollbackReport:
    release: str  # current now
    state: str
    previous: str | None


@dataclass(frozen=True)
class RotateReport:
    retired: str  # id of the key that is out
    trusted: str  # id of the key that took its place
    already: bool  # it had been done before


@dataclass(frozen=True)
class Installed:
    root: str
    runtime: str


def status(target: str) -> BoardStatus:
    """Raises UsageError for a bad target, BoardError for one without a release or that cannot be reached."""
    answer = _asked(target, "status")
    releases = {name: ReleaseStatus(**entry) for name, entry in answer.pop("releases").items()}
    return BoardStatus(releases=releases, trusted=tuple(answer.pop("trusted")), **answer)


def rollback(target: str) -> RollbackReport:
    """Makes the release before current again. Raises as status(); GateError if its golden vectors do not hold."""
    answer = _asked(target, "rollback")
    return RollbackReport(answer["release"], answer["state"], answer["previous"])


def rotate(rotation: Path, target: str) -> RotateReport:
    """Lets the new key of the file `rotation` take the old one's place on the board, which checks the signatures.

    Raises InputError for a file that cannot be read, FormatError or TrustError for one that the board refuses, and as
    status().
    """
    try:
        data = rotation.read_bytes()
    except OSError as error:
        raise InputError(f"{rotation}: {error.strerror}", "the NAME.rotation of keygen", "check the path") from None
    parse_rotation(data)
    with Board(parse_target(target)) as board:
        found = installed(board)
        board.claim()
        board.put([(_ROTATION, data)])
        try:
            return RotateReport(**board.run(found.runtime, "rotate", f"{found.root}/{_ROTATION}"))
        finally:
            board.remove("incoming")


def _asked(target: str, verb: str) -> dict[str, Any]:
    with Board(parse_target(target)) as board:
        return board.run(installed(board).runtime, verb)


def installed(board: Board) -> Installed:
    """The board's folder and its current runtime. Raises BoardError where no release is installed."""
    found = board.look()
    if found.runtime is None:
        raise BoardError(f"no release is installed in {found.root}", "one", "flash one with --trust NAME.pub")
    return Installed(found.root, found.runtime)
