"""Files as a zip that comes in pieces: it needs neither the memory nor the disk for all of it."""

import zipfile
from contextlib import suppress
from typing import Any, Iterable, Iterator, List, Tuple

from edge.contract.files import read_pieces


class _Pipe:
    """What `zipfile` takes for a file in which nobody can go back; what was written is taken out at the other end."""

    def __init__(self) -> None:
        self._parts: List[bytes] = []

    def write(self, data: Any) -> int:
        self._parts.append(bytes(data))
        return len(data)

    def flush(self) -> None:
        pass

    def take(self) -> bytes:
        data, self._parts = b"".join(self._parts), []
        return data


def zip_pieces(files: Iterable[Tuple[str, str]]) -> Iterator[bytes]:
    """A zip of (name in it, path), stored as they are: pictures are compressed already. None of its pieces is empty.

    A file that has gone meanwhile is left out. Raises OSError for one that cannot be read: the zip has no end then.
    """
    pipe = _Pipe()
    with zipfile.ZipFile(pipe, "w", zipfile.ZIP_STORED) as archive:
        for name, path in files:
            with suppress(FileNotFoundError), open(path, "rb") as file:
                # Its time stays that of ZipInfo: a board without a battery may live in 1970, which a zip cannot say
                with archive.open(zipfile.ZipInfo(name), "w") as member:
                    for piece in read_pieces(file):
                        member.write(piece)
                        yield pipe.take()
    yield pipe.take()
