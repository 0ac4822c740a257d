"""The board's files by their sha256, and release folders made of hard links to them."""

import errno
import hashlib
import os
import shutil
from typing import Iterable

from edge.board import NEXT, Board
from edge.contract.archive import MANIFEST, SIGNATURE
from edge.contract.files import TEMPORARY, read_pieces, sync_folder, write_pieces
from edge.contract.manifest import FileEntry, Manifest

_NO_LINKS = (errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK, errno.EXDEV)


def has_object(board: Board, entry: FileEntry) -> bool:
    """Whether the file is here, whole: read and hashed anew, since a disk can rot between two releases."""
    path = board.path("objects", entry.sha256)
    if not os.path.isfile(path) or os.path.getsize(path) != entry.size_bytes:
        return False
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        for piece in read_pieces(file):
            digest.update(piece)
    return digest.hexdigest() == entry.sha256


def build_folder(board: Board, release: str, manifest: Manifest, data: bytes, signature: bytes) -> None:
    """releases/<release>, in one rename, from objects that are all here."""
    partial = board.release(release) + ".new"
    os.mkdir(partial)
    for name, entry in sorted(manifest.files.items()):
        path = os.path.join(partial, name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        _link(board.path("objects", entry.sha256), path)
    write_pieces(os.path.join(partial, MANIFEST), [data], 0o444)
    write_pieces(os.path.join(partial, SIGNATURE), [signature], 0o444)
    for folder, _, _ in os.walk(partial):
        sync_folder(folder)
    os.rename(partial, board.release(release))
    sync_folder(board.path("releases"))


def sweep(board: Board, keep: Iterable[str]) -> None:
    """Removes every release but those in `keep`, then every object that no release links to, and what was half-written.

    Where there are no hard links this removes all objects: a release has its own copies then, and needs no second one.
    """
    wanted = set(keep)
    for name in sorted(os.listdir(board.path("releases"))):
        if name not in wanted:
            shutil.rmtree(board.release(name))
    for name in sorted(os.listdir(board.path("objects"))):
        path = board.path("objects", name)
        if name.startswith(TEMPORARY) or os.stat(path).st_nlink == 1:
            os.unlink(path)
    for name in sorted(os.listdir(board.root)):
        if name == NEXT or name.startswith(TEMPORARY):
            os.unlink(board.path(name))


def _link(source: str, path: str) -> None:
    try:
        os.link(source, path)
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
        with open(source, "rb") as file:
            write_pieces(path, read_pieces(file), 0o444)
