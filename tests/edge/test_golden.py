"""Golden vectors: what holds on this machine, and that anything else is found."""

import os

import numpy as np
import pytest
from release_maker import SPEC

from edge.contract.errors import FormatError, GateError
from edge.contract.manifest import Manifest
from edge.engine import Engine
from edge.golden import check_golden
from edge.release import Release

FILES = os.path.join(os.path.dirname(os.path.abspath(__file__)), "files")


@pytest.fixture
def golden():
    with np.load(os.path.join(FILES, "tiny.golden.npz"), allow_pickle=False) as file:
        return dict(file)


def check(folder, golden, form="u8"):
    np.savez(str(folder / "golden.npz"), **golden)
    engine = Engine(os.path.join(FILES, "tiny.u8.onnx" if form == "u8" else "tiny.float.onnx"))
    return check_golden(release_in(folder), engine, form)


def release_in(folder):
    return Release(str(folder), Manifest(1, "tiny", "1", 1, "", ("any",), SPEC, {}), ("cat", "dog"))


def test_the_integer_reference_and_onnxruntime_agree_to_the_last_bit(tmp_path, golden):
    report = check(tmp_path, golden)
    assert (report.pictures, report.identical) == (5, 5)


@pytest.mark.parametrize("form", ["s8", "s8_identity", "float"])
def test_the_other_forms_need_only_point_in_the_same_direction(tmp_path, golden, form):
    report = check(tmp_path, golden, form)
    assert report.lowest_cosine >= 0.999
    golden[form] = np.roll(golden[form], 1, axis=0)
    with pytest.raises(GateError):
        check(tmp_path, golden, form)


def test_one_bit_in_one_feature_is_found_and_the_picture_named(tmp_path, golden):
    golden["u8"][3, 2] = np.nextafter(golden["u8"][3, 2], np.float32(9))
    with pytest.raises(GateError) as caught:
        check(tmp_path, golden)
    assert "picture 3" in caught.value.found


def test_a_feature_that_is_no_number_holds_in_no_form(tmp_path, golden):
    for form in ("u8", "float"):
        golden[form][0, 0] = np.nan
        with pytest.raises(GateError):
            check(tmp_path, golden, form)


def test_another_preparation_of_the_frame_is_found(tmp_path, golden):
    golden["pixels"][0, 0, 0, 0] ^= 1
    with pytest.raises(GateError) as caught:
        check(tmp_path, golden)
    assert "frame" in caught.value.found


@pytest.mark.parametrize("name", ["frame", "pixels", "u8", "s8", "s8_identity", "float"])
def test_golden_vectors_of_other_shapes_or_types_are_malformed(tmp_path, golden, name):
    good = golden[name]
    for bad in (good[..., :-1], good.astype(np.float64), good[:0], good[..., None], np.float32(1)):
        with pytest.raises(FormatError):
            check(tmp_path, dict(golden, **{name: bad}))
    del golden[name]
    with pytest.raises(FormatError):
        check(tmp_path, golden)


def test_a_file_that_is_no_npz_or_holds_pickles_is_malformed(tmp_path, golden):
    golden["frame"] = np.array([{"a": 1}], dtype=object)
    with pytest.raises(FormatError):
        check(tmp_path, golden)
    with open(os.path.join(FILES, "tiny.golden.npz"), "rb") as file:
        whole = file.read()
    engine = Engine(os.path.join(FILES, "tiny.u8.onnx"))
    for content in (b"", b"no zip", whole[:500], whole[:400] + b"\0" * 20 + whole[420:]):
        (tmp_path / "golden.npz").write_bytes(content)
        with pytest.raises(FormatError):
            check_golden(release_in(tmp_path), engine)
