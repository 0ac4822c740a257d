"""A board's verb asked for on the desk: its own launcher is started, so that what runs is the release on that board."""

import os
import sys
from pathlib import Path
from typing import NoReturn

from deploy.target import parse_target
from edge.contract.errors import BoardError, UsageError

DEFAULT_BOARD = "local:board"


def launch(arguments: list[str]) -> NoReturn:
    """Becomes the launcher of the board that `--board TARGET` names among `arguments`, with the rest of them.

    Raises UsageError for a bad target, BoardError for one without a release.
    """
    rest, target = list(arguments), DEFAULT_BOARD
    if "--board" in rest:
        at = rest.index("--board")
        if at + 1 == len(rest):
            raise UsageError("--board without a target", "--board local:DIR", "name the board")
        target = rest[at + 1]
        del rest[at : at + 2]
    launcher = parse_target(target).root / "edgewise"
    if not launcher.is_file():
        raise BoardError(f"no release is installed on {target}", "a board", "flash one, or name it: --board local:DIR")
    _replace_process(launcher, rest)


def _replace_process(launcher: Path, arguments: list[str]) -> NoReturn:
    sys.stdout.flush()
    sys.stderr.flush()
    os.execve(launcher, [str(launcher), *arguments], {**os.environ, "EDGEWISE_PYTHON": sys.executable})
