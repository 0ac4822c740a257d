"""Which engine runs a network fastest on this board, of those whose golden vectors hold: tried, not looked up.

Each engine has its golden vectors in a process of its own, which a broken driver may end. Then all that hold take turns
in one process, so that heat and what else the board does meets them alike.
"""

import functools
import statistics
import time
from typing import Any, Callable, Dict, List, Mapping, Sequence, Tuple

import numpy as np

from edge.board import Board
from edge.contract.errors import GateError
from edge.contract.packages import with_packages
from edge.doctor.finding import OK
from edge.doctor.software import provider, providers
from edge.engine_record import Tried
from edge.engines import CERTIFIED, CPU, OPENVINO, TENSORRT, Kind, candidates
from edge.release import Release
from edge.trial import ask_release

BUILD_TIMEOUT_S = 3600.0  # a Nano's TensorRT builds for many minutes
_WARM_UP, _LEAST, _MOST = 3, 7, 50  # rounds
_ENOUGH_S = 20.0


def try_engines(
    board: Board, release: Release, environment: Mapping[str, str], say: Callable[[str], object]
) -> Tuple[Tried, ...]:
    """Every engine that this board may have. Takes seconds, or many minutes where TensorRT builds its engines.

    environment: for the processes. Raises GateError if not even the certified engine's golden vectors hold.
    """

    def ask(*words: str) -> Dict[str, Any]:
        return ask_release(board.root, release.path, environment, words, BUILD_TIMEOUT_S)

    kinds = candidates(board.name, board.machine)
    missing = _missing(kinds, with_packages(board.root, environment))
    golden = functools.partial(ask, "golden", release.path, "--engine")
    proved = [_try(kind, missing, golden, say) for kind in kinds]
    tried = timed(proved, functools.partial(ask, "timing", release.path), say)
    (certified,) = [each for each in tried if each.name == CERTIFIED.name]
    if certified.why:
        raise GateError(certified.why, "golden vectors that hold", "flash the release again")
    return tried


def timed(
    tried: Sequence[Tried], time_engines: Callable[..., Dict[str, float]], say: Callable[[str], object]
) -> Tuple[Tried, ...]:
    """`tried` with medians. time_engines: names -> milliseconds, in a process of its own; raises GateError.

    Where not all engines fit into one process, a small board's memory for one, each is timed by itself.
    """
    names = [each.name for each in tried if not each.why]
    say("timing {}, in turns".format(", ".join(names)))
    try:
        times = time_engines(*names)
        return tuple(each._replace(median_ms=times.get(each.name)) for each in tried)
    except GateError as error:
        say("not together ({}): one after the other".format(error.found))
    found = []
    for each in tried:
        try:
            found.append(each if each.why else each._replace(median_ms=time_engines(each.name)[each.name]))
        except GateError as error:
            found.append(each._replace(why=error.found))
    return tuple(found)


def fastest(tried: Sequence[Tried], form: str, left: Callable[[str], str]) -> Tuple[str, str]:
    """The engine to take and why: the fastest whose golden vectors hold, unless it would set aside what was learnt.

    form: what the board runs now; left: what would not count under another form, in words, or nothing. Then it is the
    fastest of the present form.
    """
    able = sorted((each for each in tried if not each.why), key=lambda each: each.median_ms)
    first = able[0]
    lost = "" if first.form == form else left(first.form)
    kept = [each for each in able if each.form == form]
    if lost and kept:
        why = "{} takes {:.2f} ms, not {:.2f}, but would set aside {}; --set-aside takes it all the same"
        return kept[0].name, why.format(first.name, first.median_ms, kept[0].median_ms, lost)
    if len(able) == 1:
        return first.name, "no other engine's golden vectors hold here"
    why = "the fastest of {} whose golden vectors hold: {:.2f} ms a picture; {} takes {:.2f}"
    return first.name, why.format(len(able), first.median_ms, able[1].name, able[1].median_ms)


def take_turns(
    engines: Mapping[str, Any], pixels: np.ndarray, clock: Callable[[], float] = time.perf_counter
) -> Dict[str, float]:
    """Median milliseconds of one picture by name. pixels: (N, height, width, channels) uint8, N above 0.

    Each round gives every engine the same picture, in an order that turns, so that none always follows the same one.
    """
    names: List[str] = sorted(engines)
    times: Dict[str, List[float]] = {name: [] for name in names}
    begun = clock()
    for turn in range(_WARM_UP + _MOST):
        picture = pixels[turn % len(pixels)][np.newaxis]
        for name in names[turn % len(names) :] + names[: turn % len(names)]:
            started = clock()
            engines[name].run(picture)
            if turn >= _WARM_UP:
                times[name].append((clock() - started) * 1e3)
        if turn >= _WARM_UP + _LEAST - 1 and clock() - begun > _ENOUGH_S:
            break
    return {name: statistics.median(times[name]) for name in names}


def _missing(kinds: Sequence[Kind], environment: Mapping[str, str]) -> Dict[str, str]:
    """Providers that do not run here, and why, as the doctor finds them. The CPU and OpenVINO are just tried."""
    compiled = providers(environment)
    found = {}
    for name in {kind.runs_in for kind in kinds} - {CPU, OPENVINO}:
        if name not in compiled:
            found[name] = "this onnxruntime has no {}".format(name)
        else:
            finding = provider(name, environment)
            if finding.state != OK:
                found[name] = finding.found
    return found


def _try(
    kind: Kind,
    missing: Mapping[str, str],
    golden: Callable[[str], Dict[str, Any]],
    say: Callable[[str], object],
) -> Tried:
    """golden: of an engine's name, in a process of its own."""
    if kind.runs_in in missing:
        return Tried(kind.name, kind.form, missing[kind.runs_in])
    built = ", once TensorRT has built it, which may take many minutes" if kind.runs_in == TENSORRT else ""
    say("{}: golden vectors{}".format(kind.name, built))
    try:
        found = golden(kind.name)
    except GateError as error:
        return Tried(kind.name, kind.form, error.found)
    return Tried(kind.name, kind.form, "", found["pictures"], found["identical"], found["lowest_cosine"])
