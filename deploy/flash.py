"""A release archive onto a board: only what the board lacks is sent, and the board's own runtime verifies it.

At first contact there is no runtime yet. Then the desk verifies the archive, with the public key that the person names,
before it sends the archive's runtime and that key; from then on no archive brings its own verifier.
"""

import io
import time
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from deploy.board import Board, LinkLost, Look
from deploy.keys import key_id, load_public_key, public_pem, verifier
from deploy.target import parse_target
from deploy.transfer import INCOMING, RUNTIME, Progress, check_whole, transfer
from edge.contract.archive import Archive
from edge.contract.errors import BoardError, EdgewiseError, TrustError, UsageError

_BOOTSTRAP, _TRUST = "bootstrap", "trust"
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
            check_whole(release)
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
            sent = transfer(board, found.root, runtime, archive, progress, set_aside, new)
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
        for name in sorted(name for name in release.names if name.startswith(RUNTIME)):
            entry = zipfile.ZipInfo(name[len(RUNTIME) :])  # dated 1980: a desk's clock may say 1970, which no zip can
            runtime.writestr(entry, b"".join(release.pieces(name)), zipfile.ZIP_DEFLATED)
    return file.getvalue()


def _clear(board: Board) -> None:
    for leftover in (_BOOTSTRAP, INCOMING):
        board.remove(leftover)
