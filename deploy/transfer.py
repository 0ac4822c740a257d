"""What goes to a board of a release archive, and in what order: what it lacks, and what a lost link left of that."""

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from deploy.board import Board, Part, Wire
from edge.contract.archive import MANIFEST, SIGNATURE, Archive, read_signed_part
from edge.contract.errors import FormatError, TrustError
from edge.contract.room import check_room

Progress = Callable[[int, int], None]  # bytes sent so far of what the board lacks, of how many

INCOMING, RUNTIME = "incoming", "runtime/"
_OBJECTS = f"{INCOMING}/objects"


def check_whole(release: Archive) -> None:
    lacking = sorted(set(release.manifest.files) - release.names)
    if lacking:
        raise FormatError(f"the archive leaves out {lacking[0]}", "a whole archive", "flash the one from `pack`")


@dataclass(frozen=True)
class Transfer:
    bytes_in_release: int
    bytes_kept: int
    objects: int


def transfer(
    board: Board, root: str, runtime: str, archive: Path, progress: Progress, set_aside: bool, new: bool
) -> Transfer:
    """Brings what the board lacks. The board verifies manifest and signature before any other file is sent.

    new: it has nothing yet, and the desk has verified the archive and sees to the room. Then the runtime's files, which
    the board has in its first runtime already, are on their way while that starts.
    """
    signed = read_signed_part(str(archive))
    board.put(zip((f"{INCOMING}/{MANIFEST}", f"{INCOMING}/{SIGNATURE}"), signed, strict=True))
    words = ["receive", f"{root}/{INCOMING}", *(["--set-aside"] if set_aside else [])]
    absent: list[str] = []
    if not new:
        board.receive(runtime, *words)
        absent = board.missing()
    with Archive(str(archive), _only(*signed)) as release:
        check_whole(release)
        files = release.manifest.files
        first_of = {files[name].sha256: name for name in sorted(files, reverse=True)}  # one name for equal files
        absent = list(first_of) if new else absent
        wanted = sorted((first_of[sha256] for sha256 in absent), key=lambda name: _turn(name, files[name].size_bytes))
        parts, free_bytes = board.arrived(_OBJECTS, absent)
        if new:
            check_room(free_bytes, release.manifest, files.values(), sum(part.size_bytes for part in parts.values()))
            board.receive(runtime, *words)
        kept = {name: _kept(release, name, parts.get(files[name].sha256)) for name in wanted}
        wires = {name: _wire(release, name, kept[name]) for name in wanted}
        total = sum(wire.size_bytes for wire in wires.values())
        progress(0, total)
        in_turn = _asking_late(wires, board.missing) if new else wires.values()
        board.bring(in_turn, lambda done: progress(done, total))
    return Transfer(sum(entry.size_bytes for entry in files.values()), sum(kept.values()), len(wanted))


def _asking_late(wires: dict[str, Wire], ask: Callable[[], object]) -> Iterator[Wire]:
    """All of them; `ask` is called once, after the runtime's."""
    small = [name for name in wires if name.startswith(RUNTIME)]
    yield from (wires[name] for name in small)
    ask()
    yield from (wire for name, wire in wires.items() if name not in small)


def _turn(name: str, size_bytes: int) -> tuple[bool, int, str]:
    """When a file is sent, for sorted(): the runtime first, whose many files cost the board's disk an fsync each, then
    the largest, so that the board has little left to check when the last one is there.
    """
    return (not name.startswith(RUNTIME), -size_bytes, name)


def _kept(release: Archive, name: str, part: Part | None) -> int:
    """How much of what a lost link left of the file is good: all of it, if its hash is that of the file's first bytes.

    It is believed no more than the rest: the board's install checks all of it.
    """
    if part is None or part.size_bytes > release.manifest.files[name].size_bytes:
        return 0
    digest = hashlib.sha256()
    for piece in _until(release.pieces(name), part.size_bytes):
        digest.update(piece)
    return part.size_bytes if digest.hexdigest() == part.sha256 else 0


def _wire(release: Archive, name: str, kept: int) -> Wire:
    """The file as it stands in the archive; or, after a part that was kept, the rest of it, inflated."""
    entry = release.manifest.files[name]
    path = f"{_OBJECTS}/{entry.sha256}"
    if kept:
        return Wire(path, kept, entry.size_bytes - kept, _after(release.pieces(name), kept), None)
    packed = release.packed(name)
    return Wire(path, 0, packed.size_bytes, packed.pieces, entry.size_bytes if packed.deflated else None)


def _until(pieces: Iterator[bytes], size: int) -> Iterator[bytes]:
    for piece in pieces:
        yield piece[:size]
        size -= len(piece)
        if size <= 0:
            return


def _after(pieces: Iterator[bytes], size: int) -> Iterator[bytes]:
    for piece in pieces:
        if len(piece) > size:
            yield piece[size:]
        size = max(0, size - len(piece))


def _only(manifest_data: bytes, signature: bytes) -> Callable[[bytes, bytes], None]:
    """Holds for exactly what the board has verified already, should the archive be replaced meanwhile."""

    def verify(data: bytes, signed: bytes) -> None:
        if (data, signed) != (manifest_data, signature):
            raise TrustError("the archive changed while it was sent", "one archive", "flash again")

    return verify
