"""The states of a board's releases, as pure functions."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.contract.errors import BoardError, FormatError, TrustError
from edge.states import EMPTY, begin_trial, confirm, fail, lose, parse_state, roll_back, stage, state_bytes


def installed(state, release, counter):
    return confirm(begin_trial(stage(state, release, counter), release), release)


TWO = installed(installed(EMPTY, "a", 1), "b", 2)


def test_a_confirmed_release_is_current_and_the_one_before_is_kept():
    assert (TWO.current, TWO.previous, TWO.counter) == ("b", "a", 2)
    assert set(installed(TWO, "c", 3).releases) == {"b", "c"}


def test_a_release_that_is_not_newer_than_any_good_one_cannot_be_staged():
    with pytest.raises(TrustError):
        stage(TWO, "c", 2)
    with pytest.raises(TrustError):
        stage(roll_back(TWO), "c", 2)


def test_the_message_for_the_release_that_was_rolled_back_from_names_rollback():
    with pytest.raises(TrustError) as caught:
        stage(roll_back(TWO), "b", 2)
    assert "rollback" in caught.value.remedy


def test_a_failed_release_leaves_current_previous_and_counter_and_may_be_tried_again():
    failed = fail(begin_trial(stage(TWO, "c", 3), "c"), "because")
    assert failed._replace(releases={}) == TWO._replace(releases={})
    assert failed.releases["c"].why == "because"
    assert installed(failed, "c", 3).current == "c"


def test_going_back_twice_is_going_nowhere():
    assert roll_back(roll_back(TWO)) == TWO


def test_there_is_no_going_back_from_the_first_release():
    with pytest.raises(BoardError):
        roll_back(installed(EMPTY, "a", 1))


def test_a_release_whose_files_are_gone_gives_its_place_to_the_one_before_and_keeps_the_counter():
    lost = lose(TWO, ["b"])
    assert (lost.current, lost.previous, lost.counter) == ("a", None, 2)
    assert lost.releases["b"].state == "FAILED" and "gone" in lost.releases["b"].why
    assert lose(TWO, ["a", "b"])._replace(releases={}) == EMPTY._replace(counter=2)


def test_only_the_lost_release_itself_may_have_the_highest_counter_again():
    lost = lose(TWO, ["a", "b"])
    assert installed(lost, "b", 2).current == "b"
    for name, counter in (("c", 2), ("a", 1), ("b", 1)):
        with pytest.raises(TrustError):
            stage(lost, name, counter)


def test_a_release_cannot_be_confirmed_without_a_trial():
    with pytest.raises(BoardError):
        confirm(stage(EMPTY, "a", 1), "a")


@settings(max_examples=200, deadline=None)
@given(st.lists(st.sampled_from(["good", "staged", "trial", "failed", "back", "lost"]), max_size=15))
def test_after_any_history_current_is_good_and_the_counter_never_falls(history):
    state = EMPTY
    for number, event in enumerate(history):
        before, name = state, "r{}".format(number)
        state = fail(state, "interrupted")
        if event == "back":
            state = roll_back(state) if state.previous else state
        elif event == "lost":
            state = lose(state, [state.current] if state.current else [])
        else:
            state = stage(state, name, state.counter + 1)
            if event in ("trial", "good"):
                state = begin_trial(state, name)
            if event == "good":
                state = confirm(state, name)
            if event == "failed":
                state = fail(state, "it failed")
        assert parse_state(state_bytes(state)) == state
        assert state.counter >= before.counter
        good = {name for name, entry in state.releases.items() if entry.state == "GOOD"}
        assert good == {name for name in (state.current, state.previous) if name}


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"{}",
        b"[]",
        b"\xff",
        b"null",
        state_bytes(TWO).replace(b'"schema": 1', b'"schema": 2'),
        state_bytes(TWO).replace(b"GOOD", b"BEST"),
        state_bytes(TWO).replace(b'"counter": 2', b'"counter": "2"'),
        state_bytes(TWO).replace(b'"current": "b"', b'"current": "z"'),
        state_bytes(TWO).replace(b'"why"', b'"how"'),
    ],
)
def test_a_malformed_state_file_is_a_format_error(data):
    with pytest.raises(FormatError):
        parse_state(data)
