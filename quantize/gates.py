"""What must hold before a folder is ready: every planned layer runs in integers, and gives the reference's."""

import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import torch
from numpy.typing import NDArray
from onnx import TensorProto, helper

from edge.contract.errors import GateError
from quantize.fake import FakeQuant
from quantize.grid import SHIFT
from quantize.integers import Float32, IntegerConv, IntegerLayer, Integers
from quantize.plan import FUSED_OPERATOR, INPUT
from quantize.reference import layer_codes, output_codes

_SUFFIX = re.compile(
    r"\.(sum|q|q\.all|q\.blocks)(_token_\d+)?$"
)  # of quantize.emit, and of onnxruntime's layout changes
_MOST_OFF = 0.01  # of a layer's codes
_REMEDY = "report it with report.json: this onnxruntime does not run what was trained"


@dataclass(frozen=True)
class Fused:
    """Names of the planned layers that the optimized graph runs with an integer kernel, and those that it does not."""

    fused: tuple[str, ...]
    left_in_float: tuple[str, ...]


def planned(integers: Integers) -> dict[str, int]:
    """How many integer layers onnxruntime has to run, by the operator that runs them."""
    operators = [_operator(layer) for layer in integers.layers]
    return {name: operators.count(name) for name in FUSED_OPERATOR.values() if name in operators}


def find_fused(integers: Integers, optimized: Path) -> Fused:
    """Compares the plan with onnxruntime's `optimized` graph, where a fused node's output keeps its layer's name."""
    wanted = {(_operator(layer), layer.name) for layer in integers.layers if _operator(layer)}
    found = set()
    for node in onnx.load(str(optimized)).graph.node:
        name = _SUFFIX.sub("", node.output[0])
        if (node.op_type, name) in wanted:
            found.add(name)
    names = [layer.name for layer in integers.layers if _operator(layer)]
    return Fused(tuple(n for n in names if n in found), tuple(n for n in names if n not in found))


@torch.no_grad()
def require_trained(model: FakeQuant, integers: Integers, pixels: NDArray[np.uint8]) -> None:
    """Raises GateError with the first layer whose integers are not the layer that was trained.

    Every later proof compares files with these integers, so nothing else would tell. Each layer is given the trained
    layer's own inputs for pixels (N, H, W, C) uint8. Its codes may be one off, and seldom: float32 sums of the one
    and integer sums of the other fall on two sides of a rounding now and then.
    """
    shift = {name: SHIFT if name in model.unsigned else 0 for name in model.grid}
    codes = {INPUT: torch.from_numpy(pixels).permute(0, 3, 1, 2).float() - SHIFT}
    for trained, layer in zip(model.plan.layers, integers.layers, strict=True):
        inputs = tuple((codes[name] + shift[name]) * model.scale_of(name) for name in trained.sources)
        steps = torch.round(model.layer(trained, inputs) / model.scale_of(trained.name))
        codes[trained.name] = steps - shift[trained.name]
        given = output_codes(integers, layer, tuple(codes[name] for name in trained.sources))
        off = (given - codes[trained.name]).abs()
        if off.max() > 1 or off.mean() > _MOST_OFF:
            raise GateError(
                f"the integers of {layer.name} are not what was trained: {100 * off.mean():.2f} % of its codes differ, "
                f"by up to {off.max():.0f}",
                f"at most {100 * _MOST_OFF:.0f} %, by one",
                "report it with the network: this is a fault of edgewise",
            )
        for name in model.last_uses.get(trained.name, ()):
            del codes[name]


def require_fused(fused: Fused) -> None:
    """Raises GateError with the first layer that would run in float."""
    if fused.left_in_float:
        count, first = len(fused.left_in_float), fused.left_in_float[0]
        raise GateError(
            f"onnxruntime runs {count} planned integer layers in float, the first {first}",
            f"all {len(fused.fused) + count} with an integer kernel",
            _REMEDY,
        )


def require_exact(
    model: Path, integers: Integers, pixels: NDArray[np.uint8], expected: Float32, features: Float32
) -> None:
    """Raises GateError with the first differing layer unless `features` (N, D) of `model` equal the reference's."""
    different = np.flatnonzero((features != expected).any(1))
    if different.size:
        layer = _first_difference(model, integers, pixels[different[:16]])
        raise GateError(
            f"features of {different.size} of {len(pixels)} pictures differ from the reference, from {layer} on",
            "the same bits",
            _REMEDY,
        )


def require_same_forms(u8: Float32, s8: Float32) -> None:
    """Raises GateError unless the two files' features (N, D), without optimizations, are the same bits."""
    different = int((u8 != s8).any(1).sum())
    if different:
        raise GateError(
            f"unoptimized, the s8 file gives other features than the u8 file on {different} of {len(u8)} pictures",
            "the same bits",
            _REMEDY,
        )


def require_accuracy(fp32: float, u8: float, max_drop_points: float) -> None:
    """Raises GateError if INT8 lost more accuracy (in points) than the recipe allows."""
    if fp32 - u8 > max_drop_points:
        raise GateError(
            f"INT8 reads {u8:.2f} % of the test pictures, FP32 {fp32:.2f} %",
            f"at most {max_drop_points} points less",
            "raise `epochs` in a recipe (--recipe), or max_drop_points if that is good enough",
        )


def require_agreement(percent: float, least: float) -> None:
    """Raises GateError if INT8 answers fewer pictures as FP32 does than the recipe wants."""
    if percent < least:
        raise GateError(
            f"INT8 answers {percent:.2f} % of the test pictures as FP32 does",
            f"at least {least} %",
            "give more pictures, or raise `epochs` in a recipe (--recipe)",
        )


def _first_difference(model: Path, integers: Integers, pixels: NDArray[np.uint8]) -> str:
    """Cuts the u8 file behind one layer after the other and compares codes."""
    cut = onnx.load(str(model))
    for name, codes in layer_codes(integers, pixels):
        del cut.graph.output[:]
        shape = ["N", "C", "H", "W"]
        cut.graph.output.append(helper.make_tensor_value_info(name + ".q", TensorProto.UINT8, shape))
        session = onnxruntime.InferenceSession(cut.SerializeToString(), providers=["CPUExecutionProvider"])
        (given,) = session.run(None, {"pixels": pixels})
        if (given.astype(np.int16) - 128 != codes.numpy().astype(np.int16)).any():
            return name
    return "the pooling"


def _operator(layer: IntegerLayer) -> str | None:
    return FUSED_OPERATOR.get("Conv" if isinstance(layer, IntegerConv) else type(layer).__name__)
