"""The integers of a quantized network: one set, for the reference and for all files."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray

from edge.contract.errors import GateError
from quantize.fake import FakeQuant
from quantize.grid import CODE_MAX, SHIFT, code_range
from quantize.plan import Activation, Add, AveragePool, Concat, Conv, Curve, Geometry, MaxPool, Mul

Float32 = NDArray[np.float32]
_BIAS_LIMIT = 1 << 23  # exact in float32 and, times a scale, still another number for each code


@dataclass(frozen=True)
class IntegerConv:
    name: str
    sources: tuple[str]
    weight: NDArray[np.int8]  # (out, in / groups, kernel, kernel), -127 to 127
    weight_scale: Float32  # (out,)
    bias: NDArray[np.int32]  # (out,), on the grid of bias_scale
    bias_scale: Float32  # (out,): input scale times weight scale, multiplied once, in float32
    geometry: Geometry
    activation: Activation
    border: int = 0  # the code that the input is padded with


IntegerLayer = IntegerConv | Add | Mul | AveragePool | Curve | MaxPool | Concat


@dataclass(frozen=True)
class Integers:
    layers: tuple[IntegerLayer, ...]
    scales: dict[str, np.float32]  # of every tensor, the pixels too
    weight: Float32  # (classes, features): the float classifier
    bias: Float32  # (classes,)


def borders(layers: Sequence[IntegerLayer]) -> dict[str, int]:
    """By tensor that is padded with another code than 0, that code: float arithmetic counts such a tensor from it."""
    return {x.sources[0]: x.border for x in layers if isinstance(x, IntegerConv) and x.border}


def counted_from(layer: IntegerConv, code: int) -> IntegerConv:
    """The same sums, of codes counted from `code`, with which the layer pads if it pads."""
    return replace(layer, bias=layer.bias + code * layer.weight.sum((1, 2, 3), dtype=np.int32), border=0)


def canonical(integers: Integers) -> Integers:
    """The same integers, with ReLU for each ReLU6 that clips no code: a u8 file does not tell these two apart."""
    return replace(integers, layers=tuple(_plain(layer, integers) for layer in integers.layers))


def _plain(layer: IntegerLayer, integers: Integers) -> IntegerLayer:
    clips_nothing = layer.activation == "relu6" and (
        code_range("relu6", float(integers.scales[layer.name]))[1] == CODE_MAX
    )
    return replace(layer, activation="relu") if clips_nothing else layer


@torch.no_grad()
def extract(model: FakeQuant) -> Integers:
    """Rounds everything once. Raises GateError that names a layer whose bias does not fit.

    An unsigned tensor's steps, 0 to 255, become int8 codes by a shift: what writes it takes the shift off its bias, and
    needs no clip, for the codes' ends are those of the activation; what reads it puts the shift back and pads with the
    code of 0.
    """
    layers = tuple(_conv(model, x) if isinstance(x, Conv) else x for x in model.plan.layers)
    scales = {name: np.float32(model.scale_of(name).item()) for name in model.grid}
    classifier = model.classifier
    return canonical(Integers(layers, scales, classifier.weight.numpy().copy(), classifier.bias.numpy().copy()))


def _conv(model: FakeQuant, layer: Conv) -> IntegerConv:
    step = model.bias_scale(layer)
    weight_scale = model.weight_scales[layer.name]
    weight = torch.clamp(torch.round(model.weights[layer.name] / weight_scale), -CODE_MAX, CODE_MAX)
    bias = torch.round((model.biases[layer.name] - model.shift_of(layer.name)) / step)
    shifted = layer.sources[0] in model.unsigned
    if shifted:
        bias = bias + SHIFT * weight.sum((1, 2, 3))
    if bias.abs().max() >= _BIAS_LIMIT:
        raise GateError(
            f"the bias of {layer.name} is {bias.abs().max():.0f} steps", f"under {_BIAS_LIMIT}", "train longer"
        )
    return IntegerConv(
        layer.name,
        layer.sources,
        weight.contiguous().numpy().astype(np.int8),
        weight_scale.view(-1).numpy().copy(),
        bias.numpy().astype(np.int32),
        step.numpy().copy(),
        layer.geometry,
        "none" if layer.name in model.unsigned else layer.activation,
        -SHIFT if shifted and any(layer.geometry.pads) else 0,
    )
