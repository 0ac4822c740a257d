"""`serve`: a camera classified for as long as the board is on; a lost one is waited for.

Who supervises (systemd, or edge/supervise.py) restarts a process that gives no sign of life. Only an inference gives
one: on a frame, or while the camera shows nothing on the golden vectors, after another try to open it. No timer does.
"""

import argparse
import contextlib
import os
import time
from typing import Any, Callable, ContextManager, Dict, Iterator, Mapping, Optional

import numpy as np

from edge.board import Board, current_name
from edge.camera import is_lent
from edge.capture import PATIENCE, Patience
from edge.contract.results import FrameResult, Outcome, Prediction, SourceState, answer
from edge.loop import Answer, run_loop
from edge.notify import ALIVE, READY, Notifier, status
from edge.sources import Feed, Frame, Source, monotonic_ns
from edge.unknown import FALSE_ALARMS

LAST_RETRY_S = 15.0
_LENT_S = 1.0
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

    def seen(self, result: FrameResult) -> None:
        """A frame was classified."""
        now = self._clock()
        if self._said_at is None or now - self._said_at >= _SAID_EVERY_S:
            self._said_at = now
            self._say(answer(result), "{} {:.2f}".format(answer(result), result.score))

    def away(self, state: SourceState) -> None:
        """The camera was tried again and shows nothing, and the golden vectors held."""
        self._said_at = None
        self._say(state.why, "waiting for the camera: {}".format(state.why))

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

    def __init__(self, release: Any, backbone: Any, store: Any, false_alarms: float = FALSE_ALARMS) -> None:
        """release: edge.release.Release; backbone: its network, opened; store: an open edge.store.Store."""
        self.store = store
        self.backbone = backbone
        self._release = release
        self._false_alarms = false_alarms
        self._version: Optional[int] = None
        self.examples: Dict[str, int] = {}  # how many of each label, when it was last read

    def prepare(self, image: np.ndarray) -> np.ndarray:
        """As edge.classifier.Classifier.prepare."""
        from edge.preprocess import prepare

        return prepare(image, self.backbone.spec)

    def classify(self, pixels: np.ndarray) -> Prediction:
        """pixels: what `prepare` gave."""
        return self.read().classify_prepared(pixels)

    def read(self) -> Any:
        """The edge.classifier.Classifier for what has been learnt up to now."""
        from edge.classifier import Classifier
        from edge.recall import recall

        version = self.store.version()
        if version != self._version:
            self._classifier = Classifier(recall(self.backbone, self.store), self._false_alarms)
            self._version = version
            self.examples = self.store.count_by_label()
        return self._classifier

    @property
    def classifier(self) -> Any:
        """The edge.classifier.Classifier that classified the last frame."""
        return self._classifier

    def read_again(self) -> None:
        """A lesson was given through `store` itself, whose version tells of other processes only."""
        self._version = None

    def check(self) -> None:
        """Raises GateError unless the golden vectors hold in this process."""
        from edge.golden import check_golden

        check_golden(self._release, self.backbone.engine, self.backbone.form)


def _nobody(frame: Optional[Frame], answer: Answer) -> None:
    """Watches when there is no page."""


def serve(
    board: Board,
    options: argparse.Namespace,
    notifier: Notifier,
    watchdog_s: Optional[float],
    print_line: Callable[[str], None],
    environment: Mapping[str, str],
) -> Outcome:
    """Classifies what options.source shows until another release is current or engines were measured or named anew.

    The next start then runs those. watchdog_s: how long the supervisor waits for a sign of life. With options.web there
    is a page, whose password must be set. Raises GateError for golden vectors that do not hold, and what open_page()
    does; a supervisor starts it again.
    """
    from edge.choice import open_network
    from edge.engine_record import record_stamp
    from edge.sources import find_feed
    from edge.verbs import open_learned, this_release

    release, stamp = this_release(), record_stamp(board)
    name = os.path.basename(release.path)
    longest_s = min(LAST_RETRY_S, watchdog_s / 4) if watchdog_s else LAST_RETRY_S
    feed = find_feed(options.source)
    with contextlib.ExitStack() as stack:
        store = stack.enter_context(open_learned(board))
        learnt = Learnt(release, open_network(board, release, say=print_line), store)
        learnt.check()
        show, wait = _nobody, time.sleep
        if options.web is not None:
            page = stack.enter_context(_page(board, release.path, learnt, options, environment))
            for line in page.lines:
                print_line(line)
            show, wait = page.show, page.lent
        watch(
            feed if feed.live else replayed(feed),
            learnt,
            Signs(notifier, print_line),
            lambda: current_name(board) == name and record_stamp(board) == stamp,
            lambda: is_lent(board),
            longest_s,
            show=show,
            wait=wait,
        )
    return Outcome(("another release is current, or another engine was chosen",), {"left": name})


def _page(
    board: Board, release_path: str, learnt: Learnt, options: argparse.Namespace, environment: Mapping[str, str]
) -> ContextManager[Any]:
    """The page of edge/web/page.py. Nobody sits at a service: its password was set before."""
    from edge.web.address import parse_address
    from edge.web.page import Settings, open_page

    collected = board.path("personal", "collected") if options.collect else None  # what a service may write to
    settings = Settings(parse_address(options.web), options.tls, options.keep_pictures, person="", collect=collected)
    return open_page(board, release_path, learnt, settings, lambda question: None, environment)


def watch(
    feed: Feed,
    learnt: Any,
    signs: Signs,
    going: Callable[[], bool],
    lent: Callable[[], bool],
    longest_retry_s: float,
    patience: Patience = PATIENCE,
    clock: Callable[[], float] = time.monotonic,
    show: Callable[[Optional[Frame], Answer], object] = _nobody,
    wait: Callable[[float], object] = time.sleep,
) -> None:
    """Classifies while going(), and lets go of the camera while it is lent(). learnt: as Learnt. Raises GateError.

    show: told of each frame with its result, and of states; wait: passes the time while the camera is lent.
    """
    while going():
        if lent():
            learnt.check()
            signs.lent()
            wait(_LENT_S)
            continue
        check_at, tries = clock(), 0  # golden vectors are for tries that were made, and not for each of them
        patience = patience._replace(longest_retry_s=longest_retry_s)
        with contextlib.closing(run_loop([feed], learnt.classify, learnt.prepare, patience=patience)) as answers:
            for frame, result in answers:
                show(frame, result)
                if not isinstance(result, SourceState):
                    signs.seen(result)
                elif result.state != "live" and result.tries != tries and clock() >= check_at:
                    learnt.check()
                    signs.away(result)
                    check_at, tries = clock() + longest_retry_s / 4, result.tries
                if lent() or not going():
                    break


def replayed(feed: Feed) -> Feed:
    """A film or a folder in a camera's place: shown at its own pace, again and again."""

    def frames() -> Iterator[Frame]:
        sequence = 0
        while True:
            with feed.open() as source:
                for frame in iter(source.read, None):
                    yield frame._replace(sequence=sequence, captured_ns=monotonic_ns())
                    sequence += 1
                    time.sleep(1 / source.frames_per_second)

    return Feed(feed.name, True, feed.look, lambda: Source(frames(), lambda: None, True))
