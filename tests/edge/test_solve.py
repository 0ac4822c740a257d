"""edge/ridge.py, edge/judge.py, edge/solve.py: leave-one-out is exact, order is nothing, the known classes stay."""

import numpy as np
import pytest
from glyph_world import KNOWN, draw
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.base import base_head, encode, evened_rows
from edge.head import scores
from edge.judge import Rows, best_temperature, judge
from edge.own_classifier import own_classifier, plain_product
from edge.ridge import blended, known, known_apart, learn, leave_one_out, leave_one_out_of_class
from edge.solve import solve


def _codes(backbone, letter, count, seed):
    return encode(backbone.engine.run(draw(letter, count, seed))[0], backbone.base.step)


def _bits(head):
    return head.weights.tobytes(), head.bias.tobytes(), head.own is not None and head.own.tobytes(), head[2:5]


def _solve(backbone, examples):
    return solve(backbone.base, KNOWN, examples)


def _all_bits(solved):
    """Of everything that a frame or a person gets to see."""
    unlikeness = solved.unlikeness
    arrays = (unlikeness.spread, unlikeness.middle, unlikeness.solution, unlikeness.ordinary)
    return _bits(solved.head), [array.tobytes() for array in arrays], solved.verdict


def _rows(count, seed, column=None):
    """(count, 5) rows, their one-hot wishes (count, 3), and weights."""
    random = np.random.RandomState(seed)
    rows = np.concatenate([np.abs(random.randn(count, 4)), np.ones((count, 1))], axis=1)
    targets = random.randint(0, 2, count) if column is None else np.full(count, column)
    return rows, np.eye(3)[targets], random.rand(count) * 0.2


def _inverse(gram, penalty):
    """With `penalty` added for every feature; the constant stays free."""
    return np.linalg.inv(gram + penalty * np.diag([1] * (len(gram) - 1) + [0]))


def _refit(rows, wanted, weights):
    weighted = rows * weights[:, np.newaxis]
    return np.dot(_inverse(np.dot(weighted.T, rows), 0.1), np.dot(weighted.T, wanted))


def _before(rows, wanted, weights, examples, examples_wanted):
    weighted = rows * weights[:, np.newaxis]
    inverse = _inverse(np.dot(weighted.T, rows), 0.1)
    return known(inverse, np.dot(inverse, np.dot(weighted.T, wanted)), examples, examples_wanted)


@pytest.mark.parametrize("count", [1, 3, 20])
def test_learning_examples_equals_fitting_all_rows_again(count):
    rows, wanted, weights = _rows(30, 0)
    examples, examples_wanted, theirs = _rows(count, 1)
    fit = learn(_before(rows, wanted, weights, examples, examples_wanted), theirs)
    every = np.concatenate([rows, examples]), np.concatenate([wanted, examples_wanted]), np.append(weights, theirs)
    expected = _refit(*every)
    assert np.allclose(fit.solution, expected, atol=1e-9)
    assert np.allclose(fit.scores, np.dot(examples, expected), atol=1e-9)
    weighted = every[0] * every[2][:, np.newaxis]
    inverse = _inverse(np.dot(weighted.T, every[0]), 0.1)
    assert np.allclose(fit.kernel, np.dot(examples, np.dot(inverse, examples.T)), atol=1e-9)


def test_leave_one_out_of_weighted_examples_equals_fitting_again_without_each():
    rows, wanted, weights = _rows(30, 0)
    examples, examples_wanted, theirs = _rows(6, 1)
    fit = learn(_before(rows, wanted, weights, examples, examples_wanted), theirs)
    found = leave_one_out(fit.scores, fit.kernel, examples_wanted, theirs)
    for i in range(6):
        others = np.arange(6) != i
        expected = _refit(
            np.concatenate([rows, examples[others]]),
            np.concatenate([wanted, examples_wanted[others]]),
            np.append(weights, theirs[others]),
        )
        assert np.allclose(found[i], np.dot(examples[i], expected), atol=1e-9)


@pytest.mark.parametrize("count", [1, 2, 3, 7])
def test_leave_one_out_of_a_new_class_equals_fitting_again_with_the_others_weighing_one(count):
    rows, wanted, weights = _rows(30, 0)
    new, new_wanted, _ = _rows(count, 1, column=2)
    fit = learn(_before(rows, wanted, weights, new, new_wanted), np.full(count, 1.0 / count))
    found = leave_one_out_of_class(fit.scores, fit.kernel, new_wanted)
    for i in range(count):
        others = np.arange(count) != i
        expected = _refit(
            np.concatenate([rows, new[others]]),
            np.concatenate([wanted, new_wanted[others]]),
            np.append(weights, np.full(count - 1, 1.0 / max(1, count - 1))),
        )
        assert np.allclose(found[i], np.dot(new[i], expected), atol=1e-9)


def _regressed(kernel, crossed, wanted, weights):
    """Scores by Gaussian process regression: of rows whose covariances with the examples are `crossed` (M, n)."""
    return np.dot(crossed, np.linalg.solve(np.diag(1 / weights) + kernel, wanted))


@pytest.mark.parametrize("share", [0.0, 0.3, 1.0])
def test_a_blend_is_regression_with_the_blend_of_both_covariances_and_its_leave_one_out_is_exact(share):
    rows, _, weights = _rows(30, 0)
    new, new_wanted, _ = _rows(6, 1, column=2)
    others, _, _ = _rows(4, 2)
    inverse = _inverse(np.dot((rows * weights[:, np.newaxis]).T, rows), 0.1)
    mean = rows.mean(axis=0)
    one = known(inverse, np.zeros((5, 3)), new, new_wanted)
    before = blended(one, known_apart(inverse, mean, new, new_wanted), share)

    def covariance(left, right):
        apart = np.dot((left - mean) * np.append(inverse.diagonal()[:-1], 0), (right - mean).T)
        return (1 - share) * np.dot(left, np.dot(inverse, right.T)) + share * apart

    ones = np.full(6, 1 / 6)
    fit = learn(before, ones)
    expected = _regressed(covariance(new, new), covariance(others, new), new_wanted, ones)
    assert np.allclose(np.dot(others, fit.solution), expected, atol=1e-9)
    found = leave_one_out_of_class(fit.scores, fit.kernel, new_wanted)
    for i in range(6):
        rest = np.arange(6) != i
        left = new[rest], new_wanted[rest], np.full(5, 1 / 5)
        expected = _regressed(covariance(left[0], left[0]), covariance(new[i : i + 1], left[0]), left[1], left[2])
        assert np.allclose(found[i], expected[0], atol=1e-9)


def test_an_offset_trades_known_classes_for_new_ones():
    found = np.array([[0.9, 0.1, 0.5]] * 50 + [[0.1, 0.9, 0.2]] * 50 + [[0.6, 0.1, 0.4]])
    judged = judge(found, Rows(np.array([0] * 50 + [1] * 50 + [2]), 100, 2), np.array([0.0, 0.3, 0.6]))
    assert np.allclose(judged.kept, [1.0, 1.0, 0.5], atol=0.01)
    assert np.isclose(judged.alone, 1.0)
    assert judged.served.argmax() == 1


def test_corrections_of_known_classes_take_no_room_from_a_new_one():
    sample = [[0.9, 0.1, 0.5]] * 50 + [[0.1, 0.9, 0.5]] * 50
    new, offsets = [[0.6, 0.1, 0.3]] * 5, np.linspace(0.0, 0.6, 61)
    alone = judge(np.array(sample + new), Rows(np.array([0] * 50 + [1] * 50 + [2] * 5), 100, 2), offsets)
    corrected = [[0.8, 0.1, 0.4]] * 20 + [[0.1, 0.8, 0.4]] * 20
    targets = np.array([0] * 50 + [1] * 50 + [0] * 20 + [1] * 20 + [2] * 5)
    beside = judge(np.array(sample + corrected + new), Rows(targets, 100, 2), offsets)
    assert alone.served.argmax() == beside.served.argmax()


@pytest.mark.parametrize("rows", [30, 300, 3000])
def test_a_row_that_an_offset_only_just_spares_counts_as_half_lost(rows):
    found = np.tile([[0.9, 0.1, 0.0], [0.1, 0.9, 0.0], [0.0, 0.0, 0.9]], (rows, 1))
    targets = np.tile([0, 1, 2], rows)
    order = np.argsort(targets == 2, kind="stable")  # the sample first, then the examples
    near = 0.9 - 0.02 / rows  # of which the sample has 2 * rows
    judged = judge(found[order], Rows(targets[order], 2 * rows, 2), np.array([0.0, near, 1.0]))
    assert np.allclose(judged.kept, [1.0, 0.5, 0.0], atol=0.08)


def test_the_temperature_is_low_where_scores_are_right_and_high_where_they_are_not():
    targets = np.arange(40) % 2
    right, wrong = np.eye(2)[targets], np.eye(2)[np.random.RandomState(0).permutation(targets)]
    assert best_temperature(right, targets) < best_temperature(wrong, targets)


def test_with_nothing_taught_the_head_is_the_base_head(backbone):
    head, _, verdict = _solve(backbone, {})
    assert _bits(head) == _bits(base_head(backbone.base, KNOWN))
    assert verdict.before == verdict.after
    assert verdict.enough.classes == ()


def test_a_new_class_is_learnt_and_the_known_ones_are_kept(backbone):
    head, _, verdict = _solve(backbone, {"Z": _codes(backbone, "Z", 10, 3)})
    assert head.labels == KNOWN + ("Z",)
    features = backbone.engine.run(draw("Z", 60, 4))[0]
    assert (scores(head, features).argmax(axis=1) == len(KNOWN)).mean() > 0.6
    assert verdict.after >= verdict.before - 0.05
    assert [(report.label, report.new, report.examples) for report in verdict.enough.classes] == [("Z", True, 10)]


def test_a_correction_of_a_known_class_changes_no_label_and_is_learnt(backbone):
    turned = draw("L", 30, 5)[:, :, ::-1].copy()  # mirrored: no letter that it knows
    features = backbone.engine.run(turned)[0]
    before = (scores(base_head(backbone.base, KNOWN), features).argmax(axis=1) == KNOWN.index("L")).mean()
    codes = encode(features, backbone.base.step)
    head, _, verdict = _solve(backbone, {"L": codes[:10]})
    assert head.labels == KNOWN
    after = (scores(head, features[10:]).argmax(axis=1) == KNOWN.index("L")).mean()
    assert after > max(before, 0.7)
    assert verdict.after >= verdict.before - 0.05


def test_a_correction_leaves_the_networks_own_answers_to_all_else(backbone):
    """Also where the ridge solution would say otherwise: here the network takes two letters for each other."""
    columns = [1, 0, *range(2, len(KNOWN))]
    base = backbone.base._replace(weights=backbone.base.weights[:, columns], bias=backbone.base.bias[columns])
    head = solve(base, KNOWN, {KNOWN[3]: _codes(backbone, KNOWN[3], 1, 2)}).head
    for column, letter in ((1, KNOWN[0]), (0, KNOWN[1])):
        assert (scores(head, backbone.engine.run(draw(letter, 30, 6))[0]).argmax(axis=1) == column).mean() > 0.9


def test_what_corrections_are_put_beside_answers_as_the_network_does(backbone):
    features = np.concatenate([backbone.engine.run(draw(letter, 30, 6))[0] for letter in KNOWN])
    own = scores(base_head(backbone.base, KNOWN), features).argmax(axis=1)
    codes = encode(features, backbone.base.step)
    for scale in (1.0, 1e-3, 1e3):  # a network may be unsure or too sure
        base = backbone.base._replace(weights=backbone.base.weights * scale, bias=backbone.base.bias * scale)
        assert (plain_product(codes, base.step, own_classifier(base)).argmax(axis=1) == own).mean() > 0.95


def test_new_classes_and_corrections_are_learnt_together(backbone):
    turned = draw("L", 30, 5)[:, :, ::-1].copy()
    turned_features, new_features = backbone.engine.run(turned)[0], backbone.engine.run(draw("Z", 30, 4))[0]
    examples = {"L": encode(turned_features[:10], backbone.base.step), "Z": _codes(backbone, "Z", 10, 3)}
    head, _, verdict = _solve(backbone, examples)
    assert (scores(head, turned_features[10:]).argmax(axis=1) == KNOWN.index("L")).mean() > 0.7
    assert (scores(head, new_features).argmax(axis=1) == len(KNOWN)).mean() > 0.6
    assert verdict.after >= verdict.before - 0.05
    assert [(report.label, report.new) for report in verdict.enough.classes] == [("L", False), ("Z", True)]


def test_the_verdict_rests_on_the_report_sample_and_the_choices_do_not(backbone):
    examples = {"Z": _codes(backbone, "Z", 10, 3)}
    head, _, verdict = _solve(backbone, examples)
    right = np.dot(evened_rows(backbone.base.report_codes, backbone.base.step)[:, :-1], head.weights) + head.bias
    right = right.argmax(axis=1) == backbone.base.report_targets
    assert verdict.after == pytest.approx(np.mean([right[backbone.base.report_targets == c].mean() for c in range(6)]))
    shuffled = backbone.base.report_targets[::-1].copy()
    other = solve(backbone.base._replace(report_targets=shuffled), KNOWN, examples)
    assert _bits(other.head) == _bits(head)
    assert other.verdict.after != verdict.after


@settings(max_examples=12, deadline=None)
@given(st.randoms())
def test_any_order_of_examples_and_labels_gives_the_same_bits(backbone, random):
    examples = {letter: _codes(backbone, letter, 4, 3) for letter in "ZAQ"}
    expected = _solve(backbone, examples)
    letters = list(examples)
    random.shuffle(letters)
    shuffled = {letter: np.array(random.sample(list(examples[letter]), 4)) for letter in letters}
    assert _all_bits(_solve(backbone, shuffled)) == _all_bits(expected)


@settings(max_examples=12, deadline=None)
@given(st.lists(st.tuples(st.sampled_from("ZQAL"), st.integers(1, 4)), max_size=4, unique_by=lambda pair: pair[0]))
def test_teaching_and_forgetting_a_class_gives_everything_from_before(backbone, lessons):
    examples = {letter: _codes(backbone, letter, count, 3) for letter, count in lessons}
    before = _solve(backbone, examples)
    more = dict(examples, K=_codes(backbone, "K", 3, 9))
    _solve(backbone, more)
    del more["K"]
    assert _all_bits(_solve(backbone, more)) == _all_bits(before)


@settings(max_examples=12, deadline=None)
@given(st.integers(0, 3), st.sampled_from("ZA"))
def test_forgetting_one_example_gives_everything_from_a_board_that_never_saw_it(backbone, which, letter):
    examples = {"Z": _codes(backbone, "Z", 4, 3), "A": _codes(backbone, "A", 4, 3)}
    never = dict(examples, **{letter: np.delete(examples[letter], which, axis=0)})
    undone = dict(examples, **{letter: np.array([row for i, row in enumerate(examples[letter]) if i != which])[::-1]})
    assert _all_bits(_solve(backbone, undone)) == _all_bits(_solve(backbone, never))


def test_new_labels_follow_those_of_the_release_in_sorted_order(backbone):
    head, _, _ = _solve(backbone, {letter: _codes(backbone, letter, 2, 3) for letter in "ZBKA"})
    assert head.labels == KNOWN + ("B", "K", "Z")
