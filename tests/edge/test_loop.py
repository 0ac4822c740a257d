"""Frames become results: none lost, none out of order, and a run can be summed up."""

import contextlib
import threading
import zlib
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.contract.errors import SourceError
from edge.contract.results import FrameResult, Prediction
from edge.film import open_film
from edge.loop import Tally, run_loop, summarize
from edge.sources import Frame, Source, open_source

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


def camera(frames):
    return Source(iter(frames), lambda: None, True, 25.0, (4, 4))


def frame(sequence, captured_ns=0):
    return Frame(sequence, captured_ns, np.full((4, 4, 3), sequence % 251, np.uint8), "fake")


@pytest.mark.parametrize("name", ["own.mp4", "own.avi", "bikes.mp4", "trash_camera.mp4"])
def test_each_frame_of_a_film_gets_the_label_that_it_gets_by_hand(tmp_path, name):
    path = make_film(tmp_path / name) if name.startswith("own") else str(VIDEO / name)
    if not Path(path).exists():
        pytest.skip("shared/data/video is not there")
    with open_source(path) as source:
        pairs = list(run_loop(source, classify))
    assert [result.label for _, result in pairs] == labels_by_hand(path)
    assert [result.sequence for _, result in pairs] == list(range(len(pairs)))
    assert all(classify(each.image).label == result.label for each, result in pairs)
    assert all(result.age_ms >= 0 for _, result in pairs)


def test_age_runs_from_capture_to_result():
    source = camera([frame(7, captured_ns=1000000)])
    ((_, result),) = run_loop(source, classify, clock_ns=lambda: 6500000)
    assert (result.sequence, result.captured_ns, result.age_ms) == (7, 1000000, 5.5)
    assert (result.score, result.prepare_ms, result.infer_ms) == (0.5, 0.1, 0.2)


def test_closing_the_loop_early_leaves_no_thread(tmp_path):
    with open_source(make_film(tmp_path / "own.avi")) as source:
        with contextlib.closing(run_loop(source, classify)) as pairs:
            assert next(pairs)[0].sequence == 0
        assert [thread.name for thread in threading.enumerate() if thread.name == "capture"] == []
    assert source.read() is None


def test_an_error_in_classify_reaches_the_caller_and_leaves_no_thread(tmp_path):
    with open_source(make_film(tmp_path / "own.avi")) as source, pytest.raises(ZeroDivisionError):
        list(run_loop(source, lambda image: 1 // 0))
    assert [thread.name for thread in threading.enumerate() if thread.name == "capture"] == []


def test_a_frozen_camera_gets_no_label_once_it_is_known_to_be_frozen():
    taken = threading.Semaphore(0)

    def frozen():
        for second in range(10):
            yield Frame(second, second * 10**9, np.zeros((4, 4, 3), np.uint8), "fake")
            assert taken.acquire(timeout=60)

    labelled = []
    with pytest.raises(SourceError):
        for each, _ in run_loop(camera(frozen()), classify, frozen_s=3.0):
            labelled.append(each.sequence)
            taken.release()
    assert labelled == [0, 1, 2]


def result(sequence, captured_ms, age_ms, prepare_ms=1.0, infer_ms=2.0):
    return FrameResult(sequence, int(captured_ms * 1e6), "a", 0.5, (), False, age_ms, prepare_ms, infer_ms)


def test_a_summary_counts_gaps_and_measures_from_the_first_result_to_the_last():
    summary = summarize([result(2, 0, 10.0), result(3, 100, 20.0), result(9, 190, 30.0, infer_ms=4.0)])
    assert (summary.frames, summary.dropped) == (3, 7)
    assert summary.frames_per_second == pytest.approx(2 / 0.210)
    assert (summary.age_median_ms, summary.age_p95_ms) == (20.0, pytest.approx(29.0))
    assert (summary.prepare_median_ms, summary.prepare_p95_ms) == (1.0, 1.0)
    assert (summary.infer_median_ms, summary.infer_p95_ms) == (2.0, pytest.approx(3.8))


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
