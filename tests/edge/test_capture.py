"""The reading threads: every frame of a film, what is lost is opened again, no label for a picture that is none."""

import itertools
import threading

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.capture import Patience, Ready, capturing
from edge.contract.errors import InputError, SourceError
from edge.contract.results import SourceState
from edge.health import BLACK, FROZEN, LIVE, Health, is_black
from edge.sources import Feed, Frame, Source

SOON = Patience(first_retry_s=0.01, longest_retry_s=0.02, frozen_s=3.0)


def frame(sequence, seconds=0.0, fill=None):
    image = np.full((40, 4, 3), 100 + sequence % 100 if fill is None else fill, np.uint8)
    return Frame(sequence, int(seconds * 1e9), image, "fake")


def feed_of(*openings, live=False, look=lambda: None):
    """A feed whose openings give these frames one after the other; an error is raised, and the last one is for ever."""
    waiting = list(openings)

    def opened():
        frames = waiting.pop(0) if len(waiting) > 1 else waiting[0]
        if isinstance(frames, Exception):
            raise frames
        return Source(iter(frames), lambda: None, live)

    return Feed("fake", live, look, opened)


def capture_threads():
    return [thread for thread in threading.enumerate() if thread.name == "capture"]


def take_all(feed, patience=SOON, prepare=lambda image: image, count=10**6):
    told = []
    with capturing([feed], prepare, patience, told) as turns:
        items = [taken.item for taken in itertools.islice(iter(lambda: turns.take(1.0), None), count)]
    assert capture_threads() == []
    return items, told


def states(items):
    return [item.state for item in items if isinstance(item, SourceState)]


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 30))
def test_a_film_gives_every_frame_in_order_prepared(count):
    items, _ = take_all(feed_of(map(frame, range(count))), prepare=lambda image: int(image[0, 0, 0]))
    assert states(items) == ["live"]
    assert [(each.frame.sequence, each.prepared) for each in items[1:]] == [(n, 100 + n) for n in range(count)]


def test_a_slow_loop_sees_the_newest_frame_of_a_camera_and_the_gap():
    first_taken, all_read, done = threading.Event(), threading.Event(), threading.Event()

    def camera():
        yield frame(0)
        assert first_taken.wait(60)
        for sequence in range(1, 9):
            yield frame(sequence)
        all_read.set()
        assert done.wait(60)

    with capturing([feed_of(camera(), live=True)], lambda image: image, SOON, []) as turns:
        assert turns.take(1.0).item.state == "live"
        sequences = [turns.take(1.0).item.frame.sequence]
        first_taken.set()
        assert all_read.wait(60)
        sequences.append(turns.take(1.0).item.frame.sequence)
        done.set()
    assert sequences == [0, 8]


@pytest.mark.parametrize("error", [ZeroDivisionError("from the reading thread"), InputError("no film", "one", "look")])
def test_an_error_in_a_film_reaches_the_loop_after_the_frames_before_it(error):
    def broken():
        yield frame(0)
        yield frame(1)
        raise error

    with capturing([feed_of(broken())], lambda image: image, SOON, []) as turns:
        items = [turns.take(1.0).item for _ in range(3)]
        with pytest.raises(type(error)):
            turns.take(1.0)
    assert [each.frame.sequence for each in items[1:]] == [0, 1]


@pytest.mark.parametrize("live", [True, False])
def test_a_loop_that_stops_early_leaves_no_thread(live):
    endless = map(frame, itertools.count())
    with pytest.raises(KeyboardInterrupt):
        with capturing([feed_of(endless, live=live)], lambda image: image, SOON, []) as turns:
            turns.take(1.0)
            raise KeyboardInterrupt
    assert capture_threads() == []


def test_a_lost_camera_is_opened_again_and_its_numbers_go_on():
    feed = feed_of([frame(0), frame(1)], SourceError("gone", "a camera", "plug it in"), map(frame, range(3)), live=True)
    seen, last = [], -1
    with capturing([feed], lambda image: image, SOON, []) as turns:
        while "lost" not in seen or last < 4:
            item = turns.take(1.0).item
            if isinstance(item, SourceState):
                seen.append(item.state)
            else:
                assert item.frame.sequence > last
                last = item.frame.sequence
    assert seen[0] == "live" and "lost" in seen and last >= 4


def test_what_plainly_is_not_there_is_looked_for_and_not_opened():
    looked = []

    def look():
        looked.append(1)
        if len(looked) < 3:
            raise SourceError("there is no camera", "one", "plug it in")

    items, _ = take_all(feed_of(map(frame, itertools.count()), live=True, look=look), count=4)
    assert states(items)[0] == "lost" and "no camera" in items[0].why
    assert any(isinstance(item, Ready) for item in items) and len(looked) >= 3


def test_a_frozen_camera_gets_no_frame_through_and_is_opened_again():
    still = [frame(0, 0.0, 70), frame(1, 2.9, 70), frame(2, 3.0, 70), frame(3, 3.1, 70)]
    alive = (frame(number, 4.0 + number) for number in itertools.count())
    seen = []
    with capturing([feed_of(still, [frame(0, 3.2, 70)], alive, live=True)], lambda image: image, SOON, []) as turns:
        while not seen or seen[-1] != "live" or "frozen" not in seen:
            item = turns.take(1.0).item
            if isinstance(item, SourceState):
                seen.append(item.state)
            else:
                assert item.frame.image[0, 0, 0] != 70 or item.frame.captured_ns < 3e9
    assert set(seen) == {"live", "frozen"}


def test_a_camera_that_was_lost_may_come_back_with_the_picture_that_it_left_with():
    later = (frame(number, 9.0 + number) for number in itertools.count())
    feed = feed_of([frame(0, 0.0, 70)], itertools.chain([frame(0, 9.0, 70)], later), live=True)
    with capturing([feed], lambda image: image, SOON, []) as turns:
        items = [turns.take(1.0).item for _ in range(5)]
    assert states(items) == ["live", "lost", "live"]


def test_a_black_picture_is_a_state_and_no_frame():
    dark = [frame(number, number, 3) for number in range(5)]
    feed = feed_of(dark + [frame(5, 5)], live=True)
    with capturing([feed], lambda image: image, SOON._replace(frozen_s=60.0), []) as turns:
        first = turns.take(1.0).item
        while not isinstance(turns.take(1.0).item, Ready):
            pass
    assert first.state == "black" and "black picture" in first.why


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 39), st.integers(0, 3), st.integers(0, 2))
def test_one_changed_byte_anywhere_is_a_camera_that_lives(row, column, channel):
    changed = frame(1, 2.0, 70)
    changed.image[row, column, channel] += 1
    health = Health(3.0)
    assert [health.see(each) for each in (frame(0, 0.0, 70), changed, frame(2, 4.0, 70), frame(3, 6.0, 70))] == [
        LIVE
    ] * 4
    assert health.see(frame(4, 7.0, 70)) == FROZEN


def test_black_is_dark_everywhere_and_a_night_with_a_lamp_is_not():
    noise = np.random.RandomState(0)
    covered = np.clip(noise.randn(48, 64, 3) * 3 + 2, 0, 255).astype(np.uint8)
    assert is_black(covered) and Health(9.0).see(Frame(0, 0, covered, "")) == BLACK
    lamp = covered.copy()
    lamp[20:28, 30:38] = 200
    assert not is_black(lamp) and not is_black(covered + 10)


def test_opencv_takes_no_threads_of_its_own_from_the_network():
    cv2.setNumThreads(2)
    take_all(feed_of(map(frame, range(3))))
    assert cv2.getNumThreads() == 1


def test_a_film_of_black_or_of_still_pictures_is_a_film_like_any_other():
    items, _ = take_all(feed_of([frame(number, number, 0) for number in range(20)]))
    assert len(items) == 21


def test_sources_side_by_side_have_threads_of_their_own():
    feeds = [feed_of(map(frame, range(5))), feed_of(map(frame, itertools.count()), live=True)]
    counts = [0, 0]
    with capturing(feeds, lambda image: image, SOON, []) as turns:
        while min(counts) < 5:
            taken = turns.take(1.0)
            counts[taken.index] += isinstance(taken.item, Ready)
    assert counts[0] == 5 and capture_threads() == []
