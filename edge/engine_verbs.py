"""The verbs about engines: measure them and choose, time some in turns, keep one busy."""

import argparse
import os
from contextlib import suppress
from typing import Any, Callable, Dict, List, Tuple

from edge.board import Board, load_state, locked
from edge.contract.errors import BoardError, FormatError, UsageError
from edge.contract.results import Outcome
from edge.contract.spec import spec_to_dict
from edge.engine_record import (
    NOTHING,
    Measured,
    Record,
    Tried,
    circumstances,
    kept,
    load_record,
    measured_fields,
    measured_now,
    models_hash,
    save_record,
    sweep_cache,
)
from edge.engines import find_kind
from edge.release import open_release
from edge.states import GOOD
from edge.verbs import this_release

FASTEST = "fastest"  # for --use: what was chosen by measurement


def engines(board: Board, options: argparse.Namespace, print_line: Callable[[str], None]) -> Outcome:
    """Measures, unless that was done under the same circumstances, and records what runs from now on."""
    from edge.choice import choose_engine
    from edge.measuring import fastest, try_engines
    from edge.moving import left_by_form

    if options.use not in (None, FASTEST):
        find_kind(options.use)
    release, record = this_release(), _record(board)
    form = choose_engine(board, release).kind.form

    def left(other: str) -> str:
        return "" if options.set_aside else left_by_form(board, release, form, other)

    now = circumstances(board, release.manifest)
    measured = measured_now(record, now)
    tried = measured.tried if measured and not options.again else try_engines(board, release, os.environ, print_line)
    chosen, why = fastest(tried, form, left)
    wanted = record.wanted if options.use is None else options.use.replace(FASTEST, "")
    if options.use is not None and wanted:
        _check_wanted(wanted, tried, form, left)
    measured = Measured(now, tried, chosen, why)
    _save(board, Record(wanted, (measured,) + record.measured))
    runs = choose_engine(board, release)
    fields = dict(measured_fields(measured), name=runs.kind.name, wanted=wanted, release=os.path.basename(release.path))
    fields["model"] = spec_to_dict(release.manifest.model)
    return Outcome(tuple(_table(tried) + ["from now on: {} ({})".format(runs.kind.name, runs.why)]), fields)


def timing(board: Board, options: argparse.Namespace) -> Outcome:
    """Some engines of a release, by name, in turns: median milliseconds of a picture."""
    from edge.choice import open_built
    from edge.golden import golden_pixels
    from edge.measuring import take_turns

    release = open_release(os.path.abspath(options.release))
    opened = {name: open_built(board, release, find_kind(name)) for name in options.engines}
    times = take_turns(opened, golden_pixels(release))
    return Outcome(tuple("{}: {:.2f} ms".format(*each) for each in sorted(times.items())), times)


def soak(board: Board, options: argparse.Namespace) -> Outcome:
    """Keeps the engine in use busy for some seconds, with its golden pixels or a camera, and watches the heat."""
    from edge.camera import camera_of, lending
    from edge.soak import soak_camera, soak_engine

    def busy() -> Dict[str, Any]:
        if options.source is None:
            return soak_engine(board, this_release(), options.seconds)
        return soak_camera(board, this_release(), options.source, options.seconds)

    if camera_of(board) is None:
        fields = busy()
    else:
        with lending(board):  # so that the service lets go of the camera
            fields = busy()
    return Outcome(tuple("{}: {}".format(*each) for each in sorted(fields.items())), fields)


def _record(board: Board) -> Record:
    """A damaged one is measured anew."""
    with suppress(FormatError):
        return load_record(board)
    return NOTHING


def _save(board: Board, record: Record) -> None:
    """With the measurements of the releases that are installed, and no others."""
    with locked(board):
        names = [name for name, entry in load_state(board).releases.items() if entry.state == GOOD]
        record = kept(record, [models_hash(open_release(board.release(name)).manifest) for name in names])
        save_record(board, record)
        sweep_cache(board, record)


def _check_wanted(wanted: str, tried: Tuple[Tried, ...], form: str, left: Callable[[str], str]) -> None:
    """Raises UsageError, or BoardError for one that does not run here or would set aside what was learnt."""
    found = {each.name: each for each in tried}
    if wanted not in found:
        raise UsageError("the engine " + wanted, "one of {} on this board".format(", ".join(found)), "name another")
    if found[wanted].why:
        raise BoardError("{}: {}".format(wanted, found[wanted].why), "golden vectors that hold", "use another engine")
    lost = "" if found[wanted].form == form else left(found[wanted].form)
    if lost:
        raise BoardError(
            "{} would set aside {}: they were seen by an engine of another form".format(wanted, lost),
            "an engine of the form {}".format(form),
            "go on with --set-aside; going back brings them back",
        )


def _table(tried: Tuple[Tried, ...]) -> List[str]:
    lines = []
    for each in tried:
        told = each.why or "{} of {} golden vectors identical, least cosine {:.6f}, {:.2f} ms a picture".format(
            each.identical, each.pictures, each.lowest_cosine, each.median_ms
        )
        lines.append("{:<21} {}".format(each.name, told))
    return lines
