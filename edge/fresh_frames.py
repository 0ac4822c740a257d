"""Whether a release classifies fresh frames of a camera. A camera that is frozen, black or gone does not pass."""

import contextlib
import time
from typing import Any, Callable, NamedTuple, Optional

import numpy as np

from edge.capture import Patience
from edge.contract.errors import GateError, InputError
from edge.contract.results import Prediction, SourceState
from edge.health import FROZEN
from edge.loop import run_loop
from edge.sources import Feed

CHANGES = 3  # frames that differ from the one before, by noise alone: a frozen camera repeats its bytes
WITHIN_S = 30.0  # whoever reads the camera now has to let go of it first, and a USB camera may take seconds to start
_RETRY_S = 1.0


class FramesReport(NamedTuple):
    frames: int  # classified
    label: str  # of the last


def check_frames(
    feed: Feed,
    classify: Callable[[Any], Prediction],
    prepare: Callable[[np.ndarray], Any] = lambda image: image,
    within_s: float = WITHIN_S,
    clock: Callable[[], float] = time.monotonic,
) -> FramesReport:
    """Classifies frames of `feed` until CHANGES of them differed from the one before. Parameters as run_loop().

    Raises GateError for a camera that delivers no such frames `within_s`, or too few before it ends.
    """
    until = clock() + within_s
    count = changes = 0
    before: Optional[np.ndarray] = None
    patience = Patience(first_retry_s=_RETRY_S, longest_retry_s=_RETRY_S)
    try:
        with contextlib.closing(run_loop([feed], classify, prepare, patience=patience)) as frames:
            for frame, result in frames:
                if isinstance(result, SourceState):
                    if result.state == FROZEN or clock() >= until:
                        raise _stale(result.why)
                    continue
                count += 1
                changes += before is not None and not np.array_equal(before, frame.image)
                if changes == CHANGES:
                    return FramesReport(count, result.label)
                if clock() >= until:
                    break
                before = frame.image
    except InputError as error:
        raise _stale(error.found) from None
    raise _stale("{} frames, of which {} differed from the one before".format(count, changes))


def _stale(found: str) -> GateError:
    return GateError(found, "{} frames that change".format(CHANGES), "check the camera")
