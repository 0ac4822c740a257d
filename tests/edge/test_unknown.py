"""edge/unknown.py: what was never taught is told apart, at the false-alarm rate that was asked for."""

import numpy as np
import pytest
from glyph_world import KNOWN, draw, known_letters

from edge.base import encode, evened_rows
from edge.classifier import Classifier
from edge.head import even
from edge.leverage import leverage
from edge.recall import recall
from edge.rows import NewExample
from edge.solve import solve
from edge.store import open_store
from edge.unknown import threshold, unlikeness


def _solve(backbone, letters="", count=10):
    examples = {letter: encode(_features(backbone, letter, count, 3), backbone.base.step) for letter in letters}
    return solve(backbone.base, KNOWN, examples).unlikeness


def _features(backbone, letter, count, seed):
    return backbone.engine.run(draw(letter, count, seed))[0]


def _share(known, features):
    return (unlikeness(known, even(features)) > threshold(known, 0.05)).mean()


def test_untaught_letters_are_unknown_and_known_ones_are_not(backbone):
    known = _solve(backbone)
    ordinary = backbone.engine.run(known_letters(50, seed=11)[0])[0]
    assert _share(known, ordinary) < 0.1
    for letter in "ZM":
        assert _share(known, _features(backbone, letter, 50, 4)) > 0.5


def test_a_letter_that_was_taught_is_unknown_no_longer_and_the_others_still_are(backbone):
    before, after = _solve(backbone), _solve(backbone, "Z")
    pixels = _features(backbone, "Z", 50, 4)
    assert _share(after, pixels) < 0.5 * _share(before, pixels)
    assert _share(after, _features(backbone, "M", 50, 4)) > 0.5


def test_the_leverage_after_teaching_is_that_of_the_sums_with_the_examples(backbone):
    codes = encode(_features(backbone, "Z", 5, 3), backbone.base.step)
    known = solve(backbone.base, KNOWN, {"Z": codes}).unlikeness
    rows = evened_rows(codes, backbone.base.step)
    system = np.linalg.inv(backbone.base.inverse.astype(np.float64)) + np.dot(rows.T, rows) / 5
    seen = np.concatenate([even(_features(backbone, "Z", 9, 4)), np.ones((9, 1), np.float32)], axis=1)
    product = np.dot(seen, known.spread)
    found = leverage(known.directions, known.rest, seen) - np.einsum("ij,jk,ik->i", product, known.middle, product)
    assert np.allclose(found, np.einsum("ij,jk,ik->i", seen, np.linalg.inv(system), seen), rtol=1e-3)


def test_the_threshold_lets_through_the_share_of_the_sample_that_was_asked_for(backbone):
    known = _solve(backbone)
    for share in (0.02, 0.05, 0.3):
        assert (known.ordinary > threshold(known, share)).mean() == pytest.approx(share, abs=0.02)
        assert (known.ordinary > threshold(known, share)).mean() <= share
    assert threshold(known, 0.0) == float("inf")


def test_a_share_that_the_sample_is_too_small_to_tell_makes_nothing_unknown(backbone):
    known = _solve(backbone)._replace(ordinary=np.arange(10.0))
    assert threshold(known, 0.05) == float("inf")
    assert threshold(known, 0.1) == 9.0


def test_a_frame_is_called_unknown_and_keeps_the_nearest_label(backbone, tmp_path):
    with open_store(str(tmp_path / "learned.sqlite")) as store:
        recalled = recall(backbone, store)
        strange, ordinary = draw("M", 20, 4), draw("H", 20, 4)
        classifier, never = Classifier(recalled), Classifier(recalled, false_alarms=0.0)
        said = [classifier.classify(frame) for frame in strange]
        before = np.mean([each.unknown for each in said])
        assert before > 0.3
        assert all(each.label == each.top[0][0] in KNOWN for each in said)
        assert np.mean([classifier.classify(frame).unknown for frame in ordinary]) < 0.2
        assert not any(never.classify(frame).unknown for frame in strange)
        codes = encode(_features(backbone, "M", 10, 3), backbone.base.step)
        store.add("M", "", recalled.key, [NewExample("m", row, None) for row in codes])
        taught = Classifier(recall(backbone, store))
        assert np.mean([taught.classify(frame).unknown for frame in strange]) < before
