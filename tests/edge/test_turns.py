"""What lies between reading threads and the loop: the newest of a camera, all of a film, turns among several."""

import threading

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.contract.results import SourceState
from edge.turns import Taken, Turns


def state(name, tries=1):
    return SourceState("fake", name, "", tries)


@settings(max_examples=50, deadline=None)
@given(st.lists(st.booleans(), max_size=40))
def test_a_cameras_slot_gives_the_newest_frame_and_numbers_only_rise(puts):
    turns, put, taken = Turns([True]), 0, []
    turns.tell(0, state("live"))
    assert turns.take(0.0).item.state == "live"
    for is_put in puts:
        if is_put:
            assert turns.put(0, put)
            put += 1
        elif put and (not taken or taken[-1] < put - 1):
            taken.append(turns.take(0.0).item)
            assert taken[-1] == put - 1
    assert taken == sorted(set(taken))


@settings(max_examples=30, deadline=None)
@given(st.lists(st.integers(1, 3), min_size=1, max_size=4))
def test_sources_with_something_to_take_have_turns(counts):
    turns = Turns([False] * len(counts))
    for index, count in enumerate(counts):
        for number in range(count):
            turns.put(index, number)
    taken = [turns.take(0.0) for _ in range(sum(counts))]
    for number in range(max(counts)):  # in each round, each that still has one, in order
        having = [index for index, count in enumerate(counts) if count > number]
        now, taken = taken[: len(having)], taken[len(having) :]
        assert now == [Taken(index, number) for index in having]


def test_a_camera_that_is_never_without_a_frame_leaves_a_film_its_turn():
    turns = Turns([True, False])
    turns.tell(0, state("live"))
    turns.take(0.0)
    for number in range(4):
        turns.put(1, number)
    came = []
    for _ in range(8):
        turns.put(0, "new")
        came.append(turns.take(0.0).index)
    assert came == [0, 1] * 4


def test_a_state_comes_before_frames_and_the_same_state_only_once():
    turns = Turns([True])
    for tries in (1, 2, 3):
        turns.tell(0, state("lost", tries))
    turns.tell(0, state("live"))
    turns.put(0, "frame")
    assert [turns.take(0.0).item for _ in range(3)] == [state("lost", 3), state("live"), "frame"]


def test_while_nothing_comes_the_states_come_again():
    turns = Turns([True, True])
    turns.tell(0, state("live"))
    turns.tell(1, state("lost", 4))
    assert [turns.take(0.0).item.state for _ in range(2)] == ["live", "lost"]
    assert turns.take(0.0) == Taken(1, state("lost", 4))


def test_a_camera_without_a_new_frame_is_stale_and_live_again_with_one(monkeypatch):
    now = [0.0]
    monkeypatch.setattr("edge.turns.time.monotonic", lambda: now[0])
    turns = Turns([True])
    turns.tell(0, state("live"))
    turns.put(0, "old")
    assert [turns.take(0.0).item for _ in range(2)] == [state("live"), "old"]
    now[0] = 1.5
    assert turns.take(0.0).item.state == "stale"
    turns.put(0, "new")
    assert turns.take(0.0).item.state == "live" and turns.take(0.0).item == "new"


@pytest.mark.parametrize(("interval", "waited", "answer"), [(0.6, 0.4, "new"), (0.6, 0.8, "old"), (10.0, 0.4, "old")])
def test_a_frame_is_left_for_the_next_one_only_where_that_is_about_to_come(monkeypatch, interval, waited, answer):
    now = [0.0]
    monkeypatch.setattr("edge.turns.time.monotonic", lambda: now[0])
    turns = Turns([True])
    turns.tell(0, state("live"))
    assert turns.take(0.0).item == state("live")
    now[0] = 20.0
    turns.put(0, "older")
    now[0] += interval
    turns.put(0, "old")
    now[0] += waited  # nothing was taken yet, so a tenth of all this may be waited
    camera = threading.Timer(0.05, turns.put, (0, "new"))
    camera.start()
    assert turns.take(1.0).item == answer
    camera.join()


def test_a_frame_whose_next_one_does_not_come_is_taken_after_all(monkeypatch):
    now = [0.0]
    monkeypatch.setattr("edge.turns.time.monotonic", lambda: now[0])
    turns = Turns([True, False])
    turns.tell(0, state("live"))
    assert turns.take(0.0).item == state("live")
    for now[0] in (1.0, 1.03):
        turns.put(0, now[0])
    now[0] += 0.02
    turns.put(1, "film")
    assert turns.take(1.0) == Taken(1, "film")  # what is there of other sources need not wait
    assert turns.take(1.0) == Taken(0, 1.03)


def test_an_error_comes_after_the_frames_before_it_and_all_ends_with_the_last_source():
    turns = Turns([False, False])
    turns.put(0, "frame")
    turns.end(ZeroDivisionError())
    assert turns.take(0.0).item == "frame"
    with pytest.raises(ZeroDivisionError):
        turns.take(0.0)
    turns = Turns([False, False])
    turns.end()
    turns.put(1, "frame")
    turns.end()
    assert turns.take(0.0).item == "frame" and turns.take(0.0) is None


def test_a_film_that_nobody_takes_any_more_is_no_longer_read():
    turns = Turns([False])
    answers = []
    thread = threading.Thread(target=lambda: answers.extend(turns.put(0, number) for number in range(5)))
    thread.start()
    while len(answers) < 4:
        pass
    turns.stop()
    thread.join()
    assert answers == [True] * 4 + [False]
