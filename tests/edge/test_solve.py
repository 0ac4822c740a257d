"""edge/ridge.py, edge/judge.py, edge/solve.py: leave-one-out is exact, order is nothing, the known classes stay."""

import numpy as np
import pytest
from glyph_world import KNOWN, draw, make_glyph_backbone
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.base import base_head, encode
from edge.head import scores
from edge.judge import Rows, best_temperature, judge
from edge.ridge import leave_one_out, leave_one_out_of_mean, regularised_inverse
from edge.solve import solve


@pytest.fixture(scope="module")
def backbone():
    return make_glyph_backbone()


def _codes(backbone, letter, count, seed):
    return encode(backbone.engine.run(draw(letter, count, seed))[0], backbone.base.step)


def _bits(head):
    return head.weights.tobytes(), head.bias.tobytes(), head.labels, head.temperature


def _weighted(count, seed):
    random = np.random.RandomState(seed)
    rows = np.concatenate([np.abs(random.randn(count, 4)), np.ones((count, 1))], axis=1)
    return rows, np.eye(3)[random.randint(0, 2, count)], random.rand(count) * 0.2


def _refit(rows, wanted, weights, penalty, row):
    gram = np.dot((rows * weights[:, np.newaxis]).T, rows)
    moments = np.dot((rows * weights[:, np.newaxis]).T, wanted)
    return np.dot(row, np.dot(regularised_inverse(gram, penalty), moments))


def test_leave_one_out_of_weighted_rows_equals_refitting_without_each():
    rows, wanted, weights = _weighted(30, 0)
    gram = np.dot((rows * weights[:, np.newaxis]).T, rows)
    inverse = regularised_inverse(gram, 0.1)
    solution = np.dot(inverse, np.dot((rows * weights[:, np.newaxis]).T, wanted))
    found = leave_one_out(inverse, solution, rows, wanted, weights)
    for i in range(len(rows)):
        others = np.arange(len(rows)) != i
        expected = _refit(rows[others], wanted[others], weights[others], 0.1, rows[i])
        assert np.allclose(found[i], expected, atol=1e-10)


@pytest.mark.parametrize("count", [2, 3, 7])
def test_leave_one_out_of_a_new_class_equals_refitting_with_the_others_weighing_one(count):
    rows, wanted, weights = _weighted(30, 0)
    new, _, _ = _weighted(count, 1)
    new_wanted = np.tile(np.eye(3)[2], (count, 1))
    all_rows, all_wanted = np.concatenate([rows, new]), np.concatenate([wanted, new_wanted])
    all_weights = np.append(weights, np.full(count, 1.0 / count))
    gram = np.dot((all_rows * all_weights[:, np.newaxis]).T, all_rows)
    inverse = regularised_inverse(gram, 0.1)
    solution = np.dot(inverse, np.dot((all_rows * all_weights[:, np.newaxis]).T, all_wanted))
    found = leave_one_out_of_mean(inverse, solution, new, new_wanted)
    for i in range(count):
        others = np.append(np.ones(30, bool), np.arange(count) != i)
        its_weights = np.append(weights, np.full(count - 1, 1.0 / (count - 1)))
        expected = _refit(all_rows[others], all_wanted[others], its_weights, 0.1, new[i])
        assert np.allclose(found[i], expected, atol=1e-10)


def test_leave_one_out_of_a_class_with_one_example_scores_nothing_for_it():
    rows, wanted, weights = _weighted(30, 0)
    new = np.array([[0.3, 1.0, 0.2, 0.7, 1.0]])
    gram = np.dot((rows * weights[:, np.newaxis]).T, rows) + np.dot(new.T, new)
    moments = np.dot((rows * weights[:, np.newaxis]).T, wanted) + np.dot(new.T, [[0.0, 0.0, 1.0]])
    inverse = regularised_inverse(gram, 0.1)
    found = leave_one_out_of_mean(inverse, np.dot(inverse, moments), new, np.array([[0.0, 0.0, 1.0]]))
    assert found[0, 2] == pytest.approx(0, abs=1e-10)
    assert np.allclose(found[0], _refit(rows, wanted, weights, 0.1, new[0]))


def test_an_offset_trades_known_classes_for_new_ones():
    found = np.array([[0.9, 0.1, 0.5], [0.1, 0.9, 0.2], [0.6, 0.1, 0.4]])
    judged = judge(found, Rows(np.array([0, 1, 2]), 2, 2), np.array([0.0, 0.3, 0.6]))
    assert judged.kept.tolist() == [1.0, 1.0, 0.5]
    assert judged.alone == 1.0
    assert judged.served.argmax() == 1


def test_the_temperature_is_low_where_scores_are_right_and_high_where_they_are_not():
    targets = np.arange(40) % 2
    right, wrong = np.eye(2)[targets], np.eye(2)[np.random.RandomState(0).permutation(targets)]
    assert best_temperature(right, targets) < best_temperature(wrong, targets)


def test_with_nothing_taught_the_head_is_the_base_head(backbone):
    head, verdict = solve(backbone.base, KNOWN, {})
    assert _bits(head) == _bits(base_head(backbone.base, KNOWN))
    assert verdict.before == verdict.after
    assert verdict.taught == ()


def test_a_new_class_is_learnt_and_the_known_ones_are_kept(backbone):
    head, verdict = solve(backbone.base, KNOWN, {"Z": _codes(backbone, "Z", 10, 3)})
    assert head.labels == KNOWN + ("Z",)
    features = backbone.engine.run(draw("Z", 60, 4))[0]
    assert (scores(head, features).argmax(axis=1) == len(KNOWN)).mean() > 0.6
    assert verdict.after >= verdict.before - 0.05
    assert [(taught.label, taught.examples) for taught in verdict.taught] == [("Z", 10)]


def test_a_correction_of_a_known_class_changes_no_label_and_is_learnt(backbone):
    turned = draw("L", 30, 5)[:, :, ::-1].copy()  # mirrored: no letter that it knows
    features = backbone.engine.run(turned)[0]
    before = (scores(base_head(backbone.base, KNOWN), features).argmax(axis=1) == KNOWN.index("L")).mean()
    codes = encode(features, backbone.base.step)
    head, verdict = solve(backbone.base, KNOWN, {"L": codes[:10]})
    assert head.labels == KNOWN
    after = (scores(head, features[10:]).argmax(axis=1) == KNOWN.index("L")).mean()
    assert after > max(before, 0.7)
    assert verdict.after >= verdict.before - 0.05


@settings(max_examples=12, deadline=None)
@given(st.randoms())
def test_any_order_of_examples_and_labels_gives_the_same_bits(backbone, random):
    examples = {letter: _codes(backbone, letter, 4, 3) for letter in "ZAQ"}
    expected = solve(backbone.base, KNOWN, examples)
    letters = list(examples)
    random.shuffle(letters)
    shuffled = {letter: np.array(random.sample(list(examples[letter]), 4)) for letter in letters}
    found = solve(backbone.base, KNOWN, shuffled)
    assert _bits(found[0]) == _bits(expected[0])
    assert found[1] == expected[1]


@settings(max_examples=12, deadline=None)
@given(st.lists(st.tuples(st.sampled_from("ZQAL"), st.integers(1, 4)), max_size=4, unique_by=lambda pair: pair[0]))
def test_teaching_and_forgetting_a_class_gives_the_head_from_before(backbone, lessons):
    examples = {letter: _codes(backbone, letter, count, 3) for letter, count in lessons}
    before = solve(backbone.base, KNOWN, examples)
    more = dict(examples, K=_codes(backbone, "K", 3, 9))
    solve(backbone.base, KNOWN, more)
    del more["K"]
    after = solve(backbone.base, KNOWN, more)
    assert _bits(after[0]) == _bits(before[0])
    assert after[1] == before[1]


def test_new_labels_follow_those_of_the_release_in_sorted_order(backbone):
    head, _ = solve(backbone.base, KNOWN, {letter: _codes(backbone, letter, 2, 3) for letter in "ZBKA"})
    assert head.labels == KNOWN + ("B", "K", "Z")
