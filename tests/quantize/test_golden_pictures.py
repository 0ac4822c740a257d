"""Golden vectors are written from the pictures on which every engine can be expected to agree."""

from dataclasses import replace
from pathlib import Path

import numpy as np
from networks import quantized, random_net, smooth_pixels

from edge.engine import Engine, run_in_batches
from edge.preprocess import prepare
from quantize.emit import emit
from quantize.golden import write_golden
from quantize.integers import IntegerConv, Integers
from quantize.reference import reference_features


def _with_a_weaker_first_layer(integers: Integers) -> Integers:
    """Features that are off by much on some pictures and by little on others."""
    first = integers.layers[0]
    assert isinstance(first, IntegerConv)
    weight = first.weight.copy()
    weight[0] //= 2
    return replace(integers, layers=(replace(first, weight=weight), *integers.layers[1:]))


def test_the_pictures_are_those_that_the_files_compute_nearest_to_the_reference(tmp_path: Path) -> None:
    _, integers, spec = quantized(random_net(3, 3, 3, True, ("plain",)), 3, 3)  # no adds: both forms are one
    pixels = smooth_pixels(70, 16, 3, 4)
    for form in ("s8", "s8_identity"):
        emit(_with_a_weaker_first_layer(integers), spec, form, tmp_path / f"model.{form}.onnx")
    write_golden(tmp_path / "golden.npz", integers, spec, pixels)
    with np.load(tmp_path / "golden.npz", allow_pickle=False) as file:
        golden = dict(file)
    found = run_in_batches(Engine(str(tmp_path / "model.s8.onnx")), pixels)[0]
    exact = reference_features(integers, pixels)
    off = np.linalg.norm(found - exact, axis=1) / np.linalg.norm(exact, axis=1)
    nearest = 16 + np.sort(np.argsort(off[16:64])[:7])  # the first sixteen are seen as larger frames
    assert np.array_equal(golden["pixels"][1:], pixels[nearest])
    assert np.array_equal(golden["s8"][1:], exact[nearest]) and np.array_equal(golden["u8"], golden["s8"])
    assert np.array_equal(golden["pixels"][0], prepare(golden["frame"], spec))
    assert golden["frame"].shape[:2] > (16, 16)
