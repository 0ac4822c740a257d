"""Where the service's log is, and the command that shows it: the journal, or the file that `supervise` writes."""

import os
import shutil
from typing import List, NamedTuple

from edge.board import Board
from edge.contract.errors import BoardError
from edge.service import UNITS
from edge.supervise import LOG
from edge.unit import NAME


class Log(NamedTuple):
    place: str
    command: List[str]


def find_log(board: Board, lines: int, follow: bool) -> Log:
    """Raises BoardError where no service has written one."""
    path = board.path(LOG)
    if os.path.exists(os.path.join(UNITS, NAME)) and shutil.which("journalctl"):
        command = ["journalctl", "--unit", NAME, "--lines", str(lines), "--output", "short-iso", "--no-pager"]
        return Log("the journal of " + NAME, command + (["--follow"] if follow else []))
    if os.path.exists(path):
        return Log(path, ["tail", "-n", str(lines)] + (["-F"] if follow else []) + [path])
    raise BoardError(
        "no service runs on this board", "a log", "install it with `edgewise service`, or start `edgewise supervise`"
    )
