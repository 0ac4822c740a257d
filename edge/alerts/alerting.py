"""What becomes of results besides being shown: alerts where a rule holds, and alerts and events for a broker."""

import argparse
import contextlib
import sqlite3
import time
from typing import Any, Callable, Dict, Iterator, List, NamedTuple, Optional, Sequence, Tuple

import numpy as np

from edge.alerts.alarm import BEGINS, ENDS, Alarm
from edge.alerts.preference import MOST_MARKS, MOST_ORDINARY, Preference, learn_preference
from edge.alerts.rows import ALIKE, BY_RULE, MISSED, QUIET, AlertRow
from edge.alerts.rules import UNKNOWN, Rule, parse_rules
from edge.base import encode
from edge.contract.errors import BoardError, EdgewiseError, InputError, UsageError
from edge.contract.results import FrameResult, SourceState, answer
from edge.lasting import Lasting
from edge.lessons import utc
from edge.loop import Answer
from edge.sources import Frame, monotonic_ns
from edge.store import Store
from edge.web.jpeg import small_jpeg

_LISTED = 60  # alerts, the newest
_WIDEST = 640  # pixels of an alert's picture


class Outlets(NamedTuple):
    """Where alerts and events go. Each may be one that does nothing."""

    alert: Callable[[Dict[str, Any], str], None]  # an alert's fields, and the same as a line for a person
    event: Callable[[Dict[str, Any]], None]
    say: Callable[[str], None]  # a line about the run itself
    lines: Callable[[], List[str]]  # what the broker's connection has to say


class Alerting:
    """Told of every frame by the loop, in its thread; marks are given there, too."""

    def __init__(
        self,
        rules: Sequence[Rule],
        classifier: Callable[[], Any],
        store: Optional[Store],
        outlets: Outlets,
        most_picture_bytes: int = 0,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """classifier: gives the edge.classifier.Classifier that said of the last frame; store: needed with rules.

        most_picture_bytes: of all pictures of alerts that are kept together; 0: none.
        """
        self.changes = 0  # how often the list of alerts became another one
        self._rules = rules
        self._classifier = classifier
        self._store = store
        self._outlets = outlets
        self._most_picture_bytes = most_picture_bytes
        self._clock = clock
        self._alarms: Dict[Tuple[str, str], Alarm] = {}  # by rule and source
        self._present: Dict[Tuple[str, str], AlertRow] = {}  # what an alarm that is on has told
        self._preferences: Dict[str, Tuple[Any, Optional[Preference]]] = {}  # by rule, with what each was made of
        self._features: Dict[str, np.ndarray] = {}  # (1, D) float32 of each source's last frame
        self._newest: Optional[AlertRow] = None  # of this run
        self._in_view: Optional[Tuple[Frame, FrameResult]] = None
        self._lasting: Dict[str, Lasting] = {}
        self._states: Dict[str, str] = {}

    @property
    def help(self) -> str:
        """The keys and what they do, in a line."""
        marks = "w: the alert was wanted; n: it was not; a: alert of what is in view, too; b: take a mark back"
        return "keys: {}; q: end".format(marks)

    def see(self, frame: Optional[Frame], found: Answer) -> None:
        """A frame was classified, or, without one, a source came into a state."""
        is_state = isinstance(found, SourceState)
        self._in_view = None if is_state else (frame, found)
        if not is_state and not found.reused:  # else the features are those of another source
            self._features[found.source] = self._classifier().features
        self._tell_event(found, is_state)
        now_ns = monotonic_ns() if is_state else found.captured_ns
        for rule in self._rules:
            if rule.source in ("", found.source):
                alarm = self._alarms.setdefault((rule.text, found.source), Alarm(rule.for_s))
                holds = not is_state and (rule.fits(found) or self._is_alike(rule, found))
                change = alarm.see(holds, now_ns)
                if change == BEGINS:
                    self._begin(rule, frame, found)
                elif change == ENDS:
                    self._end(rule, found.source, alarm.lasted_s)
        self.say_lines()

    def press(self, key: str) -> Optional[str]:
        """What `key` did: a line for a person. None: nothing."""
        if not self._rules or key not in tuple("wnab"):
            return None
        try:
            if key == "b":
                return "the mark of alert {} is taken back".format(self.take_back())
            if key == "a":
                return "alert {} was missed: moments like this one alert from now on".format(self.miss())
            if self._newest is None:
                return "there was no alert in this run"
            self.mark(self._newest.id, key == "w")
            return "alert {} was {}".format(self._newest.id, "wanted" if key == "w" else "not wanted")
        except (EdgewiseError, sqlite3.OperationalError) as error:  # the second: a full disk, or another one writes
            return str(error)

    def fields(self) -> Dict[str, Any]:
        """The rules, and the newest alerts with their marks."""
        rows = self._store.alerts().all()[:_LISTED] if self._store else []
        return {"rules": [rule.text for rule in self._rules], "alerts": [row_fields(row) for row in rows]}

    def picture(self, alert: int) -> Optional[bytes]:
        """The JPEG of the alert with this id, if one was kept."""
        return self._store.alerts().picture(alert) if self._store else None

    def mark(self, alert: int, wanted: bool) -> None:
        """A person wanted that alert, or did not. Raises InputError if it is not there."""
        if not (self._store and self._store.alerts().mark(alert, wanted)):
            raise InputError("no alert {}".format(alert), "one that is listed", "check its number")
        self.changes += 1

    def take_back(self) -> int:
        """Takes the newest mark back, and returns its alert's number. Raises BoardError if there is none."""
        alert = self._store.alerts().take_back() if self._store else None
        if alert is None:
            raise BoardError("no alert is marked", "a mark to take back", "nothing to undo")
        self.changes += 1
        return alert

    def miss(self) -> int:
        """What is in view should have been an alert, of the rule that comes nearest. Returns the number of its row.

        Raises BoardError where nothing is in view or no rule is there.
        """
        frame, result = self._in_view or (None, None)
        rules = [rule for rule in self._rules if result and rule.source in ("", result.source)]
        if not rules:
            raise BoardError("nothing is in view that a rule is for", "a frame, and --alert", "wait for the camera")
        likeliest = dict(result.top)
        rule = max(rules, key=lambda each: likeliest.get(each.label, 0.0))
        row = self._keep(self._row(rule, result, MISSED), frame)
        self.mark(row.id, True)
        return row.id

    def say_lines(self) -> None:
        """Says what the broker's connection has to say."""
        for line in self._outlets.lines():
            self._outlets.say(line)

    def _begin(self, rule: Rule, frame: Frame, result: FrameResult) -> None:
        how = BY_RULE if rule.fits(result) else ALIKE
        preference = self._preference(rule)
        if how == BY_RULE and preference and preference.is_unwanted(self._features[result.source]):
            how = QUIET
        row = self._keep(self._row(rule, result, how), frame)
        self._present[rule.text, result.source] = row
        if how != QUIET:
            self._newest = row
            line = "alert {}: {} {:.2f}, {} ({})".format(row.id, answer(result), row.score, row.source, row.rule)
            self._outlets.alert(dict(_told(row), over=False), line)

    def _end(self, rule: Rule, source: str, lasted_s: float) -> None:
        row = self._present.pop((rule.text, source))
        if row.how != QUIET:
            line = "alert {}: over after {:.1f} s".format(row.id, lasted_s)
            self._outlets.alert(dict(_told(row), over=True, lasted_s=round(lasted_s, 3)), line)

    def _row(self, rule: Rule, result: FrameResult, how: str) -> AlertRow:
        label = UNKNOWN if result.unknown else result.label
        return AlertRow(0, rule.text, label, result.score, result.source, utc(self._clock()), how)

    def _keep(self, row: AlertRow, frame: Frame) -> AlertRow:
        """The row with its number; 0 where it cannot be kept, which must not keep an alert from being told."""
        classifier = self._classifier()
        codes = encode(self._features[row.source], classifier.base.step)[0]
        picture = small_jpeg(frame.image, _WIDEST) if self._most_picture_bytes else None
        try:
            number = self._store.alerts().add(row, classifier.key, codes, picture, self._most_picture_bytes)
        except sqlite3.OperationalError as error:
            self._outlets.say("an alert is not kept: {}".format(error))
            return row
        self.changes += 1
        return row._replace(id=number)

    def _is_alike(self, rule: Rule, result: FrameResult) -> bool:
        """Whether a moment that does not fit is wanted all the same; only where its label is among the likeliest."""
        if rule.label not in [label for label, _ in result.top]:
            return False
        preference = self._preference(rule)
        return preference is not None and preference.is_alike(self._features[result.source])

    def _preference(self, rule: Rule) -> Optional[Preference]:
        """What the marks amount to, made anew when they have changed, or what features mean has."""
        classifier = self._classifier()
        made_of = (self.changes, self._store.version(), classifier.key)
        kept = self._preferences.get(rule.text)
        if kept is None or kept[0] != made_of:
            features = classifier.features.shape[1]
            rows = self._store.alerts()
            codes, wanted, starts = rows.marked(rule.text, classifier.key, features, MOST_MARKS)
            ordinary = rows.unmarked(rule.text, classifier.key, features, MOST_ORDINARY)
            learnt = learn_preference(codes, wanted, ordinary, classifier.base.step, starts)
            self._preferences[rule.text] = kept = (made_of, learnt)
        return kept[1]

    def _tell_event(self, found: Answer, is_state: bool) -> None:
        lasting = self._lasting.setdefault(found.source, Lasting())
        at = utc(self._clock())
        if not is_state:
            if lasting.see(found):
                said = {"kind": "seen", "text": answer(found), "score": round(found.score, 6)}
                self._outlets.event(dict(said, source=found.source, at=at))
        elif found.state != self._states.get(found.source):
            self._states[found.source] = found.state
            lasting.begin_anew()
            self._outlets.event({"kind": found.state, "text": found.why, "source": found.source, "at": at})


@contextlib.contextmanager
def open_alerting(
    options: argparse.Namespace,
    classifier: Callable[[], Any],
    store: Optional[Store],
    sources: Sequence[str],
    alert: Callable[[Dict[str, Any], str], None],
    say: Callable[[str], None],
) -> Iterator[Alerting]:
    """Alerts and events as options.alert and options.mqtt ask for them, until the end of the `with` block.

    classifier, store: as for Alerting; sources: names of the feeds. Raises UsageError for a rule or a broker that is
    none, and without paho-mqtt where it is needed.
    """
    if options.alert_pictures and not options.alert:
        raise UsageError("--alert-pictures without --alert", "both", "name what to alert of")
    with contextlib.ExitStack() as stack:
        rules = parse_rules(options.alert, classifier().labels, sources) if options.alert else []
        outlets = Outlets(alert, lambda fields: None, say, list)
        if options.mqtt:
            from edge.alerts.mqtt import Broker, parse_broker

            broker = stack.enter_context(Broker(parse_broker(options.mqtt)))

            def alert_both(fields: Dict[str, Any], line: str) -> None:
                alert(fields, line)
                broker.alert(fields)

            outlets = Outlets(alert_both, broker.event, say, broker.lines)
        alerting = Alerting(rules, classifier, store, outlets, int(options.alert_pictures * 1e6))
        yield alerting
        alerting.say_lines()


def row_fields(row: AlertRow) -> Dict[str, Any]:
    """An alert as it is listed."""
    return dict(_told(row), wanted=row.wanted, has_picture=row.has_picture)


def _told(row: AlertRow) -> Dict[str, Any]:
    names = ("id", "rule", "label", "source", "how")
    return dict({name: getattr(row, name) for name in names}, score=round(row.score, 6), at=row.taken)
