"""A page over a loop that a test turns by hand or by a thread: letters for a camera, a real server, a real store."""

import contextlib
import threading
import time

import numpy as np
from glyph_world import draw, make_glyph_backbone
from page_client import PageClient

from edge.alerts.alerting import Alerting, Outlets
from edge.alerts.rules import parse_rules
from edge.contract.results import FrameResult
from edge.serve import Learnt
from edge.sources import Frame, monotonic_ns
from edge.store import open_store
from edge.web.address import Address, own_names
from edge.web.collecting import Collecting
from edge.web.desk import Desk
from edge.web.guard import Guard
from edge.web.page import Page
from edge.web.routes import Site
from edge.web.scene import Scene
from edge.web.server import PageServer
from edge.web.teaching import Teaching


class GlyphLearnt(Learnt):
    """The learnt of a network without a release."""

    def __init__(self, store):
        self.store, self.backbone = store, make_glyph_backbone()
        self._version, self._false_alarms, self.examples = None, 0.05, {}


def make_alerting(learnt, rules):
    """Alerts that are kept with their pictures, and told nobody."""
    outlets = Outlets(lambda fields, line: None, lambda fields: None, lambda line: None, list)
    parsed = parse_rules(rules, learnt.read().labels, [])
    return Alerting(parsed, lambda: learnt.classifier, learnt.store, outlets, most_picture_bytes=100000)


class FixedReleases:
    def fields(self):
        return {"current": "one", "previous": None, "running": "one", "busy": False, "releases": []}

    def go_back(self):
        return self.fields()


class Camera:
    """What the loop's thread does: a letter a frame, and the page told of it."""

    def __init__(self, page, learnt, alerting, letter="A", pause_s=0.01):
        self.page, self.learnt, self.alerting, self.letter = page, learnt, alerting, letter
        self.frames = 0
        self.away = None  # a state while the camera is away
        self._pause_s = pause_s

    def show(self):
        image = draw(self.letter, 1, 100 + self.frames)[0]
        frame = Frame(self.frames, monotonic_ns(), np.repeat(image, 3, axis=2), "camera 0")
        said = self.learnt.classify(self.learnt.prepare(frame.image))
        result = FrameResult(frame.sequence, frame.captured_ns, age_ms=1.0, **said._asdict())
        self.alerting.see(frame, result)
        self.page.show(frame, result)
        self.frames += 1

    def turn(self, going):
        while going():
            if self.away is None:
                self.show()
            else:
                self.page.show(None, self.away)
            time.sleep(self._pause_s)


@contextlib.contextmanager
def page_world(
    folder, password=None, keep_pictures=False, make_metrics=None, scraper_token="", rules=(), collecting=None
):
    """(client, camera) of a served page whose loop turns in a thread of its own.

    collecting: as Collecting(), but for in_view; without, pictures go into `folder`/collected.
    """
    ready, stop, made = threading.Event(), threading.Event(), {}

    def loop():
        with open_store(str(folder) + "/learned.sqlite") as store:
            learnt, scene, desk = GlyphLearnt(store), Scene(), Desk(patience_s=5.0)
            teaching = Teaching(learnt, keep_pictures, "")
            metrics = make_metrics(lambda: learnt.examples) if make_metrics else None
            guard = Guard(password, own_names(), scraper_token=scraper_token)
            alerting = make_alerting(learnt, rules)
            parts = dict(collecting or {"folder": str(folder) + "/collected"}, in_view=scene.in_view)
            its = Collecting(**parts)
            site = Site(guard, scene, desk, teaching, FixedReleases(), lambda: 41.5, metrics, alerting, its)
            page = Page(scene, desk, teaching, [], metrics)
            with PageServer(site, Address("127.0.0.1", 0), None) as server:
                made.update(port=server.port, camera=Camera(page, learnt, alerting), site=site)
                made["camera"].show()  # a picture is in view before anyone asks
                ready.set()
                try:
                    made["camera"].turn(lambda: not stop.is_set())
                finally:
                    desk.close()
                    its.close()

    thread = threading.Thread(target=loop)
    thread.start()
    try:
        assert ready.wait(20)
        client = PageClient(made["port"])
        client.site = made["site"]
        yield client, made["camera"]
    finally:
        stop.set()
        thread.join()


def until(true, timeout_s=10.0):
    """Waits until `true()`; fails where it does not become so."""
    ends = time.monotonic() + timeout_s
    while not true():
        assert time.monotonic() < ends
        time.sleep(0.01)
