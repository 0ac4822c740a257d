"""edge/head.py and edge/base.py: the base head, and head.npz as a format."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.base import (
    Base,
    Rows,
    base_head,
    code_sums,
    encode,
    evened_product,
    evened_rows,
    make_base,
    read_base,
    write_base,
)
from edge.contract.errors import FormatError, InputError
from edge.contract.spec import ModelSpec
from edge.head import Head, even, probabilities, scores
from edge.ridge import invert

SPEC = ModelSpec("test", 8, 8, 1, 5, 3)


def _features(count, seed):
    random = np.random.RandomState(seed)
    return np.abs(random.randn(count, 5)).astype(np.float32), np.arange(count) % 3


def _made(train, choose=None, report=None, weights=None, bias=None):
    weights, bias = (np.ones((5, 3)), np.ones(3)) if weights is None else (weights, bias)
    return make_base(train, choose or train, report or train, weights, bias, seed=0)


def _base():
    random = np.random.RandomState(2)
    parts = [Rows(*_features(count, seed)) for count, seed in ((90, 0), (30, 1), (40, 4))]
    return _made(*parts, weights=random.randn(5, 3), bias=random.randn(3))


def _squares(inverse, rows):
    return np.einsum("ij,jk,ik->i", rows, inverse, rows, optimize=True)


def test_probabilities_sum_to_one_and_rank_as_the_scores_do():
    head = Head(np.eye(5, 3, dtype=np.float32) * 900, np.zeros(3, np.float32), ("a", "b", "c"), 0.5, False)
    features, _ = _features(20, 3)
    found = probabilities(head, features)
    assert found.dtype == np.float32
    assert np.allclose(found.sum(axis=1), 1)
    assert (found.argmax(axis=1) == scores(head, features).argmax(axis=1)).all()


def test_the_base_head_is_the_networks_own_classifier():
    base = _base()
    features, _ = _features(20, 3)
    head = base_head(base, ("a", "b", "c"))
    assert np.allclose(scores(head, features), np.dot(features, base.weights) + base.bias)


def test_every_class_weighs_one_in_the_sums_however_many_pictures_it_had():
    features, _ = _features(90, 0)
    targets = np.repeat([0, 1, 2], [80, 7, 3])
    base = _made(Rows(features, targets))
    assert np.linalg.inv(base.inverse.astype(np.float64))[-1, -1] == pytest.approx(3, rel=1e-3)


def test_the_solution_and_the_inverse_are_of_the_penalty_that_leaves_the_least_error_on_the_chosen_sample():
    parts = [Rows(*_features(count, seed)) for count, seed in ((90, 0), (30, 1), (40, 4))]
    base = _made(*parts)
    rows, wanted = evened_rows(encode(parts[0].features, base.step), base.step), np.eye(3)[parts[0].targets]
    gram, moments = np.dot(rows.T, rows) / 30, np.dot(rows.T, wanted) / 30
    energy = np.diag(gram)[:-1].mean()
    chosen = evened_rows(base.choose_codes, base.step), np.eye(3)[base.choose_targets]
    tried = []
    for ridge in (0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0):
        system = gram + ridge * energy * np.diag([1] * 5 + [0])
        solution = np.linalg.solve(system, moments)
        tried.append((((chosen[1] - np.dot(chosen[0], solution)) ** 2).sum(), solution, np.linalg.inv(system)))
    _, solution, inverse = min(tried, key=lambda each: each[0])
    assert np.allclose(base.solution, solution, rtol=1e-6)
    assert np.allclose(base.inverse, inverse, rtol=1e-4)
    assert np.allclose(base.choose_leverage, _squares(inverse, chosen[0]), rtol=1e-3)


@settings(max_examples=25, deadline=None)
@given(st.integers(1, 700), st.integers(0, 1000))
def test_a_matrix_is_inverted_in_its_own_place(size, seed):
    rows = np.random.RandomState(seed).randn(size + 5, size)
    gram = np.dot(rows.T, rows) + np.eye(size)
    found = gram.copy()
    invert(found)
    assert np.allclose(np.dot(found, gram), np.eye(size), atol=1e-6)


@settings(max_examples=25, deadline=None)
@given(st.integers(130, 400), st.integers(2, 60), st.floats(1e-5, 1.0), st.integers(0, 1000))
def test_the_inverse_is_exact_where_few_rows_have_many_features(size, count, penalty, seed):
    rows = np.abs(np.random.RandomState(seed).randn(count, size))
    gram = np.dot(rows.T, rows) + penalty * np.eye(size)
    found = gram.copy()
    invert(found)
    assert np.allclose(_squares(found, rows), _squares(np.linalg.inv(gram), rows), rtol=1e-6)


def test_a_product_with_evened_rows_needs_no_matrix_of_them():
    codes = np.random.RandomState(0).randint(-127, 128, (700, 5)).astype(np.int8)
    step, matrix = np.random.RandomState(1).rand(5).astype(np.float32), np.random.RandomState(2).randn(6, 3)
    assert np.allclose(evened_product(codes, step, matrix), np.dot(evened_rows(codes, step), matrix))


def test_a_feature_that_never_fires_in_training_has_a_step_above_zero():
    features, targets = _features(90, 0)
    features[:, 2] = 0
    base = _made(Rows(features, targets))
    assert base.step.min() > 0
    assert encode(features, base.step).max() < 127


def test_the_samples_stay_within_their_rows_a_class():
    features, targets = _features(900, 0)
    base = _made(Rows(features, targets))
    assert np.bincount(base.choose_targets).tolist() == [200, 200, 200]
    assert np.bincount(base.report_targets).tolist() == [200, 200, 200]


def test_the_samples_are_rows_that_the_sums_were_not_made_of():
    parts = [Rows(*_features(90, seed)) for seed in (0, 1, 2)]
    base = _made(*parts)
    for codes, part in ((base.choose_codes, parts[1]), (base.report_codes, parts[2])):
        assert (codes == encode(part.features, base.step)).all()


def test_the_base_says_what_the_networks_own_classifier_answers_to_the_report_sample():
    base = _base()
    features, _ = _features(40, 4)
    expected = scores(base_head(base, ("a", "b", "c")), features).argmax(axis=1)
    assert (base.report_answers == expected).all()


def test_evened_features_have_length_one_and_keep_signs_and_order():
    features = np.array([[4.0, -9.0, 0.0, 1.0], [0.0, 0.0, 0.0, 0.0]], np.float32)
    found = even(features)
    assert found.dtype == np.float32
    assert np.allclose(found[0] * np.sqrt(14), [2, -3, 0, 1])
    assert (found[1] == 0).all()
    assert np.allclose(even(features * 100), found)


@pytest.mark.parametrize("targets", [np.zeros(90, int), np.arange(90) % 2, np.arange(90) % 4])
def test_a_class_without_training_pictures_is_refused(targets):
    features, _ = _features(90, 0)
    with pytest.raises(InputError):
        _made(Rows(features, targets))


def test_features_that_are_not_finite_are_refused():
    features, targets = _features(90, 0)
    features[4, 1] = np.nan
    with pytest.raises(InputError):
        _made(Rows(features, targets), Rows(features[:3], targets[:3]))


@settings(max_examples=25, deadline=None)
@given(st.lists(st.lists(st.integers(-127, 127), min_size=3, max_size=3), min_size=1, max_size=30), st.randoms())
def test_sums_over_codes_are_the_same_bits_in_any_order(rows, random):
    codes = np.array(rows, np.int8)
    random.shuffle(rows)
    expected, found = code_sums(codes), code_sums(np.array(rows, np.int8))
    assert [part.tobytes() for part in found] == [part.tobytes() for part in expected]


def test_a_written_base_reads_back_the_same_and_is_the_same_bytes_again(tmp_path):
    base = _base()
    first, second = str(tmp_path / "head.npz"), str(tmp_path / "again.npz")
    write_base(first, base)
    write_base(second, base)
    found = read_base(first, SPEC)
    assert all(getattr(found, name).tobytes() == getattr(base, name).tobytes() for name in Base._fields)
    assert (tmp_path / "head.npz").read_bytes() == (tmp_path / "again.npz").read_bytes()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["again.npz", "head.npz"]


def test_a_head_of_another_model_is_refused(tmp_path):
    path = str(tmp_path / "head.npz")
    write_base(path, _base())
    with pytest.raises(FormatError):
        read_base(path, SPEC._replace(features=6))


@pytest.mark.parametrize(
    "change",
    [
        {"step": np.zeros(5, np.float32)},
        {"inverse": -np.eye(6, dtype=np.float32)},
        {"bias": np.full(3, np.nan, np.float32)},
        {"inverse": np.eye(6, dtype=np.float64)},
        {"directions": np.eye(6, 5, dtype=np.float32)},
        {"rest": np.array(0, np.float32)},
        {"choose_targets": np.zeros(1, np.int64)},
        {"report_targets": np.full(40, 3, np.int64)},
        {"report_answers": np.full(40, -1, np.int64)},
        {
            "choose_targets": np.zeros(0, np.int64),
            "choose_codes": np.zeros((0, 5), np.int8),
            "choose_leverage": np.zeros(0, np.float32),
        },
    ],
)
def test_a_head_with_impossible_content_is_refused(tmp_path, change):
    path = str(tmp_path / "head.npz")
    write_base(path, _base()._replace(**change))
    with pytest.raises(FormatError):
        read_base(path, SPEC)


def test_a_head_with_pickled_objects_is_refused(tmp_path):
    path = str(tmp_path / "head.npz")
    fields = _base()._asdict()
    fields["bias"] = np.array([{}, {}, {}], object)
    np.savez(path, **fields)
    with pytest.raises(FormatError):
        read_base(path, SPEC)


@settings(max_examples=40, deadline=None)
@given(st.data())
def test_a_damaged_head_is_refused_or_reads_the_same_and_nothing_else_happens(tmp_path_factory, data):
    path = tmp_path_factory.mktemp("damage") / "head.npz"
    base = _base()
    write_base(str(path), base)
    content = bytearray(path.read_bytes())
    cut = data.draw(st.integers(0, len(content)))
    if data.draw(st.booleans()):
        content = content[:cut]
    elif cut < len(content):
        content[cut] ^= data.draw(st.integers(1, 255))
    path.write_bytes(bytes(content))
    try:
        found = read_base(str(path), SPEC)
    except FormatError:
        return
    assert all(getattr(found, name).tobytes() == getattr(base, name).tobytes() for name in Base._fields)


def test_a_missing_head_is_refused_in_one_line(tmp_path):
    with pytest.raises(FormatError) as caught:
        read_base(str(tmp_path / "head.npz"), SPEC)
    assert "\n" not in str(caught.value)
