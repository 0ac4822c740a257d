"""Camera bytes to model bytes: the same on every machine and OpenCV version."""

import hashlib
import zlib

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.contract.errors import InputError
from edge.contract.spec import ModelSpec
from edge.preprocess import decode_picture, prepare

GREY = ModelSpec("n", 32, 32, 1, 8, 2)
COLOUR = ModelSpec("n", 24, 32, 3, 8, 2)


def _noise(height, width, channels):
    return np.random.RandomState(height * 1000 + width).randint(0, 256, (height, width, channels)).astype(np.uint8)


@pytest.mark.parametrize(
    "size, digest",
    [
        ((480, 640), "dd8a28ff3dbf60ae"),
        ((1080, 1920), "e91db047eaa7fd4a"),
        ((28, 28), "98ba48265cdfec44"),
        ((37, 91), "aaa0fdbe456850c6"),
    ],
)
def test_the_bytes_are_those_that_every_opencv_so_far_has_given(size, digest):
    picture = _noise(size[0], size[1], 3)
    content = prepare(picture, GREY).tobytes() + prepare(picture, COLOUR).tobytes()
    assert hashlib.sha256(content).hexdigest()[:16] == digest


def test_a_picture_of_the_right_size_is_not_touched():
    picture = _noise(24, 32, 3)
    assert (prepare(picture, COLOUR) == picture).all()


def test_a_grey_picture_feeds_a_colour_model_and_the_other_way_round():
    grey = _noise(50, 70, 1)
    assert prepare(grey, COLOUR).shape == (24, 32, 3)
    assert (prepare(grey[..., 0], COLOUR) == prepare(grey, COLOUR)).all()
    assert (prepare(np.dstack([grey] * 3), GREY) == prepare(grey, GREY)).all()


def test_shrinking_averages_all_pixels_instead_of_skipping_some():
    lines = np.zeros((512, 512), np.uint8)
    lines[:, ::2] = 255
    assert abs(prepare(lines, GREY).astype(int) - 128).max() <= 1


def test_the_centre_is_kept():
    picture = np.zeros((100, 300), np.uint8)
    picture[:, 100:200] = 255
    assert (prepare(picture, GREY) == 255).all()


@settings(max_examples=50, deadline=None)
@given(st.integers(1, 200), st.integers(1, 200), st.sampled_from([1, 3]), st.sampled_from([GREY, COLOUR]))
def test_any_size_of_picture_gives_the_models_shape(height, width, channels, spec):
    pixels = prepare(_noise(height, width, channels), spec)
    assert pixels.shape == (spec.height, spec.width, spec.channels)
    assert pixels.dtype == np.uint8 and pixels.flags["C_CONTIGUOUS"]


@settings(max_examples=50, deadline=None)
@given(st.integers(1, 300), st.integers(1, 300), st.integers(0, 255))
def test_an_even_picture_stays_even(height, width, value):
    assert (prepare(np.full((height, width), value, np.uint8), GREY) == value).all()


@pytest.mark.parametrize(
    "picture", [np.zeros((4, 4)), np.zeros((4,), np.uint8), np.zeros((4, 4, 2), np.uint8), np.zeros((0, 4), np.uint8)]
)
def test_what_is_no_picture_is_refused(picture):
    with pytest.raises(InputError):
        prepare(picture, GREY)


def test_a_picture_is_read_as_bgr(tmp_path):
    picture = _noise(20, 30, 3)
    path = str(tmp_path / "caf\u00e9 1.png")
    path_ascii = str(tmp_path / "a.png")
    cv2.imwrite(path_ascii, picture)
    with open(path_ascii, "rb") as source, open(path, "wb") as target:
        target.write(source.read())
    assert (decode_picture(path) == picture).all()


@pytest.mark.parametrize("content", [b"", b"not a picture", b"\xff\xd8\xff\xe0" + b"\0" * 50])
def test_a_file_that_is_no_picture_gets_one_line_with_its_name(tmp_path, content):
    path = tmp_path / "broken.jpg"
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"broken\.jpg"):
        decode_picture(str(path))
    with pytest.raises(InputError, match=r"gone\.jpg"):
        decode_picture(str(tmp_path / "gone.jpg"))


def test_a_header_that_promises_endless_pixels_gets_one_line_too(tmp_path):
    content = bytearray(cv2.imencode(".png", _noise(8, 8, 3))[1].tobytes())
    content[16:24] = (100000).to_bytes(4, "big") * 2
    content[29:33] = (zlib.crc32(bytes(content[12:29])) & 0xFFFFFFFF).to_bytes(4, "big")
    (tmp_path / "vast.png").write_bytes(bytes(content))
    with pytest.raises(InputError, match=r"vast\.png"):
        decode_picture(str(tmp_path / "vast.png"))
