"""The board's folder: where things are in it, its lock, its state file and its `current` link."""

import errno
import fcntl
import os
from contextlib import contextmanager
from typing import Iterator, NamedTuple, Optional

from edge.contract.errors import BoardError
from edge.contract.files import sync_folder, write_whole
from edge.states import EMPTY, State, parse_state, state_bytes

NEXT = "current.new"

_NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


class BoardBusy(BoardError):
    """Another process is installing or rolling back."""


class Board(NamedTuple):
    root: str  # absolute
    machine: str  # as `uname -m` says: aarch64, x86_64
    name: str = ""  # of the table in edge/contract/boards.py; empty for a board that is not in it

    def path(self, *parts: str) -> str:
        return os.path.join(self.root, *parts)

    def release(self, name: str) -> str:
        return self.path("releases", name)


@contextmanager
def locked(board: Board) -> Iterator[None]:
    """Holds the board's lock, so that two installs cannot race. Raises BoardBusy at once if another holds it."""
    with open(board.path("lock"), "a") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno != errno.EWOULDBLOCK:
                raise
            raise BoardBusy("{} is being changed".format(board.root), "one at a time", "wait for it to end") from None
        yield  # closing the file frees the lock, and so does the end of this process, however it comes


@contextmanager
def disk_errors(board: Board) -> Iterator[None]:
    """Turns an OSError about the board's files into a BoardError of one line."""
    try:
        yield
    except OSError as error:
        name = error.filename or board.root
        if error.errno in _NO_ROOM:
            raise BoardError(
                "the disk is full at {}".format(name), "room for the release", "free some space and flash again"
            ) from None
        raise BoardError("{}: {}".format(name, error.strerror), "files that can be written", "check the disk") from None


def load_state(board: Board) -> State:
    """Raises FormatError for a malformed state.json, BoardError if it is gone although something is installed."""
    try:
        with open(board.path("state.json"), "rb") as file:
            return parse_state(file.read())
    except FileNotFoundError:
        if os.path.lexists(board.path("current")):
            raise BoardError(
                "{} has a current release but no state.json".format(board.root), "both", "restore it from a backup"
            ) from None
        return EMPTY


def save_state(board: Board, state: State) -> None:
    write_whole(board.path("state.json"), state_bytes(state))


def current_name(board: Board) -> Optional[str]:
    """The release that the `current` link names, whatever state.json says."""
    try:
        return os.path.basename(os.readlink(board.path("current")))
    except FileNotFoundError:
        return None


def point_current(board: Board, release: Optional[str]) -> None:
    """Makes `current` name `release`. With None, for a first install that did not hold, there is no link any more."""
    if current_name(board) == release:
        return
    if release is None:
        os.unlink(board.path("current"))
    else:
        if os.path.lexists(board.path(NEXT)):
            os.unlink(board.path(NEXT))
        os.symlink(os.path.join("releases", release), board.path(NEXT))
        os.rename(board.path(NEXT), board.path("current"))  # there is no moment without a link
    sync_folder(board.root)
