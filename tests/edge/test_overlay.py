"""A label drawn on a frame can be read, whatever the frame's size and the label's letters."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.contract.results import FrameResult, answer, result_to_dict
from edge.overlay import ascii_text, draw, drawing_size


def result(label="seven", score=0.9, unknown=False):
    return FrameResult(0, 0, label, score, ((label, score),), unknown, 1.0, 1.0, 1.0)


@pytest.mark.parametrize(
    "size, drawn",
    [
        ((320, 240), (480, 360)),
        ((8, 8), (480, 480)),
        ((640, 272), (640, 272)),
        ((1279, 721), (1280, 720)),
        ((481, 3), (480, 4)),
    ],
)
def test_small_frames_are_drawn_larger_and_sizes_are_even(size, drawn):
    assert drawing_size(size) == drawn


@settings(max_examples=40, deadline=None)
@given(
    st.integers(1, 700),
    st.integers(1, 500),
    st.text(min_size=1, max_size=64),
    st.floats(0, 1),
    st.tuples(st.integers(60, 400), st.integers(60, 400)).map(lambda half: (2 * half[0], 2 * half[1])),
)
def test_any_frame_and_label_give_a_picture_of_the_asked_size(width, height, label, score, size):
    image = np.full((height, width, 3), 200, np.uint8)
    drawn = draw(image, result(label, score), size)
    assert drawn.shape == (size[1], size[0], 3) and drawn.dtype == np.uint8
    assert (image == 200).all()


@pytest.mark.parametrize("grey", [0, 255])
def test_a_label_stands_out_on_black_and_on_white(grey):
    drawn = draw(np.full((240, 320, 3), grey, np.uint8), result(), (480, 360))
    strip = drawn[290:330, 10:120].astype(int).max(axis=2)
    assert strip.max() >= 250 and np.median(strip) <= 64


def test_the_bar_is_as_long_as_the_score():
    lengths = []
    for score in (0.0, 0.25, 0.5, 1.0):
        drawn = draw(np.zeros((240, 320, 3), np.uint8), result(score=score), (480, 360))
        row = drawn[345].astype(int)
        lengths.append(int((row.max(axis=1) - row.min(axis=1) > 50).sum()))  # the bar has colour, its track is grey
    full = lengths[3]
    assert lengths[0] <= 1 and lengths == pytest.approx([0, full / 4, full / 2, full], abs=2) and full > 400


def test_a_frame_keeps_its_shape_on_black():
    drawn = draw(np.full((100, 50, 3), 200, np.uint8), result(), (480, 360))
    assert (drawn[100, [0, 140, 339, 479]] == 0).all() and (drawn[100, 160:320] >= 195).all()


@pytest.mark.parametrize(
    "label, drawn",
    [("seven", "seven"), ("Müller", "Muller"), ("straße", "stra?e"), ("犬 dog", "? dog"), ("ﬁn", "fin"), ("", "")],
)
def test_letters_that_cannot_be_drawn_are_replaced(label, drawn):
    assert ascii_text(label) == drawn


def test_a_long_label_does_not_run_into_the_score():
    black = np.zeros((240, 320, 3), np.uint8)
    long, short = (draw(black, result(label), (480, 360)) for label in ("m" * 64, "."))
    differ = np.flatnonzero((long != short).any(axis=(0, 2)))
    assert differ.max() < np.flatnonzero(short[290:330, 240:].any(axis=(0, 2))).min() + 240


def test_what_is_unknown_is_drawn_as_such_and_not_as_its_nearest_label():
    frame = np.full((360, 480, 3), 60, np.uint8)
    known, unknown = (draw(frame, result("cup", 0.9, flag), (480, 360)) for flag in (False, True))
    assert (known != unknown).any()
    assert answer(result("cup", 0.9, True)) == "unknown (cup?)"
    assert answer(result("cup", 0.9)) == "cup"
    assert result_to_dict(result("cup", 0.9, True))["unknown"] is True
    assert result_to_dict(result("cup", 0.9, True))["label"] == "cup"
