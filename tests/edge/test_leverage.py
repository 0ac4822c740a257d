import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.leverage import DIRECTIONS, leverage, principal


def _exact(gram, rows):
    return np.einsum("ij,ji->i", rows, np.linalg.solve(gram, rows.T))


def _gram(variances, seed=0):
    axes = np.linalg.qr(np.random.RandomState(seed).randn(len(variances), len(variances)))[0]
    return np.dot(axes * variances, axes.T), axes


@settings(max_examples=25, deadline=None)
@given(st.integers(1, DIRECTIONS), st.integers(0, 1000))
def test_it_is_exact_where_there_are_no_more_columns_than_directions(size, seed):
    random = np.random.RandomState(seed)
    gram, _ = _gram(np.exp(random.uniform(-4, 4, size)), seed)
    rows = random.randn(20, size)
    assert np.allclose(leverage(*principal(gram), rows.astype(np.float32)), _exact(gram, rows), rtol=1e-2)


@settings(max_examples=10, deadline=None)
@given(st.integers(DIRECTIONS + 100, 400), st.integers(0, 1000))
def test_it_is_exact_where_all_other_directions_vary_alike_and_little(size, seed):
    random = np.random.RandomState(seed)
    gram, _ = _gram(np.append(np.exp(random.uniform(4, 6, DIRECTIONS)), np.ones(size - DIRECTIONS)), seed)
    rows = random.randn(20, size)
    assert np.allclose(leverage(*principal(gram), rows.astype(np.float32)), _exact(gram, rows), rtol=1e-2)


def test_of_what_varies_little_it_takes_the_mean():
    gram, axes = _gram(np.append(np.full(DIRECTIONS, 1000.0), np.linspace(1, 3, 100)))
    _, rest = principal(gram)
    assert np.isclose(rest, 1 / 2.0, rtol=1e-3)
    assert np.allclose(leverage(*principal(gram), axes.T[-100:].astype(np.float32)), 1 / 2.0, rtol=2e-2)


def test_what_another_machine_adds_up_in_another_order_gives_the_same_directions():
    gram, _ = _gram(np.append(np.full(DIRECTIONS, 1000.0), np.ones(200)))  # equal ones, whose axes are anybody's choice
    noise = np.random.RandomState(1).randn(*gram.shape) * 1e-10
    (one, rest), (other, other_rest) = principal(gram), principal(gram + noise + noise.T)
    assert np.abs(one - other).max() <= 1e-5 * np.abs(one).max()
    assert np.isclose(rest, other_rest, rtol=1e-5)


def test_a_row_is_never_nearer_than_nothing():
    directions, rest = principal(np.diag(np.append(np.full(5, 1e6), 1e-6)))
    assert leverage(directions, rest, np.eye(6, dtype=np.float32)).min() >= 0
