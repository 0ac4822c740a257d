"""A release archive onto a board: only what the board lacks is sent, and the board's own runtime verifies it.

At first contact there is no runtime yet. Then the desk verifies the archive, with the public key that the person names,
before it sends the archive's runtime and that key; from then on no archive brings its own verifier.
"""

import hashlib
import io
import time
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from deploy.board import Board, LinkLost, Look, Part, Wire
from deploy.keys import key_id, load_public_key, public_pem, verifier
from deploy.target import parse_target
from edge.contract.archive import MANIFEST, SIGNATURE, Archive, read_signed_part
from edge.contract.errors import BoardError, EdgewiseError, FormatError, TrustError, UsageError
from edge.contract.room import check_room

Progress = Callable[[int, int], None]  # bytes sent so far of what the board lacks, of how many

_BOOTSTRAP, _INCOMING, _TRUST, _RUNTIME = "bootstrap", "incoming", "trust", "runtime/"
_OBJECTS = f"{_INCOMING}/objects"
_FIRST_RUNTIME = f"{_BOOTSTRAP}/runtime.zip"


@dataclass(frozen=True)
class FirstContact:
    """What a person agrees to before a board trusts a key."""

    target: str
    root: str
    machine: str  # as `uname -m` says
    release: str
    files: int
    size_bytes: int
    key_id: str


Agree = Callable[[FirstContact], bool]
Prepare = Callable[[Board, Look], object]  # what else a board needs before it can take a release


@dataclass(frozen=True)
class FlashReport:
    release: str
    state: str
    first_contact: bool
    bytes_in_release: int  # of the files that the manifest lists
    bytes_sent: int  # of all that went to the board: the courier, at first contact runtime and key, what it lacks
    bytes_kept: int  # of its files, from a flash whose link was lost
    objects_sent: int
    seconds: float  # until it was GOOD; what the flash left is cleared after that
    staged_seconds: float  # of them, until all was in its place on the board and its trial began
    health_seconds: float  # of them, the trial of the release on the board
    needs_measuring: bool = False  # the board's engines were measured with other networks than the release's


@dataclass(frozen=True)
class Contact:
    """An open board that may be flashed: at first contact, a person agreed."""

    target: str
    board: Board
    found: Look
    key: Ed25519PublicKey | None
    runtime: bytes  # the archive's, verified, for a board that has none; empty without a key
    started: float


def flash(
    archive: Path,
    target: str,
    trust: Path | None,
    progress: Progress,
    agree: Agree,
    clock: Callable[[], float] = time.monotonic,
    set_aside: bool = False,
    prepare: Prepare = lambda board, found: None,
) -> FlashReport:
    """Installs `archive` on the board: meet(), then install(), which say what they raise."""
    return install(meet(archive, target, trust, agree, clock, prepare), archive, progress, clock, set_aside)


def meet(
    archive: Path,
    target: str,
    trust: Path | None,
    agree: Agree,
    clock: Callable[[], float] = time.monotonic,
    prepare: Prepare = lambda board, found: None,
) -> Contact:
    """Opens the board and looks at it; nothing is written but by `prepare`. Its connection is ended by install().

    trust: a public key file, needed at first contact; the desk checks the archive with it. agree: asked then.
    Raises UsageError for a bad target, a missing `trust` or a no; InputError for a file that cannot be read; TrustError
    or FormatError for an archive that is refused; BoardError for a board that cannot be reached.
    """
    started = clock()
    place = parse_target(target)
    key = load_public_key(trust) if trust else None
    runtime: list[bytes] = []
    if key is None:
        board = Board(place)
    else:
        with Archive(str(archive), verifier(key)) as release:
            _check_whole(release)
            board = Board(place, meanwhile=lambda: runtime.append(_runtime_zip(release)))
    try:
        found = board.look()
        if found.runtime is None:
            _check_contact(archive, target, _named(key, target), found, agree)
        prepare(board, found)
    except BaseException:
        board.close()
        raise
    return Contact(target, board, found, key, b"".join(runtime), started)


def install(
    contact: Contact,
    archive: Path,
    progress: Progress,
    clock: Callable[[], float] = time.monotonic,
    set_aside: bool = False,
) -> FlashReport:
    """Installs `archive` on a board that was met, and ends its connection.

    set_aside: go on where a new network cannot use what the board has learnt; else that is a BoardError that says what.
    Raises TrustError, FormatError or GateError for an archive that is refused; BoardError for a board that cannot take
    it; LinkLost for a connection that ended half-way. The board then runs what it ran before.
    """
    target, found, key = contact.target, contact.found, contact.key
    with contact.board as board:
        if board.claim() != found:
            raise BoardError(f"{target} changed while it was looked at", "one desk at a time", "flash again")
        try:
            runtime = found.runtime or _introduce(board, found.root, _named(key, target), contact.runtime)
            new = found.runtime is None
            sent = _transfer(board, found.root, runtime, archive, progress, set_aside, new)
            staged: list[float] = []
            answer = board.finish(lambda: staged.append(clock() - contact.started))
            seconds = clock() - contact.started
            health_seconds: float = answer.get("health_s", 0.0)  # a runtime from before does not say it
        except LinkLost:
            raise  # what arrived stays, for the next flash to go on from
        except EdgewiseError:
            _clear(board)
            raise
        _clear(board)
        return FlashReport(
            release=answer["release"],
            state=answer["state"],
            first_contact=found.runtime is None,
            bytes_in_release=sent.bytes_in_release,
            bytes_sent=board.sent_bytes,
            bytes_kept=sent.bytes_kept,
            objects_sent=sent.objects,
            seconds=seconds,
            staged_seconds=staged[0] if staged else seconds - health_seconds,
            health_seconds=health_seconds,
            needs_measuring=answer.get("needs_measuring", False),
        )


def _named(key: Ed25519PublicKey | None, target: str) -> Ed25519PublicKey:
    if key is None:
        raise UsageError(f"{target} has no release yet", "a key that it shall trust", "name it: --trust NAME.pub")
    return key


def _check_contact(archive: Path, target: str, key: Ed25519PublicKey, found: Look, agree: Agree) -> None:
    """Raises TrustError where the board trusts another key already, UsageError where the person does not agree."""
    key_name = key_id(key) + ".pub"
    if found.keys not in ([], [key_name]):
        raise TrustError(f"the board trusts {', '.join(found.keys)}", f"{key_name} or none yet", "pack with that key")
    with Archive(str(archive), verifier(key)) as release:
        files = release.manifest.files
        size_bytes = sum(entry.size_bytes for entry in files.values())
        contact = FirstContact(target, found.root, found.machine, release.release, len(files), size_bytes, key_id(key))
    if not agree(contact):
        raise UsageError("nobody agreed, so nothing was written", "a yes", "answer y, or say --yes in a script")


def _introduce(board: Board, root: str, key: Ed25519PublicKey, runtime: bytes) -> str:
    """At first contact: the key, and the archive's runtime. Returns where that is."""
    board.remove(_BOOTSTRAP)
    board.put([(f"{_TRUST}/{key_id(key)}.pub", public_pem(key))], durable=True)
    board.put([(_FIRST_RUNTIME, runtime)])
    return f"{root}/{_FIRST_RUNTIME}"


def _runtime_zip(release: Archive) -> bytes:
    """The release's runtime in one file, which Python imports as it is: a file each would be sent twice over."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as runtime:
        for name in sorted(name for name in release.names if name.startswith(_RUNTIME)):
            entry = zipfile.ZipInfo(name[len(_RUNTIME) :])  # dated 1980: a desk's clock may say 1970, which no zip can
            runtime.writestr(entry, b"".join(release.pieces(name)), zipfile.ZIP_DEFLATED)
    return file.getvalue()


def _check_whole(release: Archive) -> None:
    lacking = sorted(set(release.manifest.files) - release.names)
    if lacking:
        raise FormatError(f"the archive leaves out {lacking[0]}", "a whole archive", "flash the one from `pack`")


@dataclass(frozen=True)
class _Transfer:
    bytes_in_release: int
    bytes_kept: int
    objects: int


def _transfer(
    board: Board, root: str, runtime: str, archive: Path, progress: Progress, set_aside: bool, new: bool
) -> _Transfer:
    """Brings what the board lacks. The board verifies manifest and signature before any other file is sent.

    new: it has nothing yet, and the desk has verified the archive and sees to the room. Then the runtime's files, which
    the board has in its first runtime already, are on their way while that starts.
    """
    signed = read_signed_part(str(archive))
    board.put(zip((f"{_INCOMING}/{MANIFEST}", f"{_INCOMING}/{SIGNATURE}"), signed, strict=True))
    words = ["receive", f"{root}/{_INCOMING}", *(["--set-aside"] if set_aside else [])]
    absent: list[str] = []
    if not new:
        board.receive(runtime, *words)
        absent = board.missing()
    with Archive(str(archive), _only(*signed)) as release:
        _check_whole(release)
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
    return _Transfer(sum(entry.size_bytes for entry in files.values()), sum(kept.values()), len(wanted))


def _asking_late(wires: dict[str, Wire], ask: Callable[[], object]) -> Iterator[Wire]:
    """All of them; `ask` is called once, after the runtime's."""
    small = [name for name in wires if name.startswith(_RUNTIME)]
    yield from (wires[name] for name in small)
    ask()
    yield from (wire for name, wire in wires.items() if name not in small)


def _turn(name: str, size_bytes: int) -> tuple[bool, int, str]:
    """When a file is sent, for sorted(): the runtime first, whose many files cost the board's disk an fsync each, then
    the largest, so that the board has little left to check when the last one is there.
    """
    return (not name.startswith(_RUNTIME), -size_bytes, name)


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


def _clear(board: Board) -> None:
    for leftover in (_BOOTSTRAP, _INCOMING):
        board.remove(leftover)
