"""What becomes of results besides being shown: alerts where a rule holds, and alerts and events for a broker."""

import argparse
import contextlib
import sqlite3
import time
from typing import Any, Callable, Dict, Iterator, List, NamedTuple, Optional, Sequence, Tuple

from edge.alerts.alarm import BEGINS, ENDS, Alarm
from edge.alerts.rows import BY_RULE, AlertRow
from edge.alerts.rules import Rule, parse_rules
from edge.base import encode
from edge.contract.results import FrameResult, SourceState, answer
from edge.lasting import Lasting
from edge.lessons import utc
from edge.loop import Answer
from edge.sources import Frame, monotonic_ns
from edge.store import Store


class Outlets(NamedTuple):
    """Where alerts and events go. Each may be one that does nothing."""

    alert: Callable[[Dict[str, Any], str], None]  # an alert's fields, and the same as a line for a person
    event: Callable[[Dict[str, Any]], None]
    say: Callable[[str], None]  # a line about the run itself
    lines: Callable[[], List[str]]  # what the broker's connection has to say


class Alerting:
    """Told of every frame by the loop, in its thread."""

    def __init__(
        self,
        rules: Sequence[Rule],
        classifier: Callable[[], Any],
        store: Optional[Store],
        outlets: Outlets,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """classifier: gives the edge.classifier.Classifier that said of the last frame; store: needed with rules."""
        self.changes = 0  # how often the list of alerts became another one
        self._rules = rules
        self._classifier = classifier
        self._store = store
        self._outlets = outlets
        self._clock = clock
        self._alarms: Dict[Tuple[str, str], Alarm] = {}  # by rule and source
        self._present: Dict[Tuple[str, str], AlertRow] = {}  # what an alarm that is on has told
        self._lasting: Dict[str, Lasting] = {}
        self._states: Dict[str, str] = {}

    def see(self, frame: Optional[Frame], found: Answer) -> None:
        """A frame was classified, or, without one, a source came into a state."""
        is_state = isinstance(found, SourceState)
        self._tell_event(found, is_state)
        now_ns = monotonic_ns() if is_state else found.captured_ns
        for rule in self._rules:
            if rule.source in ("", found.source):
                alarm = self._alarms.setdefault((rule.text, found.source), Alarm(rule.for_s))
                change = alarm.see(not is_state and rule.fits(found), now_ns)
                if change == BEGINS:
                    self._begin(rule, found)
                elif change == ENDS:
                    self._end(rule, found.source, alarm.lasted_s)
        self.say_lines()

    def say_lines(self) -> None:
        """Says what the broker's connection has to say."""
        for line in self._outlets.lines():
            self._outlets.say(line)

    def _begin(self, rule: Rule, result: FrameResult) -> None:
        row = AlertRow(0, rule.text, result.label, result.score, result.source, utc(self._clock()), BY_RULE)
        row = row._replace(id=self._keep(row))
        self._present[rule.text, result.source] = row
        line = "alert {}: {} {:.2f}, {} ({})".format(row.id, answer(result), row.score, row.source, row.rule)
        self._outlets.alert(dict(_fields(row), over=False), line)

    def _end(self, rule: Rule, source: str, lasted_s: float) -> None:
        row = self._present.pop((rule.text, source))
        line = "alert {}: over after {:.1f} s".format(row.id, lasted_s)
        self._outlets.alert(dict(_fields(row), over=True, lasted_s=round(lasted_s, 3)), line)

    def _keep(self, row: AlertRow) -> int:
        """The alert's number; 0 where it cannot be kept, which must not keep it from being told."""
        classifier = self._classifier()
        codes = encode(classifier.features, classifier.base.step)[0]
        try:
            number = self._store.alerts().add(row, classifier.key, codes)
        except sqlite3.OperationalError as error:
            self._outlets.say("an alert is not kept: {}".format(error))
            return 0
        self.changes += 1
        return number

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
        alerting = Alerting(rules, classifier, store, outlets)
        yield alerting
        alerting.say_lines()


def _fields(row: AlertRow) -> Dict[str, Any]:
    names = ("id", "rule", "label", "source", "how")
    return dict({name: getattr(row, name) for name in names}, score=round(row.score, 6), at=row.taken)
