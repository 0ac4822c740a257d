"""What a person calls a board: local:DIR or [user@]host[:port]."""

import shlex
import sys
from dataclasses import dataclass
from pathlib import Path

from deploy.ssh import SshAddress, parse_address, ssh_command
from edge.contract.errors import UsageError

REMOTE_ROOT = "~/edgewise-board"  # the board's folder, in the home of the user that logs in


@dataclass(frozen=True)
class Target:
    name: str  # as it was typed
    root: str  # the board's folder, as the board's own Python expands it
    address: SshAddress | None  # None: on this machine

    def command(self, words: list[str]) -> list[str]:
        """The command that runs the board's Python with `words`."""
        if self.address is None:
            return [sys.executable, *words]
        return ssh_command(self.address, shlex.join(["python3", *words]))


def parse_target(text: str) -> Target:
    """Raises UsageError unless `text` is local:DIR or [user@]host[:port]."""
    kind, _, place = text.partition(":")
    if kind == "local" and place:
        return Target(text, str(Path(place).expanduser().absolute()), None)
    address = parse_address(text)
    if kind == "local" or address is None:
        raise UsageError(f"the target {text!r}", "user@host, user@host:port or local:DIR", "name the board so")
    return Target(text, REMOTE_ROOT, address)
