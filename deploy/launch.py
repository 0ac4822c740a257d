"""A board's verb asked for on the desk: its own launcher is started, so that what runs is the release on that board."""

import os
import shlex
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import NoReturn

from deploy.ssh import ssh_command
from deploy.target import REMOTE_ROOT, parse_target
from edge.contract.errors import BoardError, UsageError

DEFAULT_BOARD = "local:board"


def launch(arguments: list[str]) -> NoReturn:
    """Becomes the launcher of the board that `--board TARGET` names among `arguments`, with the rest of them.

    At the end of an SSH connection, paths among them are the board's, from the home of the user that logs in. Raises
    UsageError for a bad target, BoardError for a local one without a release.
    """
    rest, target = list(arguments), DEFAULT_BOARD
    if "--board" in rest:
        at = rest.index("--board")
        if at + 1 == len(rest):
            raise UsageError("--board without a target", "--board TARGET", "name the board")
        target = rest[at + 1]
        del rest[at : at + 2]
    place = parse_target(target)
    if place.address is not None:
        remote = " ".join([f"{REMOTE_ROOT}/edgewise", *map(shlex.quote, rest)])  # the shell there expands the ~
        replace_process(ssh_command(place.address, remote, terminal=sys.stdin.isatty()), os.environ)
    launcher = Path(place.root) / "edgewise"
    if not launcher.is_file():
        raise BoardError(f"no release is installed on {target}", "a board", "flash one, or name it: --board local:DIR")
    replace_process([str(launcher), *rest], {**os.environ, "EDGEWISE_PYTHON": sys.executable})


def replace_process(command: list[str], environment: Mapping[str, str]) -> NoReturn:
    """Becomes `command`, which has this terminal."""
    sys.stdout.flush()
    sys.stderr.flush()
    os.execvpe(command[0], command, environment)
