"""edge/enough.py: how sure the examples make it, and what it asks for."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.enough import assess, enough_lines, wilson

OWN = ("cup", "pen")
LABELS = ("cup", "pen", "key")


def _assess(pairs):
    targets, answers = (np.array([LABELS.index(name) for name in names]) for names in zip(*pairs))
    return assess(OWN, LABELS, targets, answers)


def test_wilsons_interval_is_the_published_one():
    assert wilson(8, 10) == pytest.approx((0.4902, 0.9433), abs=1e-4)  # Newcombe (1998), method 3
    assert wilson(0, 5) == pytest.approx((0.0, 0.4345), abs=1e-4)


@settings(max_examples=50, deadline=None)
@given(st.integers(1, 500).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_wilsons_interval_holds_the_share_and_lies_within_0_and_1(counts):
    low, high = wilson(*counts)
    assert 0 <= low <= counts[0] / float(counts[1]) <= high <= 1


def test_a_class_with_few_examples_is_asked_more_of_from_another_side():
    enough = _assess([("key", "key")] * 3 + [("cup", "cup")] * 9)
    assert enough.advice == ("two more of `key` from another side",)
    assert enough.line == "not enough yet: two more of `key` from another side"


def test_a_class_that_is_mostly_taken_for_another_is_asked_more_of_and_the_pair_is_named():
    enough = _assess([("key", "key")] * 4 + [("key", "pen")] * 3 + [("key", "cup")])
    assert [(c.label, c.taken_for, c.count) for c in enough.confused] == [("key", "pen", 3), ("key", "cup", 1)]
    assert enough.advice == ("two more of `key` that look like `pen`, which it is taken for",)


def test_many_right_examples_are_enough():
    enough = _assess([("key", "key")] * 9 + [("key", "pen")])
    assert enough.advice == () and enough.line == "enough"
    (report,) = enough.classes
    assert (report.label, report.new, report.examples, report.right) == ("key", True, 10, 9)
    assert report.low == pytest.approx(0.596, abs=1e-3)


def test_a_few_right_examples_work_but_prove_little():
    assert _assess([("cup", "cup")] * 4 + [("cup", "pen")]).line == "it works so far; more of `cup` would prove it"


def test_nothing_taught_is_said():
    nothing = assess(OWN, OWN, np.array([], int), np.array([], int))
    assert nothing.classes == nothing.confused == nothing.advice == ()
    assert enough_lines(nothing) == ["enough? nothing is taught"]


def test_a_person_reads_counts_intervals_pairs_and_the_verdict():
    lines = enough_lines(_assess([("key", "key")] * 9 + [("key", "pen")]))
    assert lines == [
        "key: 10 examples, 9 right when left out (60% to 98% likely)",
        "1 of key taken for pen",
        "enough? enough",
    ]
