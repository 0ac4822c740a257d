"""What a check found, and where it looks."""

import os
import subprocess
import sys
from typing import Mapping, NamedTuple, Optional

OK, HINT, WRONG = "ok", "hint", "wrong"  # a hint costs speed or a feature; what is wrong keeps edgewise from working


class Finding(NamedTuple):
    name: str
    state: str  # OK, HINT or WRONG
    found: str
    remedy: str  # what to do; empty where nothing is to be done


def ok(name: str, found: str) -> Finding:
    return Finding(name, OK, found, "")


def hint(name: str, found: str, remedy: str) -> Finding:
    return Finding(name, HINT, found, remedy)


def wrong(name: str, found: str, remedy: str) -> Finding:
    return Finding(name, WRONG, found, remedy)


class Place(NamedTuple):
    """The board's folder and its system."""

    root: str  # the board's folder, which need not be there
    system: str = "/"  # where /proc, /sys, /dev and /etc are

    def board(self, *parts: str) -> str:
        return os.path.join(self.root, *parts)

    def at(self, *parts: str) -> str:
        return os.path.join(self.system, *parts)


def read(path: str) -> Optional[str]:
    """A small file of the system without its end; None where it is not there or not for this user."""
    try:
        with open(path, "rb") as file:
            return file.read(1 << 20).decode("utf-8", "replace").strip("\0\n ")
    except OSError:
        return None


class Done(NamedTuple):
    code: int  # below 0: the signal that ended it
    out: str
    last: str  # line on stderr


def child(*arguments: str, seconds: int = 120, environment: Optional[Mapping[str, str]] = None) -> Done:
    """Runs this Python in a process of its own: what it imports may end it, or never return."""
    return run(sys.executable, "-B", *arguments, seconds=seconds, environment=environment)


def run(*command: str, seconds: int = 120, environment: Optional[Mapping[str, str]] = None) -> Done:
    """Runs a command. One that is not there, or does not end in time, has the code 127 or 124, as in a shell."""
    try:
        done = subprocess.run(
            command,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            timeout=seconds,
        )
    except OSError as error:
        return Done(127, "", str(error))
    except subprocess.TimeoutExpired:
        return Done(124, "", "no answer within {} s".format(seconds))
    last = done.stderr.decode("utf-8", "replace").strip().rpartition("\n")[2]
    return Done(done.returncode, done.stdout.decode("utf-8", "replace").strip(), last[:300])
