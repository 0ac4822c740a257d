"""Installs a release on this board, and goes back to the one before."""

import os
import time
from contextlib import suppress
from shutil import disk_usage
from typing import Callable, Dict, NamedTuple, Optional, Tuple, Union

from edge.board import Board, BoardBusy, disk_errors, load_state, locked, point_current, save_state
from edge.contract.archive import Archive
from edge.contract.boards import ANY
from edge.contract.errors import BoardError, EdgewiseError, FormatError
from edge.contract.files import sync_folder, write_whole
from edge.contract.manifest import FileEntry, Manifest
from edge.contract.room import check_room
from edge.incoming import Incoming
from edge.launcher import LAUNCHER
from edge.objects import build_folder, has_object, sweep
from edge.recovery import put_right, recover, settle
from edge.states import GOOD, Entry, State, begin_trial, confirm, fail, roll_back, stage
from edge.trust import RotationReport, trusted_keys, verifier
from edge.trust import rotate as rotate_keys

RunTrial = Callable[[str], object]  # of a release folder; raises GateError unless golden vectors and frames hold
Source = Union[Archive, Incoming]
Refuse = Callable[[Source], object]  # raises an EdgewiseError where the release shall not be installed
Arrive = Callable[[Incoming, Tuple[str, ...]], object]  # told what is missing by its sha256; returns when that is there


class InstallReport(NamedTuple):
    release: str
    state: str  # GOOD
    previous: Optional[str]  # what rollback would go back to
    already: bool  # it was installed and current before; nothing was done
    written_bytes: int  # of files that this board did not have
    health_s: float  # that its trial took, and its bytecode beside that
    needs_measuring: bool = False  # as edge.engine_record.needs_measuring()


class StatusReport(NamedTuple):
    root: str
    current: Optional[str]
    previous: Optional[str]
    counter: int  # only a release with a higher one can be installed
    releases: Dict[str, Entry]
    trusted: Tuple[str, ...]  # ids of the keys
    busy: bool  # an install or a rollback is going on


def install(
    board: Board,
    archive_path: str,
    run_trial: RunTrial,
    refuse: Refuse = lambda release: None,
    clock: Callable[[], float] = time.monotonic,
) -> InstallReport:
    """Makes the release in `archive_path` current, or leaves the board as it was.

    Files that the archive leaves out must be in objects/. `refuse` is called with the verified archive before anything
    is written. Raises what that does; InputError, FormatError or TrustError for an archive that cannot be used,
    BoardError for another board or a disk that cannot take it, GateError if its trial does not hold.
    """
    with disk_errors(board), locked(board):
        state = put_right(board)
        with Archive(archive_path, verifier(board.path("trust"))) as archive:
            return _install(board, state, archive, lambda absent: None, run_trial, refuse, clock)


def receive(
    board: Board,
    folder: str,
    arrive: Arrive,
    run_trial: RunTrial,
    refuse: Refuse = lambda release: None,
    clock: Callable[[], float] = time.monotonic,
) -> InstallReport:
    """As install(), for a release that is on its way: manifest and signature are in `folder`, on the same disk.

    `arrive` is called once the release is known to be one for this board; what it raises ends it, and what came stays.
    """
    with disk_errors(board), locked(board):
        state = put_right(board)
        incoming = Incoming(folder, verifier(board.path("trust")))
        return _install(
            board, state, incoming, lambda absent: arrive(incoming, tuple(sorted(absent))), run_trial, refuse, clock
        )


def _install(
    board: Board,
    state: State,
    source: Source,
    arrive: Callable[[Dict[str, FileEntry]], object],
    run_trial: RunTrial,
    refuse: Refuse,
    clock: Callable[[], float],
) -> InstallReport:
    if source.release == state.current:
        arrive({})
        return InstallReport(source.release, GOOD, state.previous, True, 0, 0.0)
    staged = stage(state, source.release, source.manifest.counter)
    _check_board(board, source.manifest)
    absent = _absent(board, source.manifest)
    here = source.size_bytes if isinstance(source, Incoming) else 0  # that is moved, not copied
    check_room(disk_usage(board.root).free, source.manifest, absent.values(), here)
    arrive(absent)
    _check_complete(source, absent)
    refuse(source)
    save_state(board, staged)
    try:
        written_bytes = _copy(board, source, absent)
        begun = clock()
        state = _try_out(board, staged, source, run_trial)
        health_s = clock() - begun
    except (EdgewiseError, OSError) as error:
        with suppress(OSError):  # on a full or failing disk the next recover() does the rest
            settle(board, fail(staged, _why(error)))
        raise
    from edge.engine_record import needs_measuring  # not above: the desk waits for what is missing

    measure = False
    with suppress(OSError):  # it is installed: what cannot be removed now, the next recover() removes
        measure = needs_measuring(board, source.manifest)
        sweep(board, state.releases)
    return InstallReport(source.release, GOOD, state.previous, False, written_bytes, health_s, measure)


def rollback(board: Board, run_golden: RunTrial, clock: Callable[[], float] = time.monotonic) -> InstallReport:
    """Goes back to the release that was GOOD before, if its golden vectors still hold. Raises BoardError, GateError."""
    with disk_errors(board), locked(board):
        state = roll_back(put_right(board))
        begun = clock()
        run_golden(board.release(str(state.current)))
        health_s = clock() - begun
        point_current(board, state.current)
        save_state(board, state)
    return InstallReport(str(state.current), GOOD, state.previous, False, 0, health_s)


def rotate(board: Board, data: bytes) -> RotationReport:
    """edge.trust.rotate() on this board. What is installed stays: it was verified when it came."""
    with disk_errors(board), locked(board):
        return rotate_keys(board.path("trust"), data)


def status(board: Board) -> StatusReport:
    """What is installed, after recover() unless another process holds the lock or this one may not change the board.

    Raises BoardError, FormatError.
    """
    if not os.path.isdir(board.path("releases")):
        raise BoardError("no release is installed in {}".format(board.root), "one", "flash one")
    busy = False
    try:
        if os.access(board.root, os.W_OK):  # the service has its folder read-only, and was recovered before it
            recover(board)
    except BoardBusy:
        busy = True
    state = load_state(board)
    keys = tuple(sorted(trusted_keys(board.path("trust"))))
    return StatusReport(board.root, state.current, state.previous, state.counter, state.releases, keys, busy)


def _absent(board: Board, manifest: Manifest) -> Dict[str, FileEntry]:
    """The manifest's files that are not on this board, by their sha256."""
    return {entry.sha256: entry for entry in manifest.files.values() if not has_object(board, entry)}


def _check_complete(source: Source, absent: Dict[str, FileEntry]) -> None:
    sent = {source.manifest.files[name].sha256 for name in source.names}
    lacking = sorted(n for n, entry in source.manifest.files.items() if entry.sha256 in set(absent) - sent)
    if lacking:
        raise FormatError("the release came without {}".format(lacking[0]), "what this board lacks", "flash it whole")


def _check_board(board: Board, manifest: Manifest) -> None:
    here = [name for name in (board.name, board.machine, ANY) if name]
    if not set(here) & set(manifest.boards):
        found, expected = "a release for {}".format(", ".join(manifest.boards)), "one for {}".format(" or ".join(here))
        raise BoardError(found, expected, "pack one for this board")


def _copy(board: Board, source: Source, absent: Dict[str, FileEntry]) -> int:
    """The release's files into objects/ and its folder. Returns the bytes that were written."""
    wanted = dict(absent)
    for name in sorted(source.names):
        entry = wanted.pop(source.manifest.files[name].sha256, None)
        if entry is not None:
            source.store(name, board.path("objects", entry.sha256))
    sync_folder(board.path("objects"))
    build_folder(board, source.release, source.manifest, source.manifest_data, source.signature)
    return sum(entry.size_bytes for entry in absent.values())


def _try_out(board: Board, state: State, source: Source, run_trial: RunTrial) -> State:
    """STAGED -> TRIAL -> GOOD. `current` changes after the golden vectors held, and GOOD is written last."""
    from concurrent.futures import ThreadPoolExecutor  # not above: slow to load, and most starts install nothing

    from edge.bytecode import compile_modules

    release, modules = source.release, [name for name in sorted(source.manifest.files) if name.endswith(".py")]
    state = begin_trial(state, release)
    save_state(board, state)
    with ThreadPoolExecutor(1) as pool:
        trial = pool.submit(run_trial, board.release(release))  # mostly waits for a process on another core
        compile_modules(board.release(release), modules)
    trial.result()
    write_whole(board.path("edgewise"), LAUNCHER.encode("ascii"), mode=0o755)
    point_current(board, release)
    state = confirm(state, release)
    save_state(board, state)
    return state


def _why(error: Exception) -> str:
    return error.found if isinstance(error, EdgewiseError) else str(error)
