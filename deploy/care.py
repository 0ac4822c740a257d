"""What a board needs between two flashes, from the desk: its service, its log, and the doctor."""

import io
import os
import sys
import time
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import edge.contract.errors
from deploy.board import Board, SudoAsks
from deploy.installed import installed
from deploy.launch import launch, replace_process
from deploy.target import parse_target

_EDGE = Path(edge.contract.errors.__file__).parents[1]
_CHECKS = ("__init__.py", "contract/__init__.py", "contract/packages.py", "contract/results.py", "doctor/*.py")
_START = "import runpy\nrunpy.run_module('edge.doctor', run_name='__main__', alter_sys=True)\n"


@dataclass(frozen=True)
class ServiceReport:
    unit: str
    installed: bool
    status: str  # what the service says of itself


@dataclass(frozen=True)
class Examination:
    lines: tuple[str, ...]
    wrong: int
    hints: int
    checks: list[dict[str, str]]  # name, state (ok, hint or wrong), found, remedy


def install_service(target: str, source: str, page: Sequence[str] = ()) -> ServiceReport:
    """Makes the board classify `source` from now on. Raises BoardError without root or if it does not start.

    page: options of a page to serve, as the board's `service` has them. On a terminal sudo may ask for its password
    there, and then nothing comes back.
    """
    return _service(target, source, *page)


def remove_service(target: str) -> ServiceReport:
    return _service(target, "--remove")


def log(target: str, lines: int) -> list[str]:
    """The last `lines` of the board's service. Raises BoardError where there is none."""
    with Board(parse_target(target)) as board:
        answer = board.run(installed(board).runtime, "logs", "--lines", str(lines))
        return [str(line) for line in answer["lines"]]


def follow_log(target: str, lines: int) -> None:
    """Becomes the process that shows them; only an error comes back."""
    launch(["--board", target, "logs", "--follow", "--lines", str(lines)])


def examine(target: str) -> Examination:
    """Sends the desk's own checks to the board and runs them there: a board need have nothing but Python 3.6."""
    with Board(parse_target(target)) as board:
        return examine_board(board)


def examine_board(board: Board) -> Examination:
    """As examine(), of a board that is open."""
    answer = board.examine(_checks(), str(time.time()))
    return Examination(tuple(answer["lines"]), **answer["fields"])


def _service(target: str, *arguments: str) -> ServiceReport:
    """On a terminal, where sudo wants a password, it becomes the process that lets sudo ask for it."""
    try:
        with Board(parse_target(target)) as board:
            return ServiceReport(**board.run_as_root(installed(board).root, "service", *arguments))
    except SudoAsks as error:
        if sys.stdin.isatty() and sys.stdout.isatty():
            replace_process(error.command, os.environ)
        raise


def _checks() -> bytes:
    """A zip that Python runs: the doctor and what it imports."""
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("__main__.py", _START)
        for pattern in _CHECKS:
            for path in sorted(_EDGE.glob(pattern)):
                archive.write(path, f"edge/{path.relative_to(_EDGE).as_posix()}")
    return made.getvalue()
