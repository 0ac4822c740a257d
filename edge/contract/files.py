"""Writing a file so that a power cut leaves the old one or the new one, whole: fsync, rename, fsync the folder."""

import os
import tempfile
from typing import IO, Iterable, Iterator

PIECE_BYTES = 1 << 16
TEMPORARY = ".writing-"  # what a file is called until it is whole; a power cut may leave one


def read_pieces(file: IO[bytes]) -> Iterator[bytes]:
    """The rest of an open file, bit by bit: a board has no room for all of it."""
    return iter(lambda: file.read(PIECE_BYTES), b"")


def write_whole(path: str, data: bytes, mode: int = 0o644) -> None:
    """Puts `data` at `path`, replacing what was there. Raises OSError, and then leaves nothing behind."""
    write_pieces(path, [data], mode)
    sync_folder(os.path.dirname(os.path.abspath(path)))


def write_pieces(path: str, data: Iterable[bytes], mode: int) -> None:
    """As write_whole, but without the folder's fsync, which is the caller's, and for more than fits into memory."""
    handle, temporary = tempfile.mkstemp(dir=os.path.dirname(os.path.abspath(path)), prefix=TEMPORARY)
    try:
        with os.fdopen(handle, "wb") as file:
            for piece in data:
                file.write(piece)
            file.flush()
            os.fchmod(file.fileno(), mode)
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        os.unlink(temporary)
        raise


def sync_folder(folder: str) -> None:
    """Makes the names in `folder` durable: a rename alone may be lost."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
