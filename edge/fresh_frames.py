"""Whether a release classifies fresh frames of a camera. A camera that is frozen, or gone, does not pass."""

import contextlib
from typing import Callable, NamedTuple, Optional

import numpy as np

from edge.contract.errors import GateError, InputError, SourceError
from edge.contract.results import Prediction
from edge.loop import run_loop
from edge.sources import Source

CHANGES = 3  # frames that differ from the one before, by noise alone: a frozen camera repeats its bytes
TRIES = 20  # to open it, a second apart: whoever reads it now has to let go of it first
_TIMEOUT_S = 10.0  # for a first frame; a USB camera may take seconds to start
_FROZEN_S = 5.0


class FramesReport(NamedTuple):
    frames: int  # classified
    label: str  # of the last


def open_when_free(open_camera: Callable[[], Source], wait: Callable[[float], object]) -> Source:
    """What `open_camera` gives, tried again a second later while that raises SourceError."""
    for _ in range(TRIES - 1):
        try:
            return open_camera()
        except SourceError:
            wait(1.0)
    return open_camera()


def check_frames(source: Source, classify: Callable[[np.ndarray], Prediction]) -> FramesReport:
    """Classifies frames of `source` until CHANGES of them differed from the one before.

    Raises GateError for a camera that delivers nothing, always the same bytes, or too few frames before it ends.
    """
    count = changes = 0
    before: Optional[np.ndarray] = None
    try:
        with contextlib.closing(run_loop(source, classify, timeout_s=_TIMEOUT_S, frozen_s=_FROZEN_S)) as frames:
            for frame, result in frames:
                count += 1
                changes += before is not None and not np.array_equal(before, frame.image)
                if changes == CHANGES:
                    return FramesReport(count, result.label)
                before = frame.image
    except (SourceError, InputError) as error:
        raise _stale(error.found) from None
    raise _stale("{} frames, of which {} differed from the one before".format(count, changes))


def _stale(found: str) -> GateError:
    return GateError(found, "{} frames that change".format(CHANGES), "check the camera")
