"""The camera that a board is there for: a line in ROOT/camera. A release must classify fresh frames of it to be GOOD.

Two processes cannot read one camera. While a release is on trial the file is locked, and whoever else reads the camera
lets go of it.
"""

import contextlib
import fcntl
import os
from typing import Iterator, Optional

from edge.address import hidden
from edge.board import Board
from edge.contract.errors import FormatError, UsageError
from edge.contract.files import write_whole

CAMERA = "camera"


def camera_of(board: Board) -> Optional[str]:
    """What `run` would be given as its source; None for a board without a camera. Raises FormatError."""
    try:
        with open(board.path(CAMERA), encoding="utf-8") as file:
            lines = file.read(4096).splitlines()
    except FileNotFoundError:
        return None
    except UnicodeDecodeError:
        lines = []
    if len(lines) != 1 or not lines[0].strip():
        raise FormatError("{} holds {} lines".format(board.path(CAMERA), len(lines)), "one: a camera", "write it anew")
    return lines[0].strip()


def set_camera(board: Board, source: Optional[str]) -> None:
    """From now on the board is there for `source`, or for no camera."""
    if source is not None:
        write_whole(board.path(CAMERA), (source + "\n").encode("utf-8"))
    else:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(board.path(CAMERA))


def refuse_password(source: str) -> None:
    """Raises UsageError for an address with a password: it would stand in a unit or a process's arguments for good."""
    shown = hidden(source)
    if shown != source:
        raise UsageError(
            "a password in the address of {}".format(shown),
            "@FILE",
            "write the address into a file that only the service may read, and name that: @/etc/camera, for one",
        )
    if source.startswith("@") and not os.path.isabs(source[1:]):
        raise UsageError("the source {}".format(source), "@ and an absolute path", "write it out")


@contextlib.contextmanager
def lending(board: Board) -> Iterator[None]:
    """Asks for the camera of a board that has one, until the end of the block or of this process."""
    with open(board.path(CAMERA)) as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def is_lent(board: Board) -> bool:
    """Whether a release on trial needs the camera now: then whoever reads it must let go."""
    try:
        with open(board.path(CAMERA)) as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
            return False
    except FileNotFoundError:
        return False
    except BlockingIOError:
        return True
