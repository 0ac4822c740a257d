"""Adds and products of codes: every pair of codes, at many scales, in onnxruntime and in the integer reference."""

from collections.abc import Callable

import numpy as np
import onnxruntime
import pytest
import torch
from onnx import TensorProto, helper

from quantize.integers import Integers
from quantize.plan import Add, Mul
from quantize.reference import output_codes

FIRST, SECOND = (each.ravel().astype(np.uint8) for each in np.meshgrid(np.arange(256), np.arange(256)))


def runtime(operator: str, scales: dict[str, np.float32]) -> np.ndarray:
    """What the kernel of that name gives for every pair, zero points 128."""
    values = []
    for name, scale in scales.items():
        values.append(helper.make_tensor(f"{name}_scale", TensorProto.FLOAT, [], [scale]))
        values.append(helper.make_tensor(f"{name}_zero", TensorProto.UINT8, [], [128]))
    inputs = [part for name in ("a", "b") for part in (name, f"{name}_scale", f"{name}_zero")]
    node = helper.make_node(operator, [*inputs, "y_scale", "y_zero"], ["y"], domain="com.microsoft")
    a, b, y = (helper.make_tensor_value_info(name, TensorProto.UINT8, [len(FIRST)]) for name in "aby")
    domains = [helper.make_opsetid("", 13), helper.make_opsetid("com.microsoft", 1)]
    model = helper.make_model(
        helper.make_graph([node], "pairs", [a, b], [y], values), opset_imports=domains, ir_version=7
    )
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return session.run(None, {"a": FIRST, "b": SECOND})[0]


@pytest.mark.parametrize(
    ("operator", "layer", "largest"),
    [
        ("QLinearMul", Mul("y", ("a", "b")), lambda a, b: 100 * a * b),
        ("QLinearAdd", Add("y", ("a", "b")), lambda a, b: max(a, b)),
    ],
)
def test_every_pair_of_codes_gives_the_code_that_onnxruntime_gives(
    operator: str, layer: Mul | Add, largest: Callable[[float, float], float]
) -> None:
    random = np.random.default_rng(0)
    a, b = (torch.from_numpy(codes).float().sub(128).view(1, 1, 256, 256) for codes in (FIRST, SECOND))
    for _ in range(60):
        first, second = random.uniform(0.001, 0.1, 2)
        scales = {"a": first, "b": second, "y": largest(first, second) * random.uniform(0.3, 3)}
        scales = {name: np.float32(scale) for name, scale in scales.items()}
        nothing = np.zeros((0, 0), np.float32)
        found = output_codes(Integers((layer,), scales, nothing, nothing[0:0].ravel()), layer, (a, b))
        expected = runtime(operator, scales).astype(np.float32) - 128
        assert np.array_equal(found.numpy().ravel(), expected), scales
