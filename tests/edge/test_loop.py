"""Frames become results: none lost, none out of order, and a run can be summed up."""

import contextlib
import threading
import time
import zlib
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.contract.results import FrameResult, Prediction, SourceState, answer
from edge.film import open_film
from edge.loop import Manner, run_loop
from edge.sources import Feed, Frame, Source, find_feed
from edge.tally import Tally, summarize

VIDEO = Path(__file__).resolve().parents[2].parent / "shared" / "data" / "video"


def classify(image):
    """Labels a picture by its very bytes, so that a wrong, lost or swapped frame shows."""
    return Prediction("{:08x}".format(zlib.crc32(image.tobytes())), 0.5, (), False, 0.1, 0.2)


def labels_by_hand(path):
    capture, labels = cv2.VideoCapture(path), []
    while True:
        there, image = capture.read()
        if not there:
            capture.release()
            return labels
        labels.append(classify(image).label)


def make_film(path, count=40):
    noise = np.random.RandomState(1)
    with open_film(str(path), 25.0, (64, 48)) as film:
        for _ in range(count):
            film.write(noise.randint(0, 256, (48, 64, 3)).astype(np.uint8))
    return str(path)


def feed_of(frames, live=False):
    return Feed("fake", live, lambda: None, lambda: Source(iter(frames), lambda: None, live))


def labelled(answers):
    """The pairs of frames and results among what the loop gave."""
    return [pair for pair in answers if not isinstance(pair[1], SourceState)]


def frame(sequence, captured_ns=0):
    return Frame(sequence, captured_ns, np.full((4, 4, 3), 100 + sequence % 100, np.uint8), "fake")


@pytest.mark.parametrize("name", ["own.mp4", "own.avi", "bikes.mp4", "trash_camera.mp4"])
def test_each_frame_of_a_film_gets_the_label_that_it_gets_by_hand(tmp_path, name):
    path = make_film(tmp_path / name) if name.startswith("own") else str(VIDEO / name)
    if not Path(path).exists():
        pytest.skip("shared/data/video is not there")
    pairs = labelled(run_loop([find_feed(path)], classify))
    assert [result.label for _, result in pairs] == labels_by_hand(path)
    assert [result.sequence for _, result in pairs] == list(range(len(pairs)))
    assert all(classify(each.image).label == result.label for each, result in pairs)
    assert all(result.age_ms >= 0 for _, result in pairs)


def test_age_runs_from_capture_to_result():
    feed = feed_of([frame(7, captured_ns=1000000)])
    ((_, result),) = labelled(run_loop([feed], classify, clock_ns=lambda: 6500000))
    assert (result.sequence, result.captured_ns, result.age_ms, result.source) == (7, 1000000, 5.5, "fake")
    assert (result.score, result.infer_ms) == (0.5, 0.2) and result.prepare_ms >= 0.1


def test_what_prepares_runs_in_the_reading_thread_and_what_classifies_in_the_callers():
    names = []

    def prepare(image):
        names.append(threading.current_thread().name)
        return image[:1]

    def classify_row(pixels):
        names.append(threading.current_thread().name)
        return classify(pixels)

    labelled(run_loop([feed_of([frame(0)])], classify_row, prepare))
    assert names == ["capture", threading.current_thread().name]


def test_closing_the_loop_early_leaves_no_thread(tmp_path):
    feed = find_feed(make_film(tmp_path / "own.avi"))
    with contextlib.closing(run_loop([feed], classify)) as pairs:
        assert next(pairs)[1].state == "live" and next(pairs)[0].sequence == 0
    assert [thread.name for thread in threading.enumerate() if thread.name == "capture"] == []


def test_an_error_in_classify_reaches_the_caller_and_leaves_no_thread(tmp_path):
    with pytest.raises(ZeroDivisionError):
        list(run_loop([find_feed(make_film(tmp_path / "own.avi"))], lambda image: 1 // 0))
    assert [thread.name for thread in threading.enumerate() if thread.name == "capture"] == []


def test_several_sources_are_named_and_each_is_classified_to_its_end(tmp_path):
    one, other = (make_film(tmp_path / name, count) for name, count in (("a.avi", 7), ("b.avi", 12)))
    pairs = labelled(run_loop([find_feed(one), find_feed(other)], classify))
    for path, count in ((one, 7), (other, 12)):
        of_it = [result for _, result in pairs if result.source == path]
        assert [result.sequence for result in of_it] == list(range(count))
        assert [result.label for result in of_it] == labels_by_hand(path)


def still(count, fill=90):
    return [Frame(n, n * 40000000, np.full((32, 32, 3), fill, np.uint8), "fake") for n in range(count)]


def test_while_nothing_moves_the_network_rests_and_once_a_second_looks():
    classified = []

    def count(image):
        classified.append(1)
        return classify(image)

    pairs = labelled(run_loop([feed_of(still(60))], count, manner=Manner(skip_still=True)))
    assert [result.sequence for _, result in pairs] == list(range(60))
    assert len(classified) == 3 and sum(result.reused for _, result in pairs) == 57
    assert len({result.label for _, result in pairs}) == 1


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 27), st.integers(0, 27))
def test_a_small_thing_that_moves_is_seen(row, column):
    moved = still(2)
    moved[1].image[row : row + 5, column : column + 5] = 250
    pairs = labelled(run_loop([feed_of(moved)], classify, manner=Manner(skip_still=True)))
    assert [result.reused for _, result in pairs] == [False, False]


def test_at_most_so_many_frames_a_second_are_classified():
    frames = (frame(n) for n in range(100000))
    answers = run_loop([feed_of(frames, live=True)], classify, manner=Manner(most_per_second=50.0))
    started = time.monotonic()
    with contextlib.closing(answers):
        for _ in range(11):
            next(answers)
    assert time.monotonic() - started > 0.15


def test_a_result_below_the_least_score_is_unsure():
    ((_, result),) = labelled(run_loop([feed_of([frame(1)])], classify, manner=Manner(least_score=0.6)))
    assert not result.sure and answer(result) == "unsure ({}?)".format(result.label)
    ((_, result),) = labelled(run_loop([feed_of([frame(1)])], classify, manner=Manner(least_score=0.5)))
    assert result.sure and answer(result) == result.label


def result(sequence, captured_ms, age_ms, prepare_ms=1.0, infer_ms=2.0):
    return FrameResult(sequence, int(captured_ms * 1e6), "a", 0.5, (), False, age_ms, prepare_ms, infer_ms)


def test_a_summary_counts_gaps_and_measures_from_the_first_result_to_the_last():
    summary = summarize([result(2, 0, 10.0), result(3, 100, 20.0), result(9, 190, 30.0, infer_ms=4.0)])
    assert (summary.frames, summary.dropped) == (3, 7)
    assert summary.frames_per_second == pytest.approx(2 / 0.210)
    assert (summary.age_median_ms, summary.age_p95_ms) == (20.0, pytest.approx(29.0))
    assert (summary.prepare_median_ms, summary.prepare_p95_ms) == (1.0, 1.0)
    assert (summary.infer_median_ms, summary.infer_p95_ms) == (2.0, pytest.approx(3.8))


def test_a_summary_counts_how_often_a_source_was_without_a_picture_and_not_how_long():
    tally = Tally()
    for state, tries in (("live", 1), ("lost", 1), ("lost", 2), ("live", 1), ("lost", 1), ("black", 1), ("black", 9)):
        tally.add(SourceState("fake", state, "", tries))
    summary = tally.summary()
    assert (summary.lost, summary.black, summary.frozen, summary.stale) == (2, 1, 0, 0)


def test_a_summary_of_nothing_or_of_one_frame_is_finite():
    assert set(summarize([])) == {0}
    assert summarize([result(0, 0, 10.0)])[:3] == (1, 0, 0.0)


@settings(max_examples=30, deadline=None)
@given(st.lists(st.integers(1, 5), min_size=1, max_size=30))
def test_frames_and_dropped_add_up_to_what_the_source_numbered(steps):
    tally, sequence = Tally(), -1
    for step in steps:
        sequence += step
        tally.add(result(sequence, sequence, 1.0))
    summary = tally.summary()
    assert summary.frames == len(steps) and summary.frames + summary.dropped == sequence + 1
