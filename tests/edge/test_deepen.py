"""The deeper pass: the exported step of training, what it may cost, and that nothing of it outlives what it saw."""

import os
import random

import numpy as np
import pytest
from deep_world import EXAMPLES, FEW_STEPS, FOLDER, TAUGHT, draw, known_pictures, make_deep_backbone, taught_latents

from edge.base import base_bytes
from edge.classifier import Classifier
from edge.contract.errors import BoardError, FormatError, GateError, InputError
from edge.deep import STEP
from edge.deep_lesson import deepen_lesson
from edge.deepen import FOLDS, MOST_LOST, deepen, train
from edge.exchange import export_learned, import_learned
from edge.learned_file import learned_bytes, parse_learned
from edge.lessons import forget_deeper, forget_everything, forget_examples, forget_label, learned, teach, undo
from edge.pictures import Picture
from edge.recall import latent_key, look_in_force, recall
from edge.rows import DeepenedRow
from edge.store import open_store

SILENT = lambda stage, step, steps: None  # noqa: E731


@pytest.fixture(scope="module")
def backbone():
    return make_deep_backbone()


@pytest.fixture(scope="module")
def attempt(backbone):
    """A pass over what is taught, made once."""
    return deepen(backbone, backbone.deep, taught_latents(backbone), SILENT)


def _teach(backbone, store, label, count=EXAMPLES, seed=11, keep_pictures=False):
    pictures = [Picture("{} {}".format(label, i), image) for i, image in enumerate(draw(label, count, seed)[..., 0])]
    return teach(backbone, store, label, pictures, keep_pictures, 0.0)


def _taught(backbone, store):
    for label in TAUGHT:
        _teach(backbone, store, label)


def _keep(backbone, store, attempt):
    """Keeps a pass as the lesson does."""
    key, tuned = latent_key(backbone, look_in_force(backbone, store)), "f" * 64
    row = DeepenedRow(0, 0, backbone.deep.key, key.look, tuned, attempt.why, "now")
    ids = [row.id for row in store.examples(key)]
    store.add_deepened(row, attempt.weights.tobytes(), base_bytes(attempt.base), ids)


def _bits(backbone, store):
    head = recall(backbone, store).head
    return head.weights.tobytes(), head.bias.tobytes(), head.own is not None and head.own.tobytes(), head[2:5]


def _files(path):
    return b"".join(open(path + end, "rb").read() for end in ("", "-wal") if os.path.exists(path + end))


def _right(backbone, store, label, seed=77):
    classifier = Classifier(recall(backbone, store))
    answers = classifier.probabilities(draw(label, 40, seed)).argmax(axis=1)
    return float(np.mean([classifier.labels[answer] == label for answer in answers]))


def test_the_step_gives_what_it_gave_where_it_was_made(backbone, monkeypatch):
    monkeypatch.setattr("edge.deepen.STEPS", FEW_STEPS)
    latents = taught_latents(backbone)
    rows, targets = np.concatenate(list(latents.values())), np.repeat([6, 7], EXAMPLES)
    done = []
    weights = train(backbone.deep, backbone.deep.replay(), rows, targets, 8, done.append)
    with np.load(os.path.join(FOLDER, "after.npz")) as file:
        expected = file["weights"]
    moved = np.abs(expected - backbone.deep.replay().weights).max()
    assert np.abs(weights - expected).max() < 1e-4 * moved
    assert done == list(range(1, FEW_STEPS + 1))


def test_a_pass_is_promoted_where_it_recognises_more_and_the_known_classes_lose_little(attempt):
    assert attempt.promoted
    assert attempt.left_out[1] > attempt.left_out[0] + 0.2
    assert attempt.known[1] >= attempt.known[0] - MOST_LOST


def test_the_order_of_teaching_changes_no_bit_of_a_pass(backbone, attempt):
    shuffled = {label: rows[::-1] for label, rows in reversed(list(taught_latents(backbone).items()))}
    again = deepen(backbone, backbone.deep, shuffled, SILENT)
    assert again.weights.tobytes() == attempt.weights.tobytes()
    assert base_bytes(again.base) == base_bytes(attempt.base)


def test_after_a_promoted_lesson_the_board_runs_the_retrained_network(backbone, store):
    _taught(backbone, store)
    before = {label: _right(backbone, store, label) for label in TAUGHT}
    report = deepen_lesson(backbone, store, 0.0, SILENT)
    assert report.attempt.promoted and report.learned.retrained == report.attempt.why
    after = {label: _right(backbone, store, label) for label in TAUGHT}
    assert sum(after.values()) > sum(before.values()) + 0.4
    assert report.learned.set_aside == 0
    assert Classifier(recall(backbone, store)).is_retrained
    pixels, targets = known_pictures(20, 9)
    known = Classifier(recall(backbone, store)).probabilities(pixels).argmax(axis=1)
    assert np.mean(known == targets) > 0.8


def test_what_is_taught_later_is_seen_through_the_retrained_network_too(backbone, store, attempt):
    _taught(backbone, store)
    _keep(backbone, store, attempt)
    _teach(backbone, store, "x", 5)
    assert learned(backbone, store).set_aside == 0
    assert "x" in recall(backbone, store).head.labels
    assert len(store.deepened()) == 1


def test_a_pass_that_is_no_better_leaves_everything_as_it_was(backbone, store):
    _teach(backbone, store, "a", 6, seed=30)
    before, rows = _bits(backbone, store), store.examples(recall(backbone, store).key)
    report = deepen_lesson(backbone, store, 0.0, SILENT)
    assert not report.attempt.promoted
    assert store.deepened() == [] and report.learned.retrained == ""
    assert _bits(backbone, store) == before and store.examples(recall(backbone, store).key) == rows


def test_taking_a_pass_back_brings_back_the_bits_from_before(backbone, store, attempt):
    _taught(backbone, store)
    before = _bits(backbone, store)
    for take_back in (forget_deeper, lambda b, s: undo(b, s, None), lambda b, s: undo(b, s, 2)):
        _keep(backbone, store, attempt)
        assert _bits(backbone, store) != before
        report = take_back(backbone, store)
        assert (report.passes, len(report.examples)) == (1, 0)
        assert _bits(backbone, store) == before
    with pytest.raises(InputError, match="no deeper pass"):
        forget_deeper(backbone, store)


def test_forgetting_what_a_pass_saw_drops_it_and_leaves_no_byte(backbone, tmp_path, attempt):
    path = str(tmp_path / "learned.sqlite")
    with open_store(path) as store:
        _taught(backbone, store)
        _keep(backbone, store, attempt)
        recall(backbone, store)  # codes by the retrained network
        secrets = [attempt.weights.tobytes()[at : at + 64] for at in (0, 4000)]
        secrets += [base_bytes(attempt.base)[5000:5064], b"f" * 64]
        secrets += [rows[0].tobytes()[:64] for label, rows in taught_latents(backbone).items() if label == TAUGHT[0]]
        assert all(secret in _files(path) for secret in secrets)
        report = forget_label(backbone, store, TAUGHT[0])
        assert report.passes == 1 and report.learned.retrained == ""
        assert not any(secret in _files(path) for secret in secrets)
        bits = _bits(backbone, store)
    with open_store(str(tmp_path / "other.sqlite")) as never:
        _teach(backbone, never, TAUGHT[1])
        assert _bits(backbone, never) == bits


def test_forgetting_what_came_after_a_pass_keeps_it(backbone, store, attempt):
    _taught(backbone, store)
    _keep(backbone, store, attempt)
    before = _bits(backbone, store)
    later = _teach(backbone, store, "x", 5)
    assert forget_examples(backbone, store, later.ids).passes == 0
    assert _bits(backbone, store) == before
    assert forget_everything(backbone, store).passes == 1
    assert store.deepened() == []


def test_an_example_that_is_forgotten_during_a_pass_keeps_it_from_the_store(backbone, store, attempt):
    _taught(backbone, store)
    row = DeepenedRow(0, 0, backbone.deep.key, "l", "f" * 64, "", "now")
    with pytest.raises(BoardError, match="forgotten during the pass"):
        store.add_deepened(row, b"weights", b"base", [1, 2, 999])
    assert store.deepened() == []


def test_a_new_look_sets_a_pass_aside_and_the_old_look_brings_it_back(backbone, store, attempt):
    _taught(backbone, store)
    _keep(backbone, store, attempt)
    bits = _bits(backbone, store)
    store.add_look(backbone.key, "inverted", bytes(range(255, -1, -1)), "", "now")
    assert not Classifier(recall(backbone, store)).is_retrained
    undo(backbone, store, None)
    assert _bits(backbone, store) == bits


def test_kept_pictures_give_latents_where_there_are_none(backbone, store, attempt):
    old = backbone._replace(deep=None)
    _teach(old, store, TAUGHT[0], keep_pictures=True)
    _teach(old, store, TAUGHT[1], keep_pictures=True)
    assert store.taught(latent_key(backbone, look_in_force(backbone, store)), backbone.deep.latent_count) == {}
    deepen_lesson(backbone, store, 0.0, SILENT)
    (row,) = store.deepened()
    assert store.deepened_parts(row.id)[0] == attempt.weights.tobytes()


def test_an_example_without_latents_and_picture_is_named(backbone, store):
    _teach(backbone._replace(deep=None), store, "z")
    with pytest.raises(InputError, match="example 1 was taught before"):
        deepen_lesson(backbone, store, 0.0, SILENT)


def test_an_export_carries_latents_and_no_pass(backbone, tmp_path, store, attempt):
    _taught(backbone, store)
    _keep(backbone, store, attempt)
    recall(backbone, store)
    data = export_learned(backbone, store)
    assert b"f" * 64 not in data and attempt.weights.tobytes()[:64] not in data
    with open_store(str(tmp_path / "other.sqlite")) as other:
        import_learned(backbone, other, data)
        deepen_lesson(backbone, other, 0.0, SILENT)
        assert other.deepened_parts(1)[0] == attempt.weights.tobytes()


def test_latents_of_another_size_are_not_imported(backbone, store):
    _teach(backbone, store, "z", 1)
    found = parse_learned(export_learned(backbone, store))
    codes = [
        (key, values[:-1] if key.backbone == backbone.deep.body_key else values) for key, values in found[0][0].codes
    ]
    data = learned_bytes([found.examples[0]._replace(label="x", codes=tuple(codes))], ())
    with pytest.raises(FormatError, match="codes of an example"):
        import_learned(backbone, store, data)


def test_too_few_examples_too_many_labels_and_no_deep_files_are_refused_in_one_line(backbone, store):
    with pytest.raises(InputError, match="no examples"):
        deepen_lesson(backbone, store, 0.0, SILENT)
    with pytest.raises(InputError, match="without deep/ files"):
        deepen_lesson(backbone._replace(deep=None), store, 0.0, SILENT)
    few = {"z": backbone.deep.latents(draw("z", FOLDS - 1, 1))}
    with pytest.raises(InputError, match="at least {}".format(FOLDS)):
        deepen(backbone, backbone.deep, few, SILENT)
    many = {"label {}".format(i): backbone.deep.latents(draw("z", FOLDS, i)) for i in range(17)}
    with pytest.raises(InputError, match="at most 16"):
        deepen(backbone, backbone.deep, many, SILENT)


def test_a_pass_that_diverges_is_said_and_changes_nothing(backbone, store, monkeypatch):
    _taught(backbone, store)
    monkeypatch.setattr("edge.deepen._RATE", float("nan"))
    with pytest.raises(GateError, match="diverged"):
        deepen_lesson(backbone, store, 0.0, SILENT)
    assert store.deepened() == []


def test_weights_of_another_network_are_refused(backbone, store, attempt):
    _taught(backbone, store)
    _keep(backbone, store, attempt._replace(weights=attempt.weights[1:], why="short"))
    backbone.deep.retrained = None
    with pytest.raises(FormatError, match="weights"):
        recall(backbone, store)
    undo(backbone, store, None)  # and it can be taken back
    assert store.deepened() == []


def test_the_step_takes_its_batch_whatever_the_examples(backbone):
    session = backbone.deep.open(STEP)
    shapes = {each.name: each.shape for each in session.get_inputs()}
    assert shapes["latents"][0] == shapes["wanted"][0] and shapes["weights"] == shapes["momentum"]
    latents = backbone.deep.latents(draw("z", FOLDS, random.Random(0).randint(1, 9)))
    rows = train(backbone.deep, backbone.deep.replay(), latents, np.full(FOLDS, 6), 7, lambda step: None)
    assert np.isfinite(rows).all()
