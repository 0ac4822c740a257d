"""The page as the loop sees it: told of every frame, it shows it to who watches and does what they ask."""

import contextlib
import os
import ssl
from typing import Any, Callable, Iterator, List, Mapping, NamedTuple, Optional

from edge.board import Board
from edge.contract.errors import UsageError
from edge.contract.results import SourceState
from edge.doctor.finding import Place
from edge.loop import Answer
from edge.serve import Learnt
from edge.sources import Frame
from edge.trial import golden_process
from edge.web.address import Address, own_names
from edge.web.collecting import Collecting
from edge.web.desk import Desk
from edge.web.guard import Guard
from edge.web.password import PASSWORD, TOKEN, known_password, scraper_token
from edge.web.releases import Releases
from edge.web.routes import Site
from edge.web.scene import LENT, LIVE, Scene
from edge.web.teaching import Teaching
from edge.web.thermometer import Thermometer


class Settings(NamedTuple):
    """What a person chose for the page."""

    address: Address
    tls: Optional[str]  # the path of a PEM file with certificate and key
    keep_pictures: bool
    person: str  # who teaches, or ""
    metrics: bool = False  # whether numbers are counted for a monitoring system
    collect: Optional[str] = None  # the folder for pictures that are collected


class Page:
    """Told by the loop what it sees, in its own thread."""

    def __init__(self, scene: Scene, desk: Desk, teaching: Teaching, lines: List[str], metrics: Any = None) -> None:
        self.lines = lines  # for the person who started it: where it is, and what to mind
        self._scene = scene
        self._desk = desk
        self._teaching = teaching
        self._metrics = metrics

    def show(self, frame: Optional[Frame], answer: Answer) -> None:
        """A frame with its result, or a state without one; then what viewers have asked for is done."""
        if self._metrics is not None:
            self._metrics.see(answer)
        if not isinstance(answer, SourceState):
            self._scene.show(frame, answer)
            self._teaching.see(frame)
        elif answer.state != LIVE:
            self._scene.say(answer.state, answer.why)
        self._desk.work()

    def lent(self, seconds: float) -> None:
        """A release on trial has the camera for so long; what viewers ask is done meanwhile."""
        self._scene.say(LENT, "a release on trial has the camera")
        self._desk.work_for(seconds)


@contextlib.contextmanager
def open_page(
    board: Board,
    release_path: str,
    learnt: Learnt,
    settings: Settings,
    ask_password: Callable[[str], Optional[str]],
    environment: Mapping[str, str],
    alerting: Any = None,
) -> Iterator[Page]:
    """A page that is served until the end of the `with` block.

    ask_password: gives what a person types after a question, or None where nobody is asked; alerting: as for Site.
    Raises UsageError for an address that cannot be had or needs a password that nobody set, or without Tornado;
    BoardError for a bad password file; InputError for a folder to collect in that cannot be had.
    """
    from edge.web.server import PageServer

    kept, token = None, ""
    if not settings.address.is_loopback:
        kept = known_password(board.path("personal", PASSWORD), ask_password)
        token = scraper_token(board.path("personal", TOKEN)) if settings.metrics else ""
    metrics = _metrics(learnt) if settings.metrics else None
    tls = _tls(settings.tls) if settings.tls else None
    scene, desk = Scene(), Desk()
    teaching = Teaching(learnt, settings.keep_pictures, settings.person)
    collecting = Collecting(settings.collect, scene.in_view) if settings.collect else None
    running = os.path.basename(release_path)
    releases = Releases(board, running, golden_process(board.root, environment))
    site = Site(
        Guard(kept, own_names() + (settings.address.host.lower(),), scraper_token=token),
        scene,
        desk,
        teaching,
        releases,
        Thermometer(Place(board.root)),
        metrics,
        alerting,
        collecting,
    )
    with PageServer(site, settings.address, tls) as server:
        try:
            yield Page(scene, desk, teaching, _lines(settings, server), metrics)
        finally:
            desk.close()
            if collecting is not None:
                collecting.close()


def _metrics(learnt: Learnt) -> Any:
    from edge.web.metrics import Metrics

    return Metrics(lambda: learnt.examples)


def _lines(settings: Settings, server: Any) -> List[str]:
    lines = ["the page is at {}".format(settings.address._replace(port=server.port).url(server.scheme))]
    if server.scheme == "http" and not settings.address.is_loopback:
        lines.append("without --tls, whoever listens on this network can read its password and pictures")
    if settings.metrics and not settings.address.is_loopback:
        lines.append("a scraper of /metrics logs in by the token in personal/{}".format(TOKEN))
    return lines


def _tls(path: str) -> ssl.SSLContext:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    try:
        context.load_cert_chain(path)
    except (OSError, ssl.SSLError) as error:
        raise UsageError(
            "{}: {}".format(path, error.strerror or error), "a PEM file with a certificate and its key", "make one"
        ) from None
    return context
