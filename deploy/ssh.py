"""An SSH address, the command of the system's OpenSSH that reaches it, and what that command's failures mean.

What ssh reads is the person's: ~/.ssh/config with its jump hosts, the agent, known_hosts. Host keys are always checked.
"""

import re
import shutil
import subprocess
from dataclasses import dataclass

from edge.contract.errors import BoardError

_ADDRESS = re.compile(
    r"(?:(?P<user>[A-Za-z0-9_][A-Za-z0-9._-]*)@)?"
    r"(?P<host>[A-Za-z0-9][A-Za-z0-9._-]*|\[[0-9A-Fa-f:.]+(?:%[A-Za-z0-9]+)?\])"
    r"(?::(?P<port>[1-9][0-9]{0,4}))?"
)
_OPTIONS = (
    "ConnectTimeout=15",
    "ServerAliveInterval=15",  # a cable that was pulled is noticed in a minute
    "ServerAliveCountMax=3",
    "LogLevel=ERROR",
    "ForwardAgent=no",  # the board needs none of what these open
    "ForwardX11=no",
    "ClearAllForwardings=yes",
    "PermitLocalCommand=no",
    "RemoteCommand=none",
)
# What ssh says -> what to do. The first that fits; ssh may say several lines.
_REMEDIES = (
    (
        "REMOTE HOST IDENTIFICATION HAS CHANGED",
        "the host key that is in known_hosts",
        "if the board was set up anew: `ssh-keygen -R {known}`, then `ssh {name}` and compare the fingerprint; if not,"
        " somebody may be in between",
    ),
    (
        "Host key verification failed",
        "a host key that is in known_hosts",
        "connect once with `ssh {name}` and compare the fingerprint with the board's",
    ),
    ("Permission denied", "a login", "try `ssh {name}`: user, key or password; `ssh-copy-id {name}` puts a key there"),
    ("Too many authentication failures", "a login", "name one key: IdentityFile and IdentitiesOnly in ~/.ssh/config"),
    ("Connection refused", "an SSH server", "see that sshd runs on the board, and the port"),
    ("timed out", "an answer", "see that the board is on and in this network"),
    ("Could not resolve hostname", "a name that resolves", "check the spelling, or use the board's IP address"),
    ("No route to host", "a board in this network", "see that the board is on and in this network"),
    ("Network is unreachable", "a board in this network", "check this machine's network"),
)


@dataclass(frozen=True)
class SshAddress:
    user: str | None
    host: str
    port: int | None  # None: what ~/.ssh/config says

    @property
    def destination(self) -> str:
        return f"{self.user}@{self.host}" if self.user else self.host

    @property
    def name(self) -> str:
        """As a person types it after `ssh`."""
        return f"-p {self.port} {self.destination}" if self.port else self.destination

    @property
    def known(self) -> str:
        """As known_hosts calls it, unless ~/.ssh/config says otherwise."""
        return f"'[{self.host}]:{self.port}'" if self.port not in (None, 22) else self.host


def parse_address(text: str) -> SshAddress | None:
    """[user@]host[:port]; an IPv6 address stands in brackets. None for anything else, an option of ssh among it."""
    found = _ADDRESS.fullmatch(text)
    if found is None or int(found["port"] or 0) > 65535:
        return None
    return SshAddress(found["user"], found["host"].strip("[]"), int(found["port"]) if found["port"] else None)


def ssh_command(address: SshAddress, remote: str, terminal: bool = False) -> list[str]:
    """The command that runs `remote`, words quoted by shlex, in the person's shell on the board.

    A configuration that turns the check of host keys off is overruled for this connection: then ssh asks.
    """
    place = (["-p", str(address.port)] if address.port else []) + ["--", address.destination]
    options = [word for option in _OPTIONS for word in ("-o", option)]
    if _unchecked(place):
        options += ["-o", "StrictHostKeyChecking=ask"]
    return ["ssh", "-t" if terminal else "-T", *options, *place, remote]


def explain(address: SshAddress, code: int, said: str) -> BoardError:
    """Why no courier answered: `code` is what ssh ended with, `said` what it wrote on stderr."""
    lines = ["".join(c for c in line if c.isprintable()) for line in said.splitlines() if line.strip(" @\r")]
    for phrase, expected, remedy in _REMEDIES:
        words = [line for line in lines if phrase in line]
        if words:
            remedy = remedy.format(name=address.name, known=address.known)
            return BoardError(f"{address.destination}: ssh says: {words[-1].strip('@ ')[:300]}", expected, remedy)
    if "edgewise: Python" in said:
        old = said.partition("edgewise: ")[2].split("\n")[0].strip()
        return BoardError(f"{address.destination} has {old}", "Python 3.6 or later as python3", "install one there")
    if code == 127:
        return BoardError(f"{address.destination} has no python3", "Python 3.6 or later", "install python3 there")
    last = lines[-1][:300] if lines else f"ssh ended with {code}"
    return BoardError(f"{address.destination}: {last}", "a board that answers", f"try `ssh {address.name} python3 -V`")


def _unchecked(place: list[str]) -> bool:
    """Whether the person's configuration has StrictHostKeyChecking=no for it; ssh itself says what is in force."""
    if shutil.which("ssh") is None:
        raise BoardError("this machine has no ssh", "OpenSSH's client", "install openssh-client, or use local:DIR")
    done = subprocess.run(["ssh", "-G", *place], capture_output=True, text=True, check=False)  # noqa: S607
    return "stricthostkeychecking false" in done.stdout.splitlines()
