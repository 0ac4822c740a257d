"""edge/noticing.py: a film's steady scenes become evidence and questions, and examples only by a person's word."""

import os

import numpy as np
import pytest
from glyph_world import draw
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.contract.errors import InputError, UsageError
from edge.contract.results import FrameResult
from edge.lessons import examples_of, forget_everything, forget_label, forget_noticed, undo
from edge.live import LiveTeacher
from edge.noticing import DOUBTFUL, STEADY_FRAMES, STEADY_S, SURE, Noticer, confirm, keep_noticed
from edge.recall import recall
from edge.rows import Key, NewExample, NoticedRow
from edge.sources import Frame
from edge.store import MOST_NOTICED, open_store

IMAGE = draw("Z", 1, 3)[0]


@pytest.fixture
def path(tmp_path):
    return str(tmp_path / "learned.sqlite")


@pytest.fixture
def store(path):
    with open_store(path) as opened:
        yield opened


def _result(label, score, sequence=0):
    """What a run says of a frame; the rest of the probability goes to another label."""
    fields = dict.fromkeys(FrameResult._fields, 0)
    fields.update(label=label, score=score, top=((label, score), ("rival", 1 - score)), sequence=sequence)
    return FrameResult(**fields)


def _film(scenes, frames_per_second=10):
    """(frame, result) for scenes of (label, score, frames)."""
    sequence = 0
    for label, score, frames in scenes:
        for _ in range(frames):
            frame = Frame(sequence, int(sequence * 1e9 / frames_per_second), IMAGE, "film.mp4")
            yield frame, _result(label, score, sequence)
            sequence += 1


def _see(scenes, **more):
    noticer = Noticer()
    told = [noticer.see(frame, result) for frame, result in _film(scenes, **more)]
    return [(each.label, each.is_question) for each in told if each is not None]


def test_a_steady_scene_is_told_once_when_it_is_sure_or_doubtful_and_not_in_between():
    scenes = [("cup", 0.95, 30), ("pen", 0.55, 30), ("key", 0.75, 30), ("cup", 0.95, 30)]
    assert _see(scenes) == [("cup", False), ("pen", True), ("cup", False)]


def test_a_scene_too_short_or_of_too_few_frames_is_not_told():
    assert _see([("cup", 0.95, 8), ("pen", 0.95, 8)] * 3) == []
    assert _see([("cup", 0.95, STEADY_FRAMES - 1)], frames_per_second=1 / STEADY_S) == []


def test_a_question_shows_the_most_doubtful_frame_so_far():
    noticer = Noticer()
    told = []
    for i, (frame, _) in enumerate(_film([("pen", 0.5, 20)])):
        told.append(noticer.see(frame, _result("pen", 0.52 if i == 7 else 0.58, i)))
    (noticed,) = [each for each in told if each is not None]
    assert noticed.frame.sequence == 7 and noticed.margin == pytest.approx(0.04)


@settings(max_examples=40, deadline=None)
@given(
    st.lists(
        st.tuples(st.sampled_from(["cup", "pen"]), st.sampled_from([0.55, 0.7, 0.95]), st.integers(1, 25)), max_size=8
    )
)
def test_only_sure_and_doubtful_scenes_are_ever_told_and_each_at_most_once(scenes):
    told = _see(scenes)
    assert len(told) <= len(scenes)
    possible = {(label, score <= DOUBTFUL) for label, score, _ in scenes if score >= SURE or score <= DOUBTFUL}
    assert set(told) <= possible


def _notice(backbone, store, label, score, keep=False, sequence=0):
    noticer = Noticer()
    for frame, result in _film([(label, score, 12)]):
        noticed = noticer.see(frame._replace(sequence=sequence), result)
        if noticed is not None:
            keep_noticed(backbone, store, noticed, keep, 0.0)


def test_questions_come_the_most_telling_first_and_nothing_noticed_changes_the_head(backbone, store):
    before = recall(backbone, store).head.weights.tobytes()
    for score in (0.55, 0.5, 0.58, 0.97):
        _notice(backbone, store, "A", score)
    rows = store.noticed()
    assert [row.question for row in rows] == [True, True, True, False]
    assert [row.margin for row in rows[:3]] == sorted(row.margin for row in rows[:3])
    assert recall(backbone, store).head.weights.tobytes() == before
    assert examples_of(backbone, store) == []


def test_a_person_confirms_evidence_answers_questions_and_can_undo_it(backbone, store):
    _notice(backbone, store, "A", 0.97, keep=True)
    _notice(backbone, store, "A", 0.5)
    question, sure = [row.id for row in store.noticed()]
    for ids, label in (([question], None), ([sure, 99], None)):
        with pytest.raises(InputError):
            confirm(backbone, store, ids, label)
    with pytest.raises(UsageError):
        confirm(backbone, store, [sure], "a/b")
    assert len(store.noticed()) == 2
    assert confirm(backbone, store, [sure], None, "Ada").labels == ("A",)
    assert confirm(backbone, store, [question], "Z").labels == ("Z",)
    rows = examples_of(backbone, store)
    assert [(row.label, row.person, row.has_picture, row.used) for row in rows] == [
        ("A", "Ada", True, True),
        ("Z", "", False, True),
    ]
    assert store.noticed() == []
    undo(backbone, store, 0)
    assert examples_of(backbone, store) == []


def test_forgetting_reaches_what_was_only_noticed(backbone, store, path):
    for label in ("A", "C"):
        _notice(backbone, store, label, 0.97, keep=True)
    confirm(backbone, store, [store.noticed()[0].id], None)  # C
    _notice(backbone, store, "C", 0.97)
    forget_label(backbone, store, "C")
    assert [row.label for row in store.noticed()] == ["A"]
    picture = store.noticed_picture(store.noticed()[0].id)
    assert forget_noticed(backbone, store).examples == ()
    assert store.noticed() == []
    for name in os.listdir(os.path.dirname(path)):
        with open(os.path.join(os.path.dirname(path), name), "rb") as file:
            assert picture not in file.read()
    _notice(backbone, store, "A", 0.97)
    forget_everything(backbone, store)
    assert store.noticed() == []


def test_the_oldest_goes_when_there_is_much(store):
    row = NoticedRow(0, True, "A", "C", 0.5, 0.1, "now", "film", False)
    for i in range(MOST_NOTICED + 3):
        store.add_noticed(row, Key("b", "l"), NewExample("frame {}".format(i), np.zeros(4, np.int8), None))
    found = sorted(row.id for row in store.noticed())
    assert len(found) == MOST_NOTICED and found[0] == 4


def test_a_run_that_notices_asks_and_remembers(backbone, store):
    teacher = LiveTeacher(backbone, store, [], False, "")
    said = [teacher.notice(frame, result) for frame, result in _film([("A", 0.97, 20), ("A", 0.5, 20)])]
    assert [line for line in said if line] == ["what is this? A 0.50, or rival"]
    assert [row.question for row in store.noticed()] == [True, False]
