"""Smoothing: one odd frame changes nothing, a lasting change does, at any rate of frames."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.contract.results import FrameResult
from edge.smoothing import Smoother


def result(seconds, label, score=0.9, unknown=False):
    top = ((label, score), ("other", 1 - score))
    return FrameResult(0, int(seconds * 1e9), label, score, top, unknown, 0.0, 0.0, 0.0)


def test_the_first_result_is_as_it_is():
    said = Smoother(1.0).smooth(result(0, "cup", unknown=True))
    assert (said.label, said.score, said.unknown) == ("cup", 0.9, True)


def test_one_odd_frame_changes_nothing_and_a_lasting_change_does():
    smoother = Smoother(1.0)
    said = [smoother.smooth(result(n / 10, "pen" if n == 20 or n > 40 else "cup")) for n in range(80)]
    assert {each.label for each in said[:41]} == {"cup"} and said[-1].label == "pen"


@settings(max_examples=30, deadline=None)
@given(st.integers(5, 60))
def test_how_fast_it_follows_does_not_depend_on_the_rate(rate):
    smoother = Smoother(1.0)
    smoother.smooth(result(0, "cup", 1.0))
    for n in range(1, rate + 1):
        said = smoother.smooth(result(n / rate, "pen", 1.0))
    assert said.score == pytest.approx(1 - 0.36788, abs=1e-4)  # a time constant later


@settings(max_examples=30, deadline=None)
@given(st.lists(st.tuples(st.sampled_from("abc"), st.floats(0.5, 1), st.booleans()), min_size=1, max_size=20))
def test_scores_stay_shares_best_first(frames):
    smoother = Smoother(0.3)
    for n, (label, score, unknown) in enumerate(frames):
        said = smoother.smooth(result(n / 10, label, score, unknown))
        scores = [each for _, each in said.top]
        assert scores == sorted(scores, reverse=True) and sum(scores) <= 1 + 1e-9
        assert (said.label, said.score) == said.top[0]
