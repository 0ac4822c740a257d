"""The integers of a trained FakeQuant: one set, for the reference and for all three files."""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from edge.contract.errors import GateError
from quantize.fake import FakeQuant
from quantize.lsq import CODE_MAX, INPUT_SCALE
from quantize.plan import INPUT, Activation, Conv

Float32 = NDArray[np.float32]
_BIAS_LIMIT = 1 << 24  # exact in float32 too, and far from int32's end


@dataclass(frozen=True)
class IntegerConv:
    name: str
    source: str
    weight: NDArray[np.int8]  # (out, in / groups, kernel, kernel), -127 to 127
    weight_scale: Float32  # (out,)
    bias: NDArray[np.int32]  # (out,), on the grid of bias_scale
    bias_scale: Float32  # (out,): input scale times weight scale, multiplied once, in float32
    stride: int
    padding: int
    groups: int
    activation: Activation
    scale: np.float32  # of the output


@dataclass(frozen=True)
class IntegerAdd:
    name: str
    sources: tuple[str, str]
    activation: Activation
    scale: np.float32


IntegerLayer = IntegerConv | IntegerAdd


@dataclass(frozen=True)
class Integers:
    layers: tuple[IntegerLayer, ...]
    weight: Float32  # (classes, features): the float classifier
    bias: Float32  # (classes,)

    def scale_of(self, tensor: str) -> np.float32:
        if tensor == INPUT:
            return np.float32(INPUT_SCALE)
        return next(layer.scale for layer in self.layers if layer.name == tensor)


@torch.no_grad()
def extract(model: FakeQuant) -> Integers:
    """Rounds everything once. Raises GateError that names a layer whose bias does not fit."""
    layers: list[IntegerLayer] = []
    for layer in model.plan.layers:
        scale = np.float32(model.scales[layer.name].item())
        if isinstance(layer, Conv):
            step = model.bias_scale(layer)
            bias = torch.round(model.biases[layer.name] / step)
            if bias.abs().max() >= _BIAS_LIMIT:
                raise GateError(
                    f"the bias of {layer.name} is {bias.abs().max():.0f} steps", f"under {_BIAS_LIMIT}", "train longer"
                )
            weight_scale = model.weight_scales[layer.name]
            weight = torch.clamp(torch.round(model.weights[layer.name] / weight_scale), -CODE_MAX, CODE_MAX)
            layers.append(
                IntegerConv(
                    layer.name,
                    layer.source,
                    weight.numpy().astype(np.int8),
                    weight_scale.view(-1).numpy().copy(),
                    bias.numpy().astype(np.int32),
                    step.numpy().copy(),
                    layer.stride,
                    layer.padding,
                    layer.groups,
                    layer.activation,
                    scale,
                )
            )
        else:
            layers.append(IntegerAdd(layer.name, layer.sources, layer.activation, scale))
    classifier = model.classifier
    return Integers(tuple(layers), classifier.weight.numpy().copy(), classifier.bias.numpy().copy())
