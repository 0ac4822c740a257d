"""edge/look.py, edge/fitting.py: a camera that shows things otherwise is undone in front of the network, when sure."""

import numpy as np
import pytest
from glyph_world import KNOWN, known_letters, on_paper

from edge.backbone import features_of, features_seen, seen
from edge.base import base_head
from edge.fitting import Answers, answers_of, fit_look
from edge.head import scores
from edge.look import apart, apply_table, beside, candidates, identity


@pytest.fixture(scope="module")
def answer(backbone):
    return answers_of(backbone)


def _fit(pixels, targets, answer, present=None):
    return fit_look(pixels, targets, answer, present or identity(1), lambda done, of: None)


def _accuracy(pixels, targets, look, answer):
    return (answer(apply_table(pixels, look.tables[0])).probabilities.argmax(axis=1) == targets).mean()


def test_a_look_is_applied_to_each_channel_by_its_own_column():
    table = np.stack([np.arange(256), 255 - np.arange(256), np.full(256, 7)], axis=1).astype(np.uint8)
    pixels = np.random.RandomState(0).randint(0, 256, (2, 4, 5, 3)).astype(np.uint8)
    found = apply_table(pixels, table)
    assert (found[..., 0] == pixels[..., 0]).all()
    assert (found[..., 1] == 255 - pixels[..., 1]).all()
    assert (found[..., 2] == 7).all()


@pytest.mark.parametrize("channels", [1, 3])
def test_the_identity_changes_nothing_and_is_the_first_candidate(channels):
    pixels = np.random.RandomState(0).randint(0, 256, (3, 6, 5, channels)).astype(np.uint8)
    assert (apply_table(pixels, identity(channels).tables[0]) == pixels).all()
    assert (candidates(pixels)[0].tables == identity(channels).tables).all()


@pytest.mark.parametrize("channels", [1, 3])
def test_candidates_are_tables_of_bytes_each_once_even_for_pictures_of_one_colour(channels):
    for pixels in (np.full((2, 6, 5, channels), 9, np.uint8), np.zeros((1, 4, 4, channels), np.uint8)):
        found = candidates(pixels)
        assert all(look.tables.dtype == np.uint8 and look.tables.shape == (1, 256, channels) for look in found)
        assert len({look.tables.tobytes() for look in found}) == len(found) == len({look.name for look in found})


def test_ink_on_paper_is_read_after_one_labelled_picture_a_class(answer):
    pixels, targets = known_letters(6, seed=7)
    paper = on_paper(pixels, 1)
    assert _accuracy(paper, targets, identity(1), answer) < 0.5
    choice = _fit(paper[::6], targets[::6], answer)
    assert choice.changed
    assert _accuracy(paper, targets, choice.look, answer) > 0.9


def test_ink_on_paper_is_read_after_pictures_without_labels(answer):
    pixels, targets = known_letters(6, seed=7)
    paper = on_paper(pixels, 1)
    choice = _fit(paper[::2], None, answer)
    assert choice.changed
    assert _accuracy(paper, targets, choice.look, answer) > 0.9


@pytest.mark.parametrize("labelled", [True, False])
def test_pictures_that_are_fine_keep_the_look(answer, labelled):
    pixels, targets = known_letters(4, seed=8)
    choice = _fit(pixels, targets if labelled else None, answer)
    assert not choice.changed
    assert (choice.look.tables == identity(1).tables).all()


@pytest.mark.parametrize("letter", range(len(KNOWN)))
def test_pictures_of_one_class_without_labels_keep_the_look_and_say_why(answer, letter):
    pixels, targets = known_letters(12, seed=8)
    for shown in (pixels, on_paper(pixels, 1)):
        choice = _fit(shown[targets == letter], None, answer)
        assert not choice.changed
        assert choice.why


def test_few_pictures_without_labels_keep_the_look(answer):
    pixels, _ = known_letters(1, seed=8)
    assert not _fit(on_paper(pixels, 1)[:4], None, answer).changed


def test_a_refusal_keeps_the_look_in_force_not_the_identity(answer):
    pixels, targets = known_letters(6, seed=7)
    paper = on_paper(pixels, 1)
    present = _fit(paper[::6], targets[::6], answer).look
    choice = _fit(paper[:3], None, answer, present)
    assert not choice.changed
    assert (choice.look.tables == present.tables).all()


def test_a_camera_that_shows_things_as_in_training_again_gets_a_fitting_look_again(answer):
    pixels, targets = known_letters(6, seed=7)
    present = _fit(on_paper(pixels, 1)[::6], targets[::6], answer).look
    choice = _fit(pixels[::6], targets[::6], answer, present)
    assert choice.changed
    assert _accuracy(pixels, targets, choice.look, answer) > 0.9


def test_the_same_pictures_give_the_same_look_in_any_order(answer):
    pixels, targets = known_letters(4, seed=7)
    paper = on_paper(pixels, 1)
    order = np.random.RandomState(0).permutation(len(paper))
    one, other = _fit(paper, targets, answer), _fit(paper[order], targets[order], answer)
    assert (one.look.tables == other.look.tables).all()


def test_pictures_as_in_training_are_ordinary_and_inverted_ones_are_strange(answer):
    pixels, _ = known_letters(6, seed=8)
    assert np.median(answer(pixels).strangeness) < 2
    assert np.median(answer(255 - pixels).strangeness) > 10


def test_ink_on_paper_in_uneven_light_is_read(answer):
    pixels, targets = known_letters(6, seed=7)
    fall = np.linspace(1.25, 0.75, pixels.shape[2])[np.newaxis, np.newaxis, :, np.newaxis]
    paper = np.clip(on_paper(pixels, 1) * fall, 0, 255).astype(np.uint8)
    choice = _fit(paper[::2], None, answer)
    assert choice.changed
    assert _accuracy(paper, targets, choice.look, answer) > 0.9


@pytest.mark.parametrize("labelled", [True, False])
def test_pictures_of_two_looks_get_a_table_each_and_each_is_seen_through_its_own(backbone, answer, labelled):
    pixels, targets = known_letters(6, seed=7)
    both, names = np.concatenate([pixels, on_paper(pixels, 1)]), np.concatenate([targets, targets])
    choice = _fit(both[::3], names[::3] if labelled else None, answer)
    assert choice.changed and len(choice.look.tables) == 2
    assert choice.look.name.startswith("identity beside ")
    head = base_head(backbone.base, KNOWN)
    features = features_seen(backbone, both, choice.look)
    assert (features == features_of(backbone, seen(backbone, both, choice.look))).all()
    said = scores(head, features).argmax(axis=1)
    assert (said == names)[: len(pixels)].mean() > 0.9 and (said == names)[len(pixels) :].mean() > 0.9


def test_pictures_of_one_look_get_no_second_table(answer):
    pixels, targets = known_letters(6, seed=7)
    for shown in (pixels, on_paper(pixels, 1)):
        for labels in (targets, None):
            assert len(_fit(shown, labels, answer).look.tables) == 1


def test_the_tables_of_a_look_side_by_side_come_apart_again():
    one, other = candidates(np.full((2, 6, 5, 1), 9, np.uint8))[:2]
    for look, found in zip((one, other), apart(beside(one, other))):
        assert found.name == look.name
        assert (found.tables == look.tables).all()


@pytest.mark.parametrize("agrees", [True, False])
def test_where_labels_prove_too_little_the_pictures_decide_unless_the_labels_speak_against_it(agrees):
    classes, said = np.repeat(np.arange(4), 5), np.repeat(np.arange(4), 5)
    pixels = np.full((20, 2, 2, 1), 100, np.uint8)

    def surer_of_dim_ones(seen):
        sure = 0.85 if seen.max() < 100 else 0.75
        found = np.full((20, 4), (1 - sure) / 3)
        found[np.arange(20), said] = sure
        return Answers(found, np.ones(20))

    choice = _fit(pixels, classes if agrees else (classes + 1) % 4, surer_of_dim_ones)
    assert choice.changed == agrees
