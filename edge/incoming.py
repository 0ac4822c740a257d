"""A release whose files come one by one from a desk: manifest.json, manifest.sig, and objects/SHA256.

A file is hashed and made durable as soon as it is told of, while the next one is on its way.
"""

import hashlib
import os
from contextlib import suppress
from typing import IO, Any, FrozenSet, Iterator, Set

from edge.contract.archive import MANIFEST, SIGNATURE, SIGNATURE_BYTES, Verify
from edge.contract.errors import FormatError, InputError, TrustError
from edge.contract.files import read_pieces
from edge.contract.manifest import MAX_MANIFEST_BYTES, parse_manifest, release_id


class Incoming:
    """What is in a folder of it so far. It has what install() asks of an Archive."""

    def __init__(self, folder: str, verify: Verify) -> None:
        """Raises InputError, FormatError or TrustError for a manifest that cannot be read or does not hold."""
        self.manifest_data = _small(os.path.join(folder, MANIFEST), MAX_MANIFEST_BYTES)
        self.signature = _small(os.path.join(folder, SIGNATURE), SIGNATURE_BYTES)
        verify(self.manifest_data, self.signature)
        self.manifest = parse_manifest(self.manifest_data)
        self.release = release_id(self.manifest_data)
        self._entries = {entry.sha256: entry for entry in self.manifest.files.values()}
        self._objects = os.path.join(folder, "objects")
        os.makedirs(self._objects, exist_ok=True)
        self._whole: Set[str] = set()  # sha256 of what was hashed here and is durable

    def __enter__(self) -> "Incoming":
        return self

    def __exit__(self, *_: Any) -> None:
        """It holds nothing open."""

    @property
    def names(self) -> FrozenSet[str]:
        """The manifest's files that are here."""
        here = set(os.listdir(self._objects))
        return frozenset(name for name, entry in self.manifest.files.items() if entry.sha256 in here)

    @property
    def size_bytes(self) -> int:
        """Of all that has come, also in part."""
        total = 0
        for name in os.listdir(self._objects):
            with suppress(FileNotFoundError):  # at first contact files are coming meanwhile: a part has got its name
                total += os.path.getsize(os.path.join(self._objects, name))
        return total

    def check(self, sha256: str) -> None:
        """Hashes a file of the manifest and makes it durable. Raises TrustError for another content."""
        entry = self._entries.get(sha256)
        if entry is None:
            raise TrustError("the file {!a} came".format(sha256[:64]), "only what the manifest lists", "flash again")
        if sha256 in self._whole:
            return
        with open(self._path(sha256), "rb") as file:
            if os.fstat(file.fileno()).st_size != entry.size_bytes or _sha256(file) != sha256:
                raise TrustError(
                    "the file {} has another content".format(sha256), "what the manifest says", "flash again"
                )
            os.fchmod(file.fileno(), 0o444)
            os.fsync(file.fileno())
        self._whole.add(sha256)

    def pieces(self, name: str) -> Iterator[bytes]:
        """The file's content. Raises as check()."""
        sha256 = self.manifest.files[name].sha256
        self.check(sha256)
        with open(self._path(sha256), "rb") as file:
            for piece in read_pieces(file):
                yield piece

    def store(self, name: str, path: str) -> None:
        """Moves the file to `path`, read-only, whole and durable; the folder's fsync is the caller's. As check()."""
        sha256 = self.manifest.files[name].sha256
        self.check(sha256)
        os.replace(self._path(sha256), path)

    def _path(self, sha256: str) -> str:
        return os.path.join(self._objects, sha256)


def _small(path: str, most_bytes: int) -> bytes:
    try:
        with open(path, "rb") as file:
            data = file.read(most_bytes + 1)
    except OSError as error:
        raise InputError("{}: {}".format(path, error.strerror), "a manifest and its signature", "flash again") from None
    if not 0 < len(data) <= most_bytes:
        raise FormatError(
            "{} has {} bytes or more".format(path, len(data)), "1 to {}".format(most_bytes), "flash again"
        )
    return data


def _sha256(file: IO[bytes]) -> str:
    digest = hashlib.sha256()
    for piece in read_pieces(file):
        digest.update(piece)
    return digest.hexdigest()
