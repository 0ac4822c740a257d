"""edge/lessons.py and edge/classifier.py: teaching, fitting and forgetting, and what the classifier then says."""

import cv2
import numpy as np
import pytest
from glyph_world import KNOWN, draw, known_letters, make_glyph_backbone, on_paper
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.classifier import Classifier
from edge.contract.errors import FormatError, InputError, UsageError
from edge.lessons import (
    fit,
    forget_everything,
    forget_examples,
    forget_label,
    forget_last,
    forget_look,
    forget_person,
    learned,
    teach,
    undo,
)
from edge.pictures import Picture, folder_label, read_pictures
from edge.recall import recall
from edge.store import open_store

NOW = 1_795_326_060.0


def _pictures(pixels):
    return [Picture("frame {}".format(i), cv2.cvtColor(image, cv2.COLOR_GRAY2BGR)) for i, image in enumerate(pixels)]


def _teach(backbone, store, letter, count=5, seed=3, keep=False):
    return teach(backbone, store, letter, _pictures(draw(letter, count, seed)), keep, NOW)


def _fit(backbone, store, pixels, labels=None):
    return fit(backbone, store, _pictures(pixels), labels, NOW, lambda done, of: None)


def _bits(backbone, store):
    head = recall(backbone, store).head
    return head.weights.tobytes(), head.bias.tobytes(), head.own is not None and head.own.tobytes(), head[2:5]


def test_a_taught_class_is_named_by_the_classifier(backbone, store):
    report = _teach(backbone, store, "Z", 10)
    assert report.new_class and len(report.ids) == 10
    assert report.learned.verdict.enough.classes[0].label == "Z"
    classifier = Classifier(recall(backbone, store))
    assert classifier.labels == KNOWN + ("Z",)
    said = [classifier.classify(image) for image in draw("Z", 30, 4)]
    assert np.mean([prediction.label == "Z" for prediction in said]) > 0.6
    assert all(len(p.top) == 5 and p.top[0] == (p.label, p.score) and 0 < p.score <= 1 for p in said)
    assert all(p.prepare_ms >= 0 and p.infer_ms >= 0 for p in said)


def test_with_nothing_taught_the_classifier_is_the_base(backbone, store):
    pixels, targets = known_letters(5, seed=9)
    found = Classifier(recall(backbone, store)).probabilities(pixels)
    assert found.shape == (len(pixels), len(KNOWN))
    assert (found.argmax(axis=1) == targets).mean() > 0.9


def test_a_correction_is_no_new_class(backbone, store):
    report = _teach(backbone, store, "A")
    assert not report.new_class
    assert recall(backbone, store).head.labels == KNOWN


def test_lessons_in_any_order_give_the_same_bits(backbone, tmp_path):
    found = []
    for name, letters in (("one", "ZQA"), ("other", "AZQ")):
        with open_store(str(tmp_path / name)) as store:
            for letter in letters:
                _teach(backbone, store, letter)
            found.append(_bits(backbone, store))
    assert found[0] == found[1]


def test_forgetting_gives_the_bits_from_before(backbone, store):
    bits = [_bits(backbone, store)]
    for letter in "ZQ":
        _teach(backbone, store, letter)
        bits.append(_bits(backbone, store))
    more = _teach(backbone, store, "Z", 2, seed=8)
    assert _bits(backbone, store) != bits[2]
    assert [row.id for row in forget_last(backbone, store).examples] == list(more.ids)
    assert _bits(backbone, store) == bits[2]
    forget_label(backbone, store, "Q")
    assert _bits(backbone, store) == bits[1]
    forget_examples(backbone, store, [row.id for row in learned(backbone, store).examples])
    assert _bits(backbone, store) == bits[0]


def test_forgetting_a_person_gives_the_bits_from_before_that_person(backbone, store):
    _teach(backbone, store, "Z")
    before = _bits(backbone, store)
    pictures = _pictures(draw("Z", 3, seed=8))
    for letter in "ZQ":
        teach(backbone, store, letter, pictures, False, NOW, person="Ada")
    assert [row.person for row in learned(backbone, store).examples] == [""] * 5 + ["Ada"] * 6
    assert len(forget_person(backbone, store, "Ada").examples) == 6
    assert _bits(backbone, store) == before
    with pytest.raises(InputError):
        forget_person(backbone, store, "Ada")
    with pytest.raises(UsageError):
        teach(backbone, store, "Z", pictures, False, NOW, person="a/b")


def test_undo_takes_lessons_back_newest_first_whatever_they_were(backbone, store):
    bits = [_bits(backbone, store)]
    _teach(backbone, store, "Z")
    bits.append(_bits(backbone, store))
    pixels, targets = known_letters(6, seed=7)
    assert _fit(backbone, store, on_paper(pixels, 1)[::6], [KNOWN[t] for t in targets[::6]]).choice.changed
    bits.append(_bits(backbone, store))
    _teach(backbone, store, "A")
    assert len(undo(backbone, store, None).examples) == 5
    assert _bits(backbone, store) == bits[2]
    assert len(undo(backbone, store, None).looks) == 1
    assert _bits(backbone, store) == bits[1]
    _teach(backbone, store, "A")
    _teach(backbone, store, "Z", seed=8)
    assert len(undo(backbone, store, 1).examples) == 10
    assert _bits(backbone, store) == bits[1]
    undo(backbone, store, 0)
    assert _bits(backbone, store) == bits[0]
    with pytest.raises(InputError):
        undo(backbone, store, None)


acts = st.lists(st.tuples(st.sampled_from("tttfulp"), st.integers(0, 99)), max_size=12)


@settings(max_examples=12, deadline=None)
@given(acts, st.randoms())
def test_any_teaching_and_forgetting_ends_in_the_head_that_saw_only_what_is_left(
    backbone, tmp_path_factory, acts, random
):
    """t: teach, f: forget an example, u: undo, l: forget a label, p: forget a person."""
    folder = tmp_path_factory.mktemp("order")
    letters = {letter: draw(letter, 12, 3) for letter in "ZQA"}
    with open_store(str(folder / "one")) as store:
        for number, (act, which) in enumerate(acts):
            rows = learned(backbone, store).examples
            if act == "t" or not rows:
                letter = "ZQA"[which % 3]
                chosen = _pictures(letters[letter][which % 9 : which % 9 + 1 + which % 3])
                teach(backbone, store, letter, chosen, False, NOW + number, person=("Ada", "Bo")[which % 2])
            elif act == "f":
                forget_examples(backbone, store, [rows[which % len(rows)].id])
            elif act == "u":
                undo(backbone, store, None)
            elif act == "l":
                forget_label(backbone, store, rows[which % len(rows)].label)
            else:
                forget_person(backbone, store, rows[which % len(rows)].person)
        left = [store.whole(row.id) for row in learned(backbone, store).examples]
        random.shuffle(left)
        with open_store(str(folder / "other")) as other:
            for example in left:
                other.add_whole([example], ())
            assert _bits(backbone, other) == _bits(backbone, store)


def test_forgetting_what_is_not_there_is_refused_and_removes_nothing(backbone, store):
    ids = _teach(backbone, store, "Z").ids
    for forget in (
        lambda: forget_examples(backbone, store, [ids[0], 999]),
        lambda: forget_label(backbone, store, "Q"),
        lambda: forget_look(backbone, store),
    ):
        with pytest.raises(InputError):
            forget()
    assert [row.id for row in learned(backbone, store).examples] == list(ids)
    forget_everything(backbone, store)
    with pytest.raises(InputError):
        forget_last(backbone, store)


def test_teaching_nothing_or_an_impossible_label_is_refused(backbone, store):
    with pytest.raises(InputError):
        teach(backbone, store, "Z", [], False, NOW)
    with pytest.raises(UsageError):
        teach(backbone, store, "a/b", _pictures(draw("Z", 1, 1)), False, NOW)
    assert learned(backbone, store).examples == ()


def test_a_time_is_kept_as_utc_text(backbone, store):
    _teach(backbone, store, "Z", 1)
    assert learned(backbone, store).examples[0].taken == "2026-11-22T05:41:00Z"


def test_a_fitted_look_is_used_by_the_classifier_and_undone(backbone, store):
    pixels, targets = known_letters(6, seed=7)
    paper = on_paper(pixels, 1)
    report = _fit(backbone, store, paper[::6], [KNOWN[t] for t in targets[::6]])
    assert report.choice.changed and report.learned.look == report.choice.look.name
    found = Classifier(recall(backbone, store)).probabilities(paper)
    assert (found.argmax(axis=1) == targets).mean() > 0.9
    assert forget_look(backbone, store).looks == (report.choice.look.name,)
    assert recall(backbone, store).look.name == "identity"


def test_a_look_of_two_tables_outlives_the_store_and_each_picture_is_taught_through_its_own(backbone, store):
    pixels, targets = known_letters(6, seed=9)
    report = _fit(backbone, store, np.concatenate([pixels[::3], on_paper(pixels, 1)[::3]]))
    assert report.choice.changed
    look = recall(backbone, store).look
    assert look.name == report.choice.look.name
    assert (look.tables == report.choice.look.tables).all() and len(look.tables) == 2
    classifier = Classifier(recall(backbone, store))
    for shown in (pixels, on_paper(pixels, 1)):
        said = [classifier.classify(image).label for image in shown]
        assert np.mean([label == KNOWN[target] for label, target in zip(said, targets)]) > 0.9


def test_a_look_without_proof_changes_nothing(backbone, store):
    report = _fit(backbone, store, on_paper(draw("A", 4, 7), 1))
    assert not report.choice.changed and report.choice.why
    assert report.learned.look == "identity"


def test_fitting_by_labels_passes_over_those_that_the_release_does_not_know(backbone, store):
    pixels, targets = known_letters(2, seed=7)
    pixels = np.concatenate([draw("Z", 3, 1), pixels])
    report = _fit(backbone, store, on_paper(pixels, 1), ["Z"] * 3 + [KNOWN[t] for t in targets])
    assert report.pictures == len(targets)
    with pytest.raises(InputError):
        _fit(backbone, store, draw("Z", 3, 1), ["Z"] * 3)
    with pytest.raises(InputError):
        _fit(backbone, store, [])


def test_a_new_look_codes_kept_pictures_again_sets_the_others_aside_and_undoing_it_brings_all_back(backbone, store):
    _teach(backbone, store, "Z", 3, keep=True)
    _teach(backbone, store, "Q", 2)
    before = _bits(backbone, store)
    pixels, targets = known_letters(6, seed=7)
    report = _fit(backbone, store, on_paper(pixels, 1)[::6], [KNOWN[t] for t in targets[::6]])
    assert report.learned.set_aside == 2
    assert [(row.label, row.used) for row in report.learned.examples] == [("Z", True)] * 3 + [("Q", False)] * 2
    assert recall(backbone, store).head.labels == KNOWN + ("Z",)
    undone = forget_look(backbone, store)
    assert undone.learned.set_aside == 0
    assert _bits(backbone, store) == before


def test_another_backbone_codes_kept_pictures_and_never_mixes_the_others(backbone, store):
    _teach(backbone, store, "Z", 3, keep=True)
    _teach(backbone, store, "Q", 2)
    found = learned(make_glyph_backbone("second"), store)
    assert [row.used for row in found.examples] == [True] * 3 + [False] * 2
    assert learned(backbone, store).set_aside == 0


def test_a_kept_picture_is_what_the_network_saw(backbone, store):
    pixels = draw("Z", 1, 3)
    teach(backbone, store, "Z", _pictures(pixels), True, NOW)
    ((_, png),) = store.pictures_without_codes(recall(make_glyph_backbone("x"), store).key._replace(look="y"))
    assert (cv2.imdecode(np.frombuffer(png, np.uint8), cv2.IMREAD_UNCHANGED) == pixels[0, :, :, 0]).all()


def test_a_look_of_the_wrong_size_is_refused_and_can_be_forgotten(backbone, store):
    store.add_look(backbone.key, "odd", b"short", "", "")
    with pytest.raises(FormatError):
        recall(backbone, store)
    forget_look(backbone, store)
    assert recall(backbone, store).look.name == "identity"


def test_unreadable_pictures_are_skipped_and_named(tmp_path):
    folder = tmp_path / "cup"
    (folder / "more").mkdir(parents=True)
    cv2.imwrite(str(folder / "more" / "b.png"), np.zeros((4, 4, 3), np.uint8))
    cv2.imwrite(str(folder / "a.png"), np.zeros((4, 4, 3), np.uint8))
    (folder / "notes.txt").write_bytes(b"no picture")
    (folder / ".hidden").write_bytes(b"no picture")
    pictures, skipped = read_pictures([str(folder), str(tmp_path / "gone.png")])
    assert [picture.source for picture in pictures] == [str(folder / "a.png"), str(folder / "more" / "b.png")]
    assert [each.source for each in skipped] == [str(folder / "notes.txt"), str(tmp_path / "gone.png")]
    assert folder_label(pictures[0].source) == "cup"


def test_nothing_readable_is_refused(tmp_path):
    (tmp_path / "notes.txt").write_bytes(b"no picture")
    for places in ([], [str(tmp_path)], [str(tmp_path / "gone")]):
        with pytest.raises(InputError):
            read_pictures(places)
