"""The reading thread: the newest frame of a camera, every frame of a film, and never a hang."""

import threading

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.capture import Handover, capturing, refuse_frozen
from edge.contract.errors import SourceError
from edge.sources import Frame, Source


def frame(sequence, seconds=0.0, fill=None):
    image = np.full((40, 4, 3), sequence % 251 if fill is None else fill, np.uint8)
    return Frame(sequence, int(seconds * 1e9), image, "fake")


def source_of(frames, live=False):
    return Source(iter(frames), lambda: None, live, 25.0, (4, 40))


def capture_threads():
    return [thread for thread in threading.enumerate() if thread.name == "capture"]


@settings(max_examples=50, deadline=None)
@given(st.lists(st.booleans(), max_size=40))
def test_the_slot_gives_the_newest_frame_and_numbers_only_rise(puts):
    slot, put, taken = Handover(newest_only=True), 0, []
    for is_put in puts:
        if is_put:
            assert slot.put(frame(put))
            put += 1
        elif put and (not taken or taken[-1] < put - 1):
            taken.append(slot.take().sequence)
            assert taken[-1] == put - 1
    assert taken == sorted(set(taken))


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 30))
def test_the_queue_gives_every_frame_in_order(count):
    with capturing(source_of(map(frame, range(count))), 60, 60) as frames:
        assert [each.sequence for each in frames] == list(range(count))
    assert capture_threads() == []


def test_a_slow_loop_sees_the_newest_frame_of_a_camera_and_the_gap():
    first_taken, all_read = threading.Event(), threading.Event()

    def camera():
        yield frame(0)
        assert first_taken.wait(60)
        for sequence in range(1, 9):
            yield frame(sequence)
        all_read.set()

    with capturing(source_of(camera(), live=True), 60, 60) as frames:
        sequences = [next(frames).sequence]
        first_taken.set()
        assert all_read.wait(60)
        sequences += [each.sequence for each in frames]
    assert sequences == [0, 8]


def test_an_error_while_reading_reaches_the_loop_after_the_frames_before_it():
    def broken():
        yield frame(0)
        yield frame(1)
        raise ZeroDivisionError("from the reading thread")

    seen = []
    with pytest.raises(ZeroDivisionError), capturing(source_of(broken()), 60, 60) as frames:
        seen.extend(each.sequence for each in [next(frames), next(frames)])
        next(frames)
    assert seen == [0, 1] and capture_threads() == []


@pytest.mark.parametrize("error", [KeyboardInterrupt, ValueError])
def test_a_loop_that_stops_early_leaves_no_thread(error):
    endless = map(frame, iter(int, 1))
    with pytest.raises(error), capturing(source_of(endless), 60, 60) as frames:
        next(frames)
        raise error()
    assert capture_threads() == []


def test_a_camera_that_delivers_nothing_is_an_error_and_its_stuck_read_holds_nobody_up():
    unstick = threading.Event()

    def stuck():
        yield frame(0)
        unstick.wait(60)

    with pytest.raises(SourceError) as caught, capturing(source_of(stuck(), live=True), 0.01, 60) as frames:
        assert next(frames).sequence == 0
        next(frames)
    assert "delivered nothing for 0.01 s" in str(caught.value)
    threads = capture_threads()
    assert len(threads) == 1 and threads[0].daemon
    unstick.set()
    threads[0].join()


def test_a_slow_film_is_waited_for():
    asked = threading.Event()

    def slow():
        assert asked.wait(60)
        yield frame(0)

    with capturing(source_of(slow()), 0.0, 60) as frames:
        threading.Timer(0.05, asked.set).start()
        assert next(frames).sequence == 0


def test_a_camera_with_the_same_bytes_for_too_long_is_an_error():
    frames = refuse_frozen(iter([frame(0, 0.0, 7), frame(1, 2.9, 7), frame(2, 3.0, 7)]), 3.0)
    assert [next(frames).sequence, next(frames).sequence] == [0, 1]
    with pytest.raises(SourceError) as caught:
        next(frames)
    assert "the same bytes for 3 s" in str(caught.value)


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 39), st.integers(0, 3), st.integers(0, 2))
def test_one_changed_byte_anywhere_is_a_camera_that_lives(row, column, channel):
    changed = frame(1, 2.0, 7)
    changed.image[row, column, channel] += 1
    given_frames = [frame(0, 0.0, 7), changed, frame(2, 4.0, 7), frame(3, 6.0, 7)]
    assert list(refuse_frozen(iter(given_frames), 3.0)) == given_frames


def test_the_check_for_frozen_frames_holds_for_cameras_and_not_for_films():
    still = [frame(sequence, sequence, 7) for sequence in range(20)]
    with capturing(source_of(still), 60, 3.0) as frames:
        assert len(list(frames)) == 20
    with pytest.raises(SourceError), capturing(source_of(still, live=True), 60, 3.0) as frames:
        list(frames)
