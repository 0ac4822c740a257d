"""A release archive onto a board: only what the board lacks is sent, and the board's own runtime verifies it.

At first contact there is no runtime yet. Then the desk verifies the archive, with the public key that the person names,
before it sends the archive's runtime and that key; from then on no archive brings its own verifier.
"""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from deploy.archive import archive_bytes
from deploy.keys import key_id, load_public_key, public_pem, verifier
from deploy.target import LocalBoard, parse_target
from edge.contract.archive import MANIFEST, SIGNATURE, Archive, read_signed_part
from edge.contract.errors import FormatError, TrustError, UsageError

Progress = Callable[[int, int], None]  # bytes of files sent so far, of how many; before compression

_BOOTSTRAP, _INCOMING, _TRUST, _RUNTIME = "bootstrap", "incoming", "trust", "runtime/"


@dataclass(frozen=True)
class FlashReport:
    release: str
    state: str
    first_contact: bool
    bytes_in_release: int  # of the files that the manifest lists
    bytes_sent: int  # of all that was written to the board: at first contact runtime and key, then the partial archive
    objects_sent: int
    seconds: float


def flash(
    archive: Path,
    target: str,
    trust: Path | None,
    progress: Progress,
    clock: Callable[[], float] = time.monotonic,
    set_aside: bool = False,
) -> FlashReport:
    """Installs `archive` on the board. `trust`, a public key file, is needed at first contact; the desk checks with it.

    set_aside: go on where a new network cannot use what the board has learnt; else that is a BoardError that says what.
    Raises UsageError for a bad target or a missing `trust`, InputError for a file that cannot be read, TrustError,
    FormatError or GateError for an archive that is refused, BoardError for a board that cannot take it. The board then
    runs what it ran before.
    """
    started = clock()
    board = parse_target(target)
    trusted = board.keys()
    installed = board.runtime()
    if installed is None and trust is None:
        raise UsageError(f"{target} has no release yet", "a key that it shall trust", "name it: --trust NAME.pub")
    _clear(board)
    try:
        introduced_bytes = _introduce(board, archive, trust, trusted, installed is None) if trust else 0
        runtime = installed or board.path(_BOOTSTRAP) / _RUNTIME
        manifest_data, signature = _show_manifest(board, archive)
        absent = board.run(runtime, "missing", *(str(board.path(_INCOMING) / n) for n in (MANIFEST, SIGNATURE)))
        with Archive(str(archive), _only(manifest_data, signature)) as release:
            partial_bytes, objects = _send(board, release, set(absent["missing"]), progress)
            partial = str(board.path(_INCOMING) / f"{release.release}.edge")
            answer = board.run(runtime, "install", partial, *(["--set-aside"] if set_aside else []))
            total = sum(entry.size_bytes for entry in release.manifest.files.values())
    finally:
        _clear(board)
    return FlashReport(
        release=answer["release"],
        state=answer["state"],
        first_contact=installed is None,
        bytes_in_release=total,
        bytes_sent=introduced_bytes + partial_bytes,
        objects_sent=objects,
        seconds=clock() - started,
    )


def _introduce(board: LocalBoard, archive: Path, trust: Path, trusted: list[str], first_contact: bool) -> int:
    """Verifies `archive` here; at first contact sends the key and the runtime. Returns the bytes written."""
    key = load_public_key(trust)
    with Archive(str(archive), verifier(key)) as release:
        _check_whole(release)
        if not first_contact:
            return 0
        key_name = key_id(key) + ".pub"
        if trusted not in ([], [key_name]):
            raise TrustError(f"the board trusts {', '.join(trusted)}", f"{key_name} or none yet", "pack with that key")
        board.put(f"{_TRUST}/{key_name}", public_pem(key))
        runtime = [name for name in sorted(release.names) if name.startswith(_RUNTIME)]
        for name in runtime:
            board.put(f"{_BOOTSTRAP}/{name}", b"".join(release.pieces(name)))
        return sum(release.manifest.files[name].size_bytes for name in runtime) + len(public_pem(key))


def _check_whole(release: Archive) -> None:
    lacking = sorted(set(release.manifest.files) - release.names)
    if lacking:
        raise FormatError(f"the archive leaves out {lacking[0]}", "a whole archive", "flash the one from `pack`")


def _show_manifest(board: LocalBoard, archive: Path) -> tuple[bytes, bytes]:
    """Puts manifest and signature where the board can verify them. They are not to be believed before it did."""
    manifest_data, signature = read_signed_part(str(archive))
    for name, data in ((MANIFEST, manifest_data), (SIGNATURE, signature)):
        board.put(f"{_INCOMING}/{name}", data)
    return manifest_data, signature


def _only(manifest_data: bytes, signature: bytes) -> Callable[[bytes, bytes], None]:
    """Holds for exactly what the board has verified already, should the archive be replaced meanwhile."""

    def verify(data: bytes, signed: bytes) -> None:
        if (data, signed) != (manifest_data, signature):
            raise TrustError("the archive changed while it was sent", "one archive", "flash again")

    return verify


def _send(board: LocalBoard, release: Archive, absent: set[str], progress: Progress) -> tuple[int, int]:
    """Writes the partial archive with what the board lacks. Returns its size in bytes and its number of files."""
    _check_whole(release)
    files = release.manifest.files
    first_of = {files[name].sha256: name for name in sorted(files, reverse=True)}  # one name for equal files
    wanted = sorted(name for sha256, name in first_of.items() if sha256 in absent)
    total = sum(files[name].size_bytes for name in wanted)
    sent = 0

    def counted(name: str) -> Iterator[bytes]:
        nonlocal sent
        for piece in release.pieces(name):
            yield piece
            sent += len(piece)
            progress(sent, total)

    contents = [(name, files[name].size_bytes, counted(name)) for name in wanted]
    partial = archive_bytes(release.manifest_data, release.signature, contents)
    board.put(f"{_INCOMING}/{release.release}.edge", partial)
    return len(partial), len(wanted)


def _clear(board: LocalBoard) -> None:
    for leftover in (_BOOTSTRAP, _INCOMING):
        board.remove(leftover)
