"""What the page's API is: a table of requests and what each does. openapi.json describes it for other programs."""

import functools
import json
import os
import re
from typing import Any, Callable, Dict, List, NamedTuple, Optional, Tuple
from urllib.parse import unquote

from edge.contract.errors import EdgewiseError
from edge.web.desk import Desk
from edge.web.guard import Guard
from edge.web.releases import Releases
from edge.web.request import Refused, Reply, Request, fields_of, json_reply, reply_to_error
from edge.web.scene import Newest, Scene
from edge.web.teaching import Teaching

LIVE = "/api/live"  # the WebSocket
_FOLDER = os.path.dirname(os.path.abspath(__file__))
_FILES = {
    "/": ("files/index.html", "text/html; charset=utf-8"),
    "/page.css": ("files/page.css", "text/css; charset=utf-8"),
    "/page.js": ("files/page.js", "text/javascript; charset=utf-8"),
    "/icon.svg": ("files/icon.svg", "image/svg+xml"),
    "/api/openapi.json": ("openapi.json", "application/json"),
}
_PARTS = {"{id}": "([0-9]{1,9})", "{label}": "([^/]{1,768})"}


class Route(NamedTuple):
    method: str
    path: str  # with {id} or {label} in it
    answer: Callable[..., Reply]  # of the request and what stood in the path
    is_open: bool = False  # to who has not logged in
    for_scrapers: bool = False  # also with their token


class Site:
    """Answers a request; for any thread but the loop's, and may take seconds."""

    def __init__(
        self,
        guard: Guard,
        scene: Scene,
        desk: Desk,
        teaching: Teaching,
        releases: Releases,
        thermometer: Callable[[], Optional[float]],
        metrics: Any = None,
        alerting: Any = None,
        collecting: Any = None,
    ) -> None:
        """thermometer: gives degrees C, or None where the board does not say.

        metrics: an edge.web.metrics.Metrics, alerting: an edge.alerts.alerting.Alerting, and collecting: an
        edge.web.collecting.Collecting, each where there is one.
        """
        self.guard = guard
        self.scene = scene
        self.teaching = teaching
        self._desk = desk
        self._releases = releases
        self._thermometer = thermometer
        self._metrics = metrics
        self._alerting = alerting
        self._collecting = collecting
        self.routes = self._table()
        self._patterns = [(re.compile(_pattern(route.path)), route) for route in self.routes]

    def answer(self, request: Request) -> Reply:
        """Never raises for what a person or a program can do wrong."""
        try:
            self.guard.check_place(request)
            route, parts = self._find(request)
            if route.for_scrapers:
                self.guard.check_scraper(request)
            elif not route.is_open:
                self.guard.check_session(request)
            return route.answer(request, *parts)
        except Refused as refused:
            return refused.reply
        except EdgewiseError as error:
            return reply_to_error(error)

    def now(self, newest: Optional[Newest]) -> Dict[str, Any]:
        """What a viewer is told with every picture: of the frame, of what somebody collects, and how hot it is.

        `changes` are numbers that become others when the lists of /api/learned, /api/events, /api/alerts and
        /api/collected do.
        """
        now = dict(self.scene.now(newest), hold=self.teaching.hold_fields(), temperature_c=self._thermometer())
        now["collecting"] = self._collecting.hold_fields() if self._collecting else None
        now["changes"] = {
            "learned": self.teaching.changes,
            "events": self.scene.events.count(),
            "alerts": self._alerting.changes if self._alerting else 0,
            "collected": self._collecting.changes if self._collecting else None,
        }
        return now

    def _table(self) -> List[Route]:
        files = [Route("GET", path, functools.partial(_file, *place), True) for path, place in _FILES.items()]
        return files + [
            Route("GET", "/api/session", self._session, True),
            Route("POST", "/api/session", self._log_in, True),
            Route("DELETE", "/api/session", self._log_out),
            Route("GET", "/api/now", lambda request: json_reply(self.now(self.scene.newest()))),
            Route("GET", "/api/picture", self._picture),
            Route("GET", "/api/learned", self._at_desk(self.teaching.learned)),
            Route("POST", "/api/hold", self._begin),
            Route("DELETE", "/api/hold", self._drop),
            Route("POST", "/api/lessons", self._at_desk(self.teaching.end, 201)),
            Route("DELETE", "/api/lessons/newest", self._at_desk(self.teaching.undo)),
            Route("GET", "/api/examples/{id}/picture", self._example_picture),
            Route("DELETE", "/api/examples/{id}", self._forget),
            Route("DELETE", "/api/labels/{label}", self._forget_label),
            Route("GET", "/api/events", lambda request: json_reply({"events": self.scene.events.all()})),
            Route("GET", "/api/events/{id}/picture", self._event_picture),
            Route("GET", "/api/alerts", lambda request: self._alerts(lambda alerting: None)),
            Route("POST", "/api/alerts", lambda request: self._alerts(lambda alerting: alerting.miss(), 201)),
            Route("GET", "/api/alerts/{id}/picture", self._alert_picture),
            Route("POST", "/api/alerts/{id}/mark", self._mark),
            Route("DELETE", "/api/marks/newest", lambda request: self._alerts(lambda alerting: alerting.take_back())),
            Route("GET", "/api/collected", self._collected(lambda its: its.fields())),
            Route("GET", "/api/collected.zip", self._collected_zip),
            Route("POST", "/api/collected/hold", self._begin_to_collect),
            Route("DELETE", "/api/collected/hold", self._collected(lambda its: its.end())),
            Route("DELETE", "/api/collected/newest", self._collected(lambda its: its.take_back())),
            Route("GET", "/api/collected/{id}/picture", self._collected_picture),
            Route("DELETE", "/api/collected/{id}", self._remove_collected),
            Route("GET", "/metrics", self._metrics_text, for_scrapers=True),
            Route("GET", "/api/releases", lambda request: json_reply(self._releases.fields())),
            Route("POST", "/api/rollback", lambda request: json_reply(self._releases.go_back())),
        ]

    def _find(self, request: Request) -> Tuple[Route, Tuple[str, ...]]:
        allowed = []
        for pattern, route in self._patterns:
            found = pattern.fullmatch(request.path)
            if found and route.method == ("GET" if request.method == "HEAD" else request.method):
                return route, tuple(unquote(part) for part in found.groups())
            allowed += [route.method] if found else []
        if allowed:
            listed = ", ".join(sorted(allowed))
            raise Refused(405, request.method, listed, "ask so", {"Allow": listed})
        raise Refused(404, "no such page", "a path of /api/openapi.json", "check the address")

    def _at_desk(self, task: Callable[[], Any], status: int = 200) -> Callable[[Request], Reply]:
        return lambda request: json_reply(self._desk.ask(task), status)

    def _session(self, request: Request) -> Reply:
        token = self.guard.token_of(request.session)
        return json_reply({"open": token is not None, "wants_password": self.guard.wants_password, "token": token})

    def _log_in(self, request: Request) -> Reply:
        session = self.guard.log_in(request.address, fields_of(request, password=str)["password"])
        token = self.guard.token_of(session)
        fields = {"open": True, "wants_password": self.guard.wants_password, "token": token}
        return json_reply(fields, 201)._replace(session=session)

    def _log_out(self, request: Request) -> Reply:
        self.guard.log_out(request.session)
        return Reply(204, session="")

    def _alerts(self, change: Callable[[Any], Any], status: int = 200) -> Reply:
        """The alerts, after `change` was made to what decides of them."""
        if self._alerting is None:
            raise Refused(404, "no alerts in this run", "a run that alerts", "start `run --web --alert RULE`")

        def changed() -> Dict[str, Any]:
            change(self._alerting)
            return self._alerting.fields()

        return json_reply(self._desk.ask(changed), status)

    def _mark(self, request: Request, alert: str) -> Reply:
        wanted = fields_of(request, wanted=bool)["wanted"]
        return self._alerts(lambda alerting: alerting.mark(int(alert), wanted))

    def _alert_picture(self, request: Request, alert: str) -> Reply:
        alerting = self._alerting
        return _jpeg(self._desk.ask(lambda: alerting.picture(int(alert))) if alerting else b"")

    def _its_collecting(self) -> Any:
        """Its methods are for any thread: nothing of them waits for the loop."""
        if self._collecting is None:
            raise Refused(
                404, "nothing is collected in this run", "a run that does", "start `run --web --collect DATA`"
            )
        return self._collecting

    def _collected(self, task: Callable[[Any], Any]) -> Callable[[Request], Reply]:
        return lambda request: json_reply(task(self._its_collecting()))

    def _begin_to_collect(self, request: Request) -> Reply:
        its = self._its_collecting()
        return json_reply(its.begin(fields_of(request, label=str)["label"]), 201)

    def _collected_picture(self, request: Request, picture: str) -> Reply:
        return _jpeg(self._its_collecting().jpeg(int(picture)))

    def _remove_collected(self, request: Request, picture: str) -> Reply:
        return json_reply(self._its_collecting().remove(int(picture)))

    def _collected_zip(self, request: Request) -> Reply:
        pieces = self._its_collecting().zip_pieces()
        name = {"Content-Disposition": 'attachment; filename="collected.zip"'}
        return Reply(200, "application/zip", headers=name, pieces=pieces)

    def _metrics_text(self, request: Request) -> Reply:
        if self._metrics is None:
            raise Refused(404, "no metrics are counted", "a run that counts", "start `run --web --metrics`")
        return Reply(200, self._metrics.content_type, self._metrics.text())

    def _picture(self, request: Request) -> Reply:
        newest = self.scene.newest()
        return _jpeg(self.scene.jpeg(newest) if newest else b"")

    def _begin(self, request: Request) -> Reply:
        label = fields_of(request, label=str)["label"]
        return json_reply(self._desk.ask(lambda: self.teaching.begin(label, self.scene.in_view())), 201)

    def _drop(self, request: Request) -> Reply:
        self._desk.ask(self.teaching.drop)
        return Reply(204)

    def _forget(self, request: Request, example: str) -> Reply:
        return json_reply(self._desk.ask(lambda: self.teaching.forget(int(example))))

    def _forget_label(self, request: Request, label: str) -> Reply:
        return json_reply(self._desk.ask(lambda: self.teaching.forget_label(label)))

    def _example_picture(self, request: Request, example: str) -> Reply:
        return _jpeg(self._desk.ask(lambda: self.teaching.picture(int(example))))

    def _event_picture(self, request: Request, event: str) -> Reply:
        return _jpeg(self.scene.events.jpeg(int(event)))


def described() -> List[Tuple[str, str]]:
    """(method, path) of everything in openapi.json."""
    with open(os.path.join(_FOLDER, "openapi.json"), encoding="utf-8") as file:
        paths = json.load(file)["paths"]
    return sorted((method.upper(), path) for path, its in paths.items() for method in its if method != "parameters")


def _pattern(path: str) -> str:
    escaped = re.escape(path)
    for part, pattern in _PARTS.items():
        escaped = escaped.replace(re.escape(part), pattern)
    return escaped


@functools.lru_cache(maxsize=None)
def _content(name: str) -> bytes:
    with open(os.path.join(_FOLDER, *name.split("/")), "rb") as file:
        return file.read()


def _file(name: str, content_type: str, request: Request) -> Reply:
    return Reply(200, content_type, _content(name))


def _jpeg(data: Any) -> Reply:
    if not data:
        raise Refused(404, "no picture", "one that was kept", "nothing to do")
    return Reply(200, "image/png" if data.startswith(b"\x89PNG") else "image/jpeg", data)
