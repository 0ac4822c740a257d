"""The room that a release needs on a board's disk: the board sees to it, and at first contact the desk."""

from typing import Iterable

from edge.contract.errors import BoardError
from edge.contract.manifest import FileEntry, Manifest

BLOCK_BYTES = 4096  # what a file takes on disk at least, and about what its entry in a folder does
MARGIN_BYTES = 4 << 20  # for bytecode, 1 MB of it, state.json, the launcher and what else writes meanwhile


def check_room(free: int, manifest: Manifest, absent: Iterable[FileEntry], here: int) -> None:
    """Raises BoardError unless `free` bytes do for a release of which `absent` come and `here` bytes have come."""
    needed = sum(entry.size_bytes for entry in absent) + MARGIN_BYTES + BLOCK_BYTES * len(manifest.files) - here
    if free < needed:
        raise BoardError("{} bytes free on the board's disk".format(free), "{}".format(needed), "free some space")
