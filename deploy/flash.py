"""A release archive onto a board: only what the board lacks is sent, and the board's own runtime verifies it.

At first contact there is no runtime yet. Then the desk verifies the archive, with the public key that the person names,
before it sends the archive's runtime and that key; from then on no archive brings its own verifier.
"""

import hashlib
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from deploy.board import Board, LinkLost, Look
from deploy.keys import key_id, load_public_key, public_pem, verifier
from deploy.target import parse_target
from edge.contract.archive import MANIFEST, SIGNATURE, Archive, read_signed_part
from edge.contract.errors import BoardError, EdgewiseError, FormatError, TrustError, UsageError

Progress = Callable[[int, int], None]  # bytes sent so far of the partial archive, of how many

_BOOTSTRAP, _INCOMING, _TRUST, _RUNTIME = "bootstrap", "incoming", "trust", "runtime/"
_MARGIN_BYTES = 1 << 20  # of the board's disk, for what else writes meanwhile


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


@dataclass(frozen=True)
class _Transfer:
    path: str  # of the partial archive, on the board
    bytes_in_release: int
    bytes_kept: int
    objects: int


Agree = Callable[[FirstContact], bool]


@dataclass(frozen=True)
class FlashReport:
    release: str
    state: str
    first_contact: bool
    bytes_in_release: int  # of the files that the manifest lists
    bytes_sent: int  # of all that went to the board: the courier, at first contact runtime and key, the partial archive
    bytes_kept: int  # of the partial archive, from a flash whose link was lost
    objects_sent: int
    seconds: float
    health_seconds: float  # of them, the trial of the release on the board


@dataclass(frozen=True)
class Contact:
    """An open board that may be flashed: at first contact, a person agreed."""

    target: str
    board: Board
    found: Look
    key: Ed25519PublicKey | None
    started: float


def flash(
    archive: Path,
    target: str,
    trust: Path | None,
    progress: Progress,
    agree: Agree,
    clock: Callable[[], float] = time.monotonic,
    set_aside: bool = False,
) -> FlashReport:
    """Installs `archive` on the board: meet(), then install(), which say what they raise."""
    return install(meet(archive, target, trust, agree, clock), archive, progress, clock, set_aside)


def meet(
    archive: Path, target: str, trust: Path | None, agree: Agree, clock: Callable[[], float] = time.monotonic
) -> Contact:
    """Opens the board and looks at it; nothing is written. Its connection is ended by install().

    trust: a public key file, needed at first contact; the desk checks the archive with it. agree: asked then.
    Raises UsageError for a bad target, a missing `trust` or a no; InputError for a file that cannot be read; TrustError
    or FormatError for an archive that is refused; BoardError for a board that cannot be reached.
    """
    started = clock()
    place = parse_target(target)
    key = load_public_key(trust) if trust else None
    if key is not None:
        with Archive(str(archive), verifier(key)) as release:
            _check_whole(release)
    board = Board(place)
    try:
        found = board.look()
        if found.runtime is None:
            _check_contact(archive, target, _named(key, target), found, agree)
    except BaseException:
        board.close()
        raise
    return Contact(target, board, found, key, started)


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
        board.claim()
        if board.look() != found:
            raise BoardError(f"{target} changed while it was looked at", "one desk at a time", "flash again")
        try:
            runtime = found.runtime or _introduce(board, found.root, archive, _named(key, target))
            sent = _transfer(board, found.root, runtime, archive, progress)
            answer = board.run(runtime, "install", sent.path, *(["--set-aside"] if set_aside else []))
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
            seconds=clock() - contact.started,
            health_seconds=answer.get("health_s", 0.0),  # a runtime from before does not say it
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


def _introduce(board: Board, root: str, archive: Path, key: Ed25519PublicKey) -> str:
    """At first contact: the key and the archive's runtime, after the desk verified it. Returns the runtime's folder."""
    with Archive(str(archive), verifier(key)) as release:
        board.remove(_BOOTSTRAP)
        board.put([(f"{_TRUST}/{key_id(key)}.pub", public_pem(key))], durable=True)
        names = sorted(name for name in release.names if name.startswith(_RUNTIME))
        board.put((f"{_BOOTSTRAP}/{name}", b"".join(release.pieces(name))) for name in names)
    return f"{root}/{_BOOTSTRAP}/{_RUNTIME}"


def _check_whole(release: Archive) -> None:
    lacking = sorted(set(release.manifest.files) - release.names)
    if lacking:
        raise FormatError(f"the archive leaves out {lacking[0]}", "a whole archive", "flash the one from `pack`")


def _transfer(board: Board, root: str, runtime: str, archive: Path, progress: Progress) -> _Transfer:
    """Brings what the board lacks. The board verifies manifest and signature before anything else is sent."""
    signed = read_signed_part(str(archive))
    names = (f"{_INCOMING}/{MANIFEST}", f"{_INCOMING}/{SIGNATURE}")
    board.put(zip(names, signed, strict=True))
    absent = set(board.run(runtime, "missing", *(f"{root}/{name}" for name in names))["missing"])
    with Archive(str(archive), _only(*signed)) as release:
        _check_whole(release)
        files = release.manifest.files
        first_of = {files[name].sha256: name for name in sorted(files, reverse=True)}  # one name for equal files
        wanted = sorted(name for sha256, name in first_of.items() if sha256 in absent)
        partial = release.copy_of(wanted)
        name = f"{_INCOMING}/{release.release}.edge"
        kept_bytes = _send(board, name, partial, sum(files[name].size_bytes for name in wanted), progress)
        total = sum(entry.size_bytes for entry in files.values())
    return _Transfer(f"{root}/{name}", total, kept_bytes, len(wanted))


def _send(board: Board, name: str, partial: bytes, content_bytes: int, progress: Progress) -> int:
    """Writes the partial archive, from where a lost link left it. Returns how much of it was there.

    The same release for the same board gives the same bytes, so a part is good if its hash is that of our first bytes.
    What it holds is believed no more than the rest: the board's install checks all of it.
    """
    part = board.part(name)
    ours = hashlib.sha256(partial[: part.size_bytes]).hexdigest() == part.sha256
    at = part.size_bytes if ours and part.size_bytes <= len(partial) else 0
    needed = len(partial) + content_bytes + _MARGIN_BYTES
    if part.free_bytes + part.size_bytes < needed:
        raise BoardError(
            f"{part.free_bytes} bytes free on the disk of {board.target.name}", f"{needed}", "free some space"
        )
    progress(at, len(partial))
    board.put_rest(name, partial, at, lambda done: progress(done, len(partial)))
    return at


def _only(manifest_data: bytes, signature: bytes) -> Callable[[bytes, bytes], None]:
    """Holds for exactly what the board has verified already, should the archive be replaced meanwhile."""

    def verify(data: bytes, signed: bytes) -> None:
        if (data, signed) != (manifest_data, signature):
            raise TrustError("the archive changed while it was sent", "one archive", "flash again")

    return verify


def _clear(board: Board) -> None:
    for leftover in (_BOOTSTRAP, _INCOMING):
        board.remove(leftover)
