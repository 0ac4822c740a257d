"""The engine that this board runs a release with: what a person wants, else what was measured, else the certified one.

Until `edgewise engines` has measured, and whenever something that it depends on has changed since, that is the CPU with
the u8 file: the trial and the certificate are about it.
"""

import os
from typing import Any, Callable, NamedTuple, Optional, Tuple

from edge.backbone import Backbone, open_backbone
from edge.board import Board
from edge.contract.errors import BoardError, FormatError, GateError
from edge.engine_record import Measured, cache_folder, circumstances, load_record, measured_now
from edge.engines import CERTIFIED, TENSORRT, Kind, find_kind
from edge.golden import GoldenReport, check_golden
from edge.optimized import prove_certified
from edge.release import Release

MEASURE = "`edgewise engines` measures"


class Choice(NamedTuple):
    kind: Kind
    why: str
    measured: Optional[Measured]  # if one holds now


def choose_engine(board: Board, release: Release) -> Choice:
    """What runs unless a command names another. A damaged record stops nothing: it is as good as none."""
    try:
        record = load_record(board)
    except FormatError as error:
        return Choice(CERTIFIED, "{}; {}".format(error.found, MEASURE), None)
    if not record.measured:
        return Choice(CERTIFIED, "not measured here yet; {}".format(MEASURE), None)
    measured = measured_now(record, circumstances(board, release.manifest))
    if measured is None:
        return Choice(CERTIFIED, "the board's software or the network changed since; {} again".format(MEASURE), None)
    if not record.wanted:
        return Choice(find_kind(measured.chosen), measured.why, measured)
    if record.wanted in usable(measured):
        return Choice(find_kind(record.wanted), "as a person wants it", measured)
    why = "{} is wanted and does not run here".format(record.wanted)
    return Choice(CERTIFIED, why, measured)


def usable(measured: Measured) -> Tuple[str, ...]:
    """Names of the engines whose golden vectors hold."""
    return tuple(each.name for each in measured.tried if not each.why)


def open_network(
    board: Board,
    release: Release,
    wanted: Optional[str] = None,
    say: Callable[[str], object] = lambda line: None,
    threads: int = 1,
    profile: Optional[str] = None,
) -> Backbone:
    """The release's network in the engine of choose_engine(), or in `wanted`; all but the certified are proved first.

    An engine that was chosen and cannot be opened any more, or fails its golden vectors, is left for the certified one,
    and `say` is told. Raises UsageError for an unknown name, BoardError or GateError where `wanted` cannot be used,
    FormatError.
    """
    if wanted is not None:
        return _opened(board, release, find_kind(wanted), threads, profile)
    kind = choose_engine(board, release).kind
    try:
        return _opened(board, release, kind, threads, profile)
    except (BoardError, FormatError, GateError) as error:
        if kind == CERTIFIED:
            raise
        say("engine: {}, since {}".format(CERTIFIED.name, error.found))
        return _opened(board, release, CERTIFIED, threads, profile)


def _opened(board: Board, release: Release, kind: Kind, threads: int, profile: Optional[str]) -> Backbone:
    if kind == CERTIFIED:  # the trial proved it
        return open_backbone(release, threads, profile=profile)
    engine = open_built(board, release, kind, threads, profile)
    try:
        check_golden(release, engine, kind.form)
    except GateError as error:
        raise GateError("{}: {}".format(kind.name, error.found), error.expected, "use another engine") from None
    return open_backbone(release, threads, kind.form, engine)


def open_built(board: Board, release: Release, kind: Kind, threads: int = 1, profile: Optional[str] = None) -> Any:
    """The engine, at once: raises BoardError where TensorRT would first build it, and else as open_engine()."""
    from edge.open_engine import open_engine

    cache = None
    if kind.runs_in == TENSORRT:
        cache = cache_folder(board, circumstances(board, release.manifest), kind.name)
        if not os.path.isdir(cache) or not os.listdir(cache):
            raise BoardError("TensorRT has not built {} here".format(kind.name), "its engine", "run `edgewise engines`")
    return open_engine(release, kind, cache, threads, profile)


def prove(board: Board, release: Release, kind: Kind) -> GoldenReport:
    """Runs the golden vectors; TensorRT builds the engine for it if need be, and onnxruntime optimizes the certified.

    What TensorRT built must have been kept: each start would build it anew. Raises BoardError, FormatError, GateError.
    """
    from edge.open_engine import open_engine

    if kind == CERTIFIED:
        return prove_certified(release)
    cache = None
    if kind.runs_in == TENSORRT:
        cache = cache_folder(board, circumstances(board, release.manifest), kind.name)
        os.makedirs(cache, exist_ok=True)
    report = check_golden(release, open_engine(release, kind, cache), kind.form)
    if cache is not None and not os.listdir(cache):
        raise BoardError("TensorRT kept nothing of what it built", "its engine in " + cache, "use another engine")
    return report
