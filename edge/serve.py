"""`serve`: a camera classified for as long as the board is on. A lost one is waited for, a hung one ends the process.

Who supervises (systemd, or edge/supervise.py) restarts a process that gives no sign of life. Only an inference gives
one: on a frame, or while the camera is away on the golden vectors, after each try to open it. No timer does.
"""

import argparse
import contextlib
import os
import time
from typing import Any, Callable, Iterator, Optional, Sequence, Tuple

import numpy as np

from edge.board import Board, current_name
from edge.camera import is_lent
from edge.contract.errors import InputError, SourceError
from edge.contract.results import FrameResult, Outcome, Prediction, answer
from edge.notify import ALIVE, READY, Notifier, status
from edge.sources import Frame, Source
from edge.unknown import FALSE_ALARMS

FIRST_RETRY_S, LAST_RETRY_S = 1.0, 15.0
_SAID_EVERY_S = 1.0


class Signs:
    """Signs of life, and lines for the log: at most one of each a second while frames go by."""

    def __init__(
        self, notifier: Notifier, print_line: Callable[[str], None], clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._notifier = notifier
        self._print_line = print_line
        self._clock = clock
        self._last = ""
        self._said_at: Optional[float] = None

    def seen(self, frame: Frame, result: FrameResult) -> None:
        """A frame was classified."""
        now = self._clock()
        if self._said_at is None or now - self._said_at >= _SAID_EVERY_S:
            self._said_at = now
            self._say(answer(result), "{} {:.2f}".format(answer(result), result.score))

    def away(self, error: Exception) -> None:
        """A try to open the camera ended so, and the golden vectors held."""
        self._said_at = None
        self._say(str(error), "waiting for the camera: {}".format(error))

    def lent(self) -> None:
        """A release on trial has the camera, and the golden vectors held."""
        self._said_at = None
        self._say("lent", "a release on trial has the camera")

    def _say(self, what: str, line: str) -> None:
        self._notifier.say(READY, ALIVE, status(line))
        if what != self._last:
            self._print_line(line)
        self._last = what


class Learnt:
    """The release's network with what the board has learnt, which is read again when a lesson was given elsewhere."""

    def __init__(self, release: Any, store: Any, false_alarms: float = FALSE_ALARMS) -> None:
        """release: edge.release.Release; store: an open edge.store.Store. Raises FormatError."""
        from edge.backbone import open_backbone

        self.store = store
        self.backbone = open_backbone(release)
        self._release = release
        self._false_alarms = false_alarms
        self._version: Optional[int] = None

    def classify(self, image: np.ndarray) -> Prediction:
        """image: (H, W, 3) uint8 BGR."""
        from edge.classifier import Classifier
        from edge.recall import recall

        version = self.store.version()
        if version != self._version:
            self._classifier = Classifier(recall(self.backbone, self.store), self._false_alarms)
            self._version = version
        return self._classifier.classify(image)

    def read_again(self) -> None:
        """A lesson was given through `store` itself, whose version tells of other processes only."""
        self._version = None

    def check(self) -> None:
        """Raises GateError unless the golden vectors hold in this process."""
        from edge.golden import check_golden

        check_golden(self._release, self.backbone.engine)


def serve(
    board: Board,
    options: argparse.Namespace,
    notifier: Notifier,
    watchdog_s: Optional[float],
    print_line: Callable[[str], None],
) -> Outcome:
    """Classifies what options.source shows until `current` names another release, which the next start then runs.

    watchdog_s: how long the supervisor waits for a sign of life. Raises SourceError for a camera that hangs, GateError
    for golden vectors that do not hold; a supervisor starts it again.
    """
    from edge.sources import open_source
    from edge.verbs import open_learned, this_release

    release = this_release()
    name = os.path.basename(release.path)
    longest_s = min(LAST_RETRY_S, watchdog_s / 4) if watchdog_s else LAST_RETRY_S
    with open_learned(board) as store:
        learnt = Learnt(release, store)
        learnt.check()
        watch(
            lambda: open_source(options.source),
            learnt.classify,
            learnt.check,
            [Signs(notifier, print_line)],
            lambda: current_name(board) == name,
            lambda: is_lent(board),
            longest_s,
        )
    return Outcome(("another release is current",), {"left": name})


def watch(
    open_camera: Callable[[], Source],
    classify: Callable[[np.ndarray], Prediction],
    check: Callable[[], object],
    signs: Sequence[Any],
    going: Callable[[], bool],
    lent: Callable[[], bool],
    longest_retry_s: float,
    wait: Callable[[float], object] = time.sleep,
    timeout_s: float = 5.0,
) -> None:
    """Classifies while going(), and lets go of the camera while it is lent(). Each of `signs`, which are as Signs, is told.

    A camera that cannot be opened or stops is tried again after a second, two, four. A film or a folder stands in for a
    camera: it is shown at its own pace, again and again. A camera that delivers nothing for `timeout_s` is lost. Raises
    SourceError for one whose read does not return, and what `check` raises.
    """
    retry_s = FIRST_RETRY_S
    while going():
        if lent():
            check()
            for sign in signs:
                sign.lent()
            wait(FIRST_RETRY_S)
            continue
        source = None
        try:
            with open_camera() as source:
                for frame, result in _results(source, classify, wait, timeout_s):
                    for sign in signs:
                        sign.seen(frame, result)
                    retry_s = FIRST_RETRY_S
                    if lent() or not going():
                        break
        except (SourceError, InputError) as error:
            if source is not None and source.reading:
                raise SourceError(
                    "a read of the camera does not return ({})".format(error.found),
                    "a frame or an error",
                    "check its cable and power",
                ) from None
            check()
            for sign in signs:
                sign.away(error)
            wait(min(retry_s, longest_retry_s))
            retry_s *= 2


def _results(
    source: Source, classify: Callable[[np.ndarray], Prediction], wait: Callable[[float], object], timeout_s: float
) -> Iterator[Tuple[Frame, FrameResult]]:
    from edge.loop import run_loop

    with contextlib.closing(run_loop(source, classify, timeout_s=timeout_s)) as frames:
        for frame, result in frames:
            yield frame, result
            if not source.live:
                wait(1 / source.frames_per_second)
