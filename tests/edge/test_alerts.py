"""Alerts: what a rule may be, when one begins and ends, and what is told and kept of it."""

import json
import os
import subprocess

import numpy as np
import pytest
from glyph_world import KNOWN, draw
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny_board import command, on_board, stripes, tiny_board

from edge.alerts.alarm import BEGINS, ENDS, Alarm
from edge.alerts.alerting import Alerting, Outlets
from edge.alerts.preference import learn_preference
from edge.alerts.rows import MOST_UNMARKED, AlertRow
from edge.alerts.rules import Rule, parse_rules
from edge.base import encode
from edge.classifier import Classifier
from edge.contract.errors import UsageError
from edge.contract.results import FrameResult, SourceState
from edge.recall import recall
from edge.rows import Key
from edge.sources import Frame

LABELS, SOURCES = ("cup", "salt, pepper"), ("/dev/video0", "test:")


def _result(label="cup", score=0.9, at_s=0.0, **more):
    fields = {"top": (), "unknown": False, "age_ms": 1.0, "prepare_ms": 1.0, "infer_ms": 1.0, "source": "test:"}
    return FrameResult(0, int(at_s * 1e9), label, score, **dict(fields, **more))


def test_a_rule_has_a_label_and_if_it_is_said_a_score_a_duration_and_a_source():
    (rule,) = parse_rules(["cup, score=0.8, for=2.5, source=0"], LABELS, SOURCES)
    assert rule[1:] == ("cup", 0.8, 2.5, "/dev/video0")
    assert parse_rules(["cup"], LABELS, SOURCES) == [Rule("cup", "cup")]
    assert parse_rules(["salt, pepper,for=1"], LABELS, SOURCES)[0].label == "salt, pepper"


def test_rules_may_stand_in_a_file_a_line_each(tmp_path):
    path = str(tmp_path / "alerts")
    with open(path, "w") as file:
        file.write("# at night\n\ncup,for=1\n  unknown \n")
    assert [rule.label for rule in parse_rules(["@" + path, "cup"], LABELS, SOURCES)] == ["cup", "unknown", "cup"]


@pytest.mark.parametrize(
    "text, expected",
    [
        ("cub", "a label that is known: cup, salt, pepper or unknown"),
        ("", "a label that is known"),
        ("cup,score=1.5", "score from 0 to 1"),
        ("cup,score=nan", "score from 0 to 1"),
        ("cup,for=-1", "for from 0 to 86400"),
        ("cup,for=long", "LABEL"),
        ("cup,since=3", "LABEL"),
        ("cup,source=1", "a source of this run: /dev/video0, test:"),
        ("@/none", "a file with an alert a line"),
    ],
)
def test_a_rule_with_a_slip_in_it_is_refused_in_one_line(text, expected):
    with pytest.raises(UsageError) as refused:
        parse_rules([text], LABELS, SOURCES)
    assert expected in str(refused.value) and "\n" not in str(refused.value)


def test_the_same_rule_twice_is_refused():
    with pytest.raises(UsageError, match="twice"):
        parse_rules(["cup", "cup"], LABELS, SOURCES)


@pytest.mark.parametrize(
    "rule, result, fits",
    [
        (Rule("", "cup", 0.8), _result(), True),
        (Rule("", "cup", 0.8), _result(score=0.79), False),
        (Rule("", "cup"), _result("pen"), False),
        (Rule("", "cup"), _result(unknown=True), False),
        (Rule("", "cup"), _result(sure=False), False),
        (Rule("", "unknown"), _result(unknown=True), True),
        (Rule("", "unknown"), _result(), False),
        (Rule("", "cup", source="test:"), _result(), True),
        (Rule("", "cup", source="0"), _result(), False),
    ],
)
def test_what_fits_a_rule(rule, result, fits):
    assert rule.fits(result) is fits


def test_an_alert_begins_when_its_rule_has_held_for_long_enough_and_once():
    alarm = Alarm(1.0)
    said = [alarm.see(holds, int(at_s * 1e9)) for at_s, holds in [(0, True), (0.5, True), (1.0, True), (1.5, True)]]
    assert said == ["", "", BEGINS, ""]


def test_a_gap_before_it_begins_begins_anew_and_a_short_one_afterwards_is_a_flicker():
    alarm = Alarm(1.0)
    steps = [(0, True), (0.9, False), (1.0, True), (1.9, True), (2.0, True), (2.5, False), (3.0, True), (4.9, False)]
    assert [alarm.see(holds, int(at_s * 1e9)) for at_s, holds in steps] == ["", "", "", "", BEGINS, "", "", ""]
    assert alarm.see(False, int(5.0e9)) == ENDS and alarm.lasted_s == 2.0
    assert alarm.see(True, int(6.0e9)) == "" and alarm.see(True, int(7.0e9)) == BEGINS


class World:
    """Letters before an alerting whose outlets remember."""

    def __init__(self, backbone, store, *rules, **more):
        self.classifier = Classifier(recall(backbone, store))
        self.told, self.lines, self.events = [], [], []
        outlets = Outlets(lambda fields, line: self.told.append(fields), self.events.append, self.lines.append, list)
        parsed = parse_rules(rules, KNOWN, ["camera"])
        self.alerting = Alerting(parsed, lambda: self.classifier, store, outlets, clock=lambda: 0.0, **more)
        self._at_s = 0.0

    def show(self, letter, seed=3, seconds=0.5, named=None):
        image = draw(letter, 1, seed)[0]
        said = self.classifier.classify(image)._replace(label=named or letter, score=0.9, unknown=False)
        result = FrameResult(0, int(self._at_s * 1e9), age_ms=1.0, source="camera", **said._asdict())
        self._at_s += seconds
        self.alerting.see(Frame(0, result.captured_ns, image, "camera"), result)

    def alerts_of(self, letter, seed, named=None):
        """What is told when a letter comes into view, before it goes again for long enough."""
        before = len(self.told)
        self.show(letter, seed, named=named)
        told = self.told[before:]
        self.show("C", 3)
        self.show("C", 3, seconds=3.0)
        self.show("C", 3)
        return told


def test_an_alert_is_told_when_it_begins_and_when_it_is_over_and_kept(backbone, store):
    world = World(backbone, store, "A,for=1", "H")
    for letter in "AAAACCCCCC":
        world.show(letter)
    begun, over = world.told
    assert begun["rule"] == "A,for=1" and begun["label"] == "A" and begun["source"] == "camera"
    assert begun["at"] == "1970-01-01T00:00:00Z" and not begun["over"]
    assert over["over"] and over["id"] == begun["id"] and over["lasted_s"] == 1.5
    (row,) = store.alerts().all()
    assert row.id == begun["id"] and row.wanted is None and not row.has_picture


def test_each_source_has_its_own_alert_and_a_lost_camera_ends_one(backbone, store):
    world = World(backbone, store, "A")
    world.show("A")
    other = _result("A", source="door")
    world.alerting.see(Frame(0, 0, draw("A", 1, 3)[0], "door"), other)
    assert [each["source"] for each in world.told] == ["camera", "door"]
    world.alerting.see(None, SourceState("door", "lost", "gone", 1))  # its frames were captured long ago
    assert world.told[-1]["over"] and world.told[-1]["source"] == "door"


def test_events_are_answers_that_lasted_and_states_that_changed(backbone, store):
    world = World(backbone, store)
    for letter in "AAACAAA":
        world.show(letter)
    for tries in (1, 2):
        world.alerting.see(None, SourceState("camera", "lost", "gone", tries))
    assert [(each["kind"], each["text"]) for each in world.events] == [("seen", "A"), ("seen", "A"), ("lost", "gone")]


def test_an_alert_that_a_full_disk_cannot_keep_is_told_all_the_same(backbone, store):
    world = World(backbone, store, "A")
    store._connection.execute("PRAGMA max_page_count = 1")  # SQLite takes it for as many as there are
    while not world.lines:
        for letter in "ACCCCC":
            world.show(letter)
    assert "full" in world.lines[0]
    begun = [each for each in world.told if not each["over"]]
    assert begun[-1]["id"] == 0 and len(begun) == len(store.alerts().all()) + 1


KEY = Key("b", "l")


def _add(store, rule="cup", picture=None, most_bytes=0):
    row = AlertRow(0, rule, "cup", 0.9, "0", "2026-11-22T00:00:00Z", "rule")
    return store.alerts().add(row, KEY, np.zeros(4, np.int8), picture, most_bytes)


def test_of_alerts_without_a_mark_the_newest_stay_and_marked_ones_all(store):
    first = _add(store)
    assert store.alerts().mark(first, True)
    for _ in range(MOST_UNMARKED + 5):
        last = _add(store)
    rows = store.alerts().all()
    assert len(rows) == MOST_UNMARKED + 1 and rows[0].id == last and rows[-1].id == first and rows[-1].wanted


def test_what_is_forgotten_takes_its_alerts_along(store):
    _add(store)
    store.remove([], guessed="pen")
    assert len(store.alerts().all()) == 1
    store.remove([], guessed="cup")
    assert store.alerts().all() == []
    _add(store)
    store.remove_everything()
    assert store.alerts().all() == []


def test_an_alert_that_was_not_wanted_stops_those_like_it_and_taking_the_mark_back_starts_them(backbone, store):
    world = World(backbone, store, "H,for=0")

    def alert(letter, seed):
        """Whether the rule, which holds for it, alerts of that letter."""
        return bool(world.alerts_of(letter, seed, named="H"))

    for seed, letter in enumerate("HHHHXXXX"):
        assert alert(letter, seed)
    for row in store.alerts().all()[1:]:
        world.alerting.mark(row.id, row.id <= 4)
    assert world.alerting.press("n").endswith(" was not wanted")  # the newest
    stopped = [not alert("X", seed) for seed in range(10, 20)]  # random features of jittered letters: not all
    kept = [alert("H", seed) for seed in range(10, 20)]
    assert sum(stopped) >= 7 and sum(kept) >= 7
    assert sum(row.how == "quiet" for row in store.alerts().all()) == sum(stopped) + 10 - sum(kept)
    assert not any(each["how"] == "quiet" for each in world.told)
    for _ in range(8):
        assert "taken back" in world.alerting.press("b")
    assert alert("X", 20)
    assert world.alerting.press("b").startswith("no alert is marked")


def test_alerts_that_were_kept_quiet_and_are_marked_as_wanted_after_all_are_told_again(backbone, store):
    world = World(backbone, store, "H")
    for seed, letter in enumerate("HHHHXXXX"):
        world.alerts_of(letter, seed, named="H")
        world.alerting.mark(store.alerts().all()[0].id, letter == "H")
    assert not all(world.alerts_of("X", seed, named="H") for seed in range(10, 20))
    for row in store.alerts().all():
        world.alerting.mark(row.id, True)
    assert all(world.alerts_of("X", seed, named="H") for seed in range(20, 25))


def test_a_missed_alert_starts_those_like_it_and_no_others(backbone, store):
    world = World(backbone, store, "H,score=0.95")
    for seed in range(6):
        world.show("L", seed)  # 0.9 is not enough
        assert "was missed" in world.alerting.press("a")
        world.show("T", seed)
        assert "was missed" in world.alerting.press("a")
        world.alerting.mark(store.alerts().all()[0].id, False)
    world.alerts_of("A", 9)
    assert [world.alerts_of("T", seed) for seed in range(10, 15)] == [[]] * 5
    alike = [told for seed in range(10, 15) for told in world.alerts_of("L", seed)]
    assert alike and {(told["how"], told["rule"]) for told in alike} == {("alike", "H,score=0.95")}


def test_a_mark_counts_for_its_own_rule_only_and_one_side_alone_silences_nothing(backbone, store):
    world = World(backbone, store, "A", "C")
    world.show("A")
    world.alerting.press("n")
    for _ in range(6):
        world.show("T")
    world.show("A", 5)
    for _ in range(6):
        world.show("T")
    world.show("C")
    assert [each["rule"] for each in world.told if not each["over"]] == ["A", "A", "C"]


def test_keys_without_an_alert_say_so_and_other_keys_and_runs_without_rules_nothing(backbone, store):
    world = World(backbone, store, "A")
    assert world.alerting.press("w") == "there was no alert in this run"
    assert "nothing is in view" in world.alerting.press("a")
    assert [world.alerting.press(key) for key in "1yuqWx "] == [None] * 7
    assert World(backbone, store).alerting.press("w") is None


def test_pictures_of_alerts_are_kept_only_if_asked_and_the_oldest_go(backbone, store):
    world = World(backbone, store, "A")
    world.show("A")
    assert store.alerts().picture(1) is None
    for _ in range(5):
        alert = _add(store, picture=b"x" * 1000, most_bytes=2500)
    kept = [row.id for row in store.alerts().all() if row.has_picture]
    assert kept == [alert, alert - 1]
    world = World(backbone, store, "C", most_picture_bytes=100000)
    world.show("C")
    assert store.alerts().picture(store.alerts().all()[0].id).startswith(b"\xff\xd8")


@settings(max_examples=20, deadline=None)
@given(st.integers(1, 4), st.integers(1, 4), st.integers(0, 1000))
def test_a_preference_tells_the_moments_that_it_learnt_from_apart(wanted, unwanted, seed):
    random = np.random.RandomState(seed)
    centres = np.abs(random.randn(2, 32)) + 3 * np.eye(32)[:2]
    targets = np.repeat([True, False], [wanted, unwanted])
    features = (centres[1 - targets.astype(int)] + 0.05 * random.randn(len(targets), 32)).astype(np.float32)
    step = np.full(32, 0.01, np.float32)
    learnt = learn_preference(encode(features, step), targets, np.zeros((0, 32), np.int8), step, starts=True)
    found = [not learnt.is_unwanted(row[np.newaxis]) for row in features]
    assert found == targets.tolist()


def test_run_says_an_alert_in_a_line_and_as_json(tmp_path):
    import cv2

    root = tiny_board(str(tmp_path))
    frames = str(tmp_path / "frames")
    os.mkdir(frames)
    for i, picture in enumerate(stripes(5, 9, True)):
        cv2.imwrite(os.path.join(frames, "{}.png".format(i)), picture)
    said = [json.loads(line) for line in _run(root, frames, "cat,score=0.5", "--json")[1].splitlines()]
    (alert,) = [each["alert"] for each in said if "alert" in each]
    assert alert["label"] == "cat" and alert["id"] == 1 and not alert["over"]
    assert "alert 2: cat" in _run(root, frames, "cat,score=0.5")[1]
    code, listed = on_board(root, "alerts", "--unwanted", "1")
    assert code == 0 and [(each["id"], each["wanted"]) for each in listed["alerts"]] == [(2, None), (1, False)]
    assert [each["wanted"] for each in on_board(root, "alerts", "--undo")[1]["alerts"]] == [None] * 2
    assert "alert 3: cat" in _run(root, frames, "cat,score=0.5", "--alert-pictures", "1")[1]
    assert on_board(root, "alerts", "--out", str(tmp_path / "pictures"))[0] == 0
    assert os.listdir(str(tmp_path / "pictures")) == ["3.jpg"]
    assert on_board(root, "alerts", "--undo")[0] == 1 and on_board(root, "alerts", "--wanted", "9")[0] == 1
    line, folder, environment = command(root, "run", frames, "--alert-pictures", "1")
    done = subprocess.run(line, cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert done.returncode == 2 and b"--alert-pictures without --alert" in done.stderr
    code, _, line = _run(root, frames, "cow")
    assert code == 2 and "expected a label that is known: cat, dog or unknown" in line and line.count("\n") == 1


def _run(root, source, rule, *more):
    """(exit code, stdout, stderr)"""
    line, folder, environment = command(root, "run", source, "--alert", rule, *more)
    done = subprocess.run(line, cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    return done.returncode, done.stdout.decode(), done.stderr.decode()
