"""NAME-VERSION.edge, read so that nothing in it is believed before its signature holds. Desk and board share it.

The archive is a zip of a strict profile (docs/package-format.md): its entries tile the file from the first byte to the
last, so there is nothing before, between or after them. The standard library's reader is lenient where this must be
strict (bytes in front, zip64 overrides, overlapping or repeated entries) and lists entries without a limit.
"""

import hashlib
import os
import struct
import zlib
from typing import IO, Any, Callable, Dict, FrozenSet, Iterator, NamedTuple, Tuple

from edge.contract.errors import FormatError, InputError, TrustError
from edge.contract.files import PIECE_BYTES, write_pieces
from edge.contract.manifest import MAX_FILES, MAX_MANIFEST_BYTES, parse_manifest, release_id

MANIFEST = "manifest.json"
SIGNATURE = "manifest.sig"
SIGNATURE_BYTES = 64

_LOCAL = struct.Struct("<4s5H3I2H")
_CENTRAL = struct.Struct("<4s6H3I5H2I")
_END = struct.Struct("<4s4H2IH")
_STORED, _DEFLATED = 0, 8
_MAX_NAME_BYTES = 255

Verify = Callable[[bytes, bytes], Any]  # (manifest's exact bytes, signature); raises TrustError unless it holds


class Packed(NamedTuple):
    """A file's bytes in an archive, not inflated and not checked."""

    deflated: bool
    size_bytes: int
    pieces: Iterator[bytes]


class _Entry(NamedTuple):
    at: int  # where its content starts
    stored_bytes: int
    size_bytes: int
    deflated: bool


class Archive:
    """An open archive whose signature holds. Use it with `with`."""

    def __init__(self, path: str, verify: Verify) -> None:
        """Raises InputError if `path` cannot be read, FormatError for an odd zip, TrustError for what does not hold."""
        self._file = _open(path)
        try:
            self._entries = _entries(self._file)
            self.manifest_data, self.signature = _signed_part(self._file, self._entries)
            verify(self.manifest_data, self.signature)
            self.manifest = parse_manifest(self.manifest_data)
            self.release = release_id(self.manifest_data)
            self._check_listed()
        except BaseException:
            self._file.close()
            raise

    def __enter__(self) -> "Archive":
        return self

    def __exit__(self, *_: Any) -> None:
        self._file.close()

    @property
    def names(self) -> FrozenSet[str]:
        """The manifest's files that are in this archive: all of them, unless it was made for one board."""
        return frozenset(self._entries) - {MANIFEST, SIGNATURE}

    def pieces(self, name: str) -> Iterator[bytes]:
        """The file's content, as long as the manifest says. Raises TrustError at its end for another hash."""
        expected = self.manifest.files[name]
        digest = hashlib.sha256()
        for piece in _content(self._file, self._entries[name]):
            digest.update(piece)
            yield piece
        if digest.hexdigest() != expected.sha256:
            raise TrustError(
                "{} has the sha256 {}".format(name, digest.hexdigest()),
                "{} as the manifest says".format(expected.sha256),
                "get the archive again from whoever packed it",
            )

    def store(self, name: str, path: str) -> None:
        """Puts the file at `path`, read-only, whole and durable; the folder's fsync is the caller's. As pieces()."""
        write_pieces(path, self.pieces(name), 0o444)

    def packed(self, name: str) -> Packed:
        """The file as it stands in this archive."""
        entry = self._entries[name]
        return Packed(entry.deflated, entry.stored_bytes, _plain(self._file, entry))

    def _check_listed(self) -> None:
        for name in sorted(self.names):
            listed = self.manifest.files.get(name)
            if listed is None:
                raise TrustError("the archive holds {!a}".format(name), "only what its manifest lists", "do not use it")
            if listed.size_bytes != self._entries[name].size_bytes:
                raise TrustError(
                    "{} has {} bytes".format(name, self._entries[name].size_bytes),
                    "{} as the manifest says".format(listed.size_bytes),
                    "do not use it",
                )


def read_signed_part(path: str) -> Tuple[bytes, bytes]:
    """The manifest's bytes and signature, neither of them verified: only to be handed to whoever verifies them."""
    with _open(path) as file:
        return _signed_part(file, _entries(file))


def _open(path: str) -> IO[bytes]:
    try:
        return open(path, "rb")
    except OSError as error:
        raise InputError("{}: {}".format(path, error.strerror), "a release archive", "check the path") from None


def _entries(file: IO[bytes]) -> Dict[str, _Entry]:
    """Every entry by its name. Raises FormatError unless they tile the whole file."""
    end_at = file.seek(0, os.SEEK_END) - _END.size
    end = _read(file, end_at, _END.size)
    magic, disk, first_disk, here, count, size, start, comment = _END.unpack(end)
    if magic != b"PK\5\6" or disk or first_disk or comment or here != count or start + size != end_at:
        raise _odd("does not end as a zip does: cut short, or with something after it")
    if count > MAX_FILES + 2 or size > count * (_CENTRAL.size + _MAX_NAME_BYTES):
        raise _odd("has {} entries in a directory of {} bytes".format(count, size))
    directory = _read(file, start, size)
    entries: Dict[str, _Entry] = {}
    place = next_at = 0
    for _ in range(count):
        place, next_at, name, entry = _entry(file, directory, place, next_at)
        if name in entries:
            raise _odd("holds {!a} twice".format(name))
        entries[name] = entry
    if (place, next_at) != (size, start):
        raise _odd("has bytes that belong to no entry")
    return entries


def _entry(file: IO[bytes], directory: bytes, place: int, at: int) -> Tuple[int, int, str, _Entry]:
    """The directory's entry at `place`, which must start at `at` in the file; with where the next ones start."""
    header = directory[place : place + _CENTRAL.size]
    if len(header) != _CENTRAL.size:
        raise _odd("has a directory that is cut short")
    (magic, _, needs, flags, method, time, date, crc, stored, size, length, extra, comment, disk, _, mode, offset) = (
        _CENTRAL.unpack(header)
    )
    raw_name = directory[place + _CENTRAL.size : place + _CENTRAL.size + length]
    try:
        name = raw_name.decode("ascii")
    except UnicodeDecodeError:
        raise _odd("holds the name {!a}".format(raw_name)) from None
    if magic != b"PK\1\2" or flags or extra or comment or disk or method not in (_STORED, _DEFLATED):
        raise _odd("has an encrypted, extended or otherwise odd entry {!a}".format(name))
    if (mode >> 16) & 0o170000 not in (0, 0o100000):
        raise _odd("holds {!a}, which is no plain file".format(name))
    local = _LOCAL.pack(b"PK\3\4", needs, flags, method, time, date, crc, stored, size, length, 0) + raw_name
    if offset != at or _read(file, at, len(local)) != local or (method == _STORED and stored != size):
        raise _odd("describes {!a} in two ways".format(name))
    content_at = at + len(local)
    entry = _Entry(content_at, stored, size, method == _DEFLATED)
    return place + len(header) + length, content_at + stored, name, entry


def _signed_part(file: IO[bytes], entries: Dict[str, _Entry]) -> Tuple[bytes, bytes]:
    parts = []
    for name, low, high in ((MANIFEST, 1, MAX_MANIFEST_BYTES), (SIGNATURE, SIGNATURE_BYTES, SIGNATURE_BYTES)):
        if name not in entries or not low <= entries[name].size_bytes <= high:
            raise _odd("has no {} of {} to {} bytes".format(name, low, high))
        parts.append(b"".join(_content(file, entries[name])))
    return parts[0], parts[1]


def _content(file: IO[bytes], entry: _Entry) -> Iterator[bytes]:
    """The entry's content in pieces, exactly as many bytes as it states. Raises FormatError for any other number."""
    size = 0
    for piece in _inflated(file, entry) if entry.deflated else _plain(file, entry):
        size += len(piece)
        if size > entry.size_bytes:
            break
        yield piece
    if size != entry.size_bytes:
        raise _odd("has an entry of another size than it states")


def _plain(file: IO[bytes], entry: _Entry) -> Iterator[bytes]:
    for done in range(0, entry.stored_bytes, PIECE_BYTES):
        yield _read(file, entry.at + done, min(PIECE_BYTES, entry.stored_bytes - done))


def _inflated(file: IO[bytes], entry: _Entry) -> Iterator[bytes]:
    decoder = zlib.decompressobj(-zlib.MAX_WBITS)
    try:
        for piece in _plain(file, entry):
            while piece:
                yield decoder.decompress(piece, PIECE_BYTES)
                piece = decoder.unconsumed_tail
        yield decoder.flush()
    except zlib.error:
        raise _odd("has an entry that does not decompress") from None
    if not decoder.eof or decoder.unused_data:
        raise _odd("has an entry whose compressed bytes do not end where they should")


def _read(file: IO[bytes], at: int, size: int) -> bytes:
    file.seek(max(0, at))
    data = file.read(size)
    if at < 0 or len(data) != size:
        raise _odd("is cut short")
    return data


def _odd(found: str) -> FormatError:
    return FormatError("the archive " + found, "a whole file that `edgewise pack` wrote", "copy or pack it again")
