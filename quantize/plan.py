"""A network as quantization sees it: its layers in order of execution, each with its activation, then the classifier.

Convolutions, additions and multiplications (of squeeze-and-excitation) have integer kernels. A max pool and a concat
only move codes, so their tensors share one scale. Hard swish and hard sigmoid are computed in float between two grids,
from one code to one code.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

import torch
from torch import Tensor
from torch.nn import functional as F

Activation = Literal["none", "relu", "relu6"]
INPUT = "pixels"


@dataclass(frozen=True)
class Geometry:
    """How a convolution goes over its input."""

    stride: tuple[int, int]
    pads: tuple[int, int, int, int]  # top, left, bottom, right
    dilation: tuple[int, int]
    groups: int


@dataclass(frozen=True)
class Conv:
    name: str
    sources: tuple[str]
    weight: Tensor  # (out, in / groups, kernel, kernel) float32, batch norm folded in
    bias: Tensor  # (out,) float32
    geometry: Geometry
    activation: Activation = "none"
    copy: Tensor | None = None  # (out,) int64, if channels are split: 0, and 1, 2, ... for the copies behind it


@dataclass(frozen=True)
class Add:
    name: str
    sources: tuple[str, str]
    activation: Activation = "none"


@dataclass(frozen=True)
class Mul:
    """(N, C, H, W) times the same, or (N, C, 1, 1)."""

    name: str
    sources: tuple[str, str]
    activation: Activation = "none"


@dataclass(frozen=True)
class AveragePool:
    """The mean over all pixels: (N, C, 1, 1)."""

    name: str
    sources: tuple[str]
    activation: Activation = "none"


@dataclass(frozen=True)
class Curve:
    """An activation that is no clip: x * min(max(x + 3, 0), 6) / 6, or without the factor x (arXiv 1905.02244)."""

    name: str
    sources: tuple[str]
    kind: Literal["hardswish", "hardsigmoid"]
    activation: Activation = "none"


@dataclass(frozen=True)
class MaxPool:
    name: str
    sources: tuple[str]
    kernel: tuple[int, int]
    stride: tuple[int, int]
    pads: tuple[int, int, int, int]
    activation: Activation = "none"


@dataclass(frozen=True)
class Concat:
    name: str
    sources: tuple[str, ...]
    activation: Activation = "none"


Layer = Conv | Add | Mul | AveragePool | Curve | MaxPool | Concat
Mover = (MaxPool, Concat)  # they move codes without changing them
FUSED_OPERATOR = {  # what onnxruntime runs a layer as, with its integer kernel
    "Conv": "QLinearConv",
    "Add": "QLinearAdd",
    "Mul": "QLinearMul",
    "AveragePool": "QLinearGlobalAveragePool",
}


@dataclass(frozen=True)
class Plan:
    """The layers in the order of execution; the mean over the last one's pixels is the features."""

    layers: tuple[Layer, ...]
    weight: Tensor  # (classes, features) float32: the classifier, which stays float
    bias: Tensor  # (classes,) float32


class Reader(Protocol):
    """A layer of a plan or of its integers."""

    @property
    def name(self) -> str: ...

    @property
    def sources(self) -> tuple[str, ...]: ...


def shared_grids(layers: Sequence[Reader]) -> dict[str, str]:
    """By tensor, the one whose scale it has: its own name, but where a max pool or a concat ties tensors together."""
    grid = {INPUT: INPUT} | {layer.name: layer.name for layer in layers}
    for layer in layers:
        if isinstance(layer, Mover):
            tied = {grid[layer.name], *(grid[source] for source in layer.sources)}
            first = next(name for name in grid if name in tied)
            grid = {name: first if of in tied else of for name, of in grid.items()}
    return grid


def unsigned_tensors(layers: Sequence[Layer]) -> frozenset[str]:
    """The tensors of 0 to 255 steps: behind a ReLU, which leaves int8 with zero point 0 half of its codes.

    Only convolutions can write or read such a tensor, for they take the shift to -128 to 127 into their bias. Where a
    reader pads, what it pads with is no zero of the shifted codes, and in the int8 files padding becomes an operation
    of its own: worth it before a depthwise convolution, where a clip of the codes costs as much (ADR 12).
    """
    found = set()
    for layer in layers:
        readers = [reader for reader in layers if layer.name in reader.sources]
        if isinstance(layer, Conv) and layer.activation != "none" and readers and all(map(_reads_unsigned, readers)):
            found.add(layer.name)
    return frozenset(found)


def _reads_unsigned(layer: Layer) -> bool:
    if not isinstance(layer, Conv):
        return False
    depthwise = layer.geometry.groups > 1 and layer.weight.shape[1] == 1
    return depthwise or not any(layer.geometry.pads)


def last_uses(layers: Sequence[Reader]) -> dict[str, set[str]]:
    """By layer, the tensors that no later layer reads, so that a walk can let them go."""
    last = {source: layer.name for layer in layers for source in layer.sources}
    uses: dict[str, set[str]] = {}
    for tensor, name in last.items():
        uses.setdefault(name, set()).add(tensor)
    return uses


@torch.inference_mode()
def float_logits(plan: Plan, pixels: Tensor) -> Tensor:
    """(N, classes) of the float network, batch norms folded: pixels (N, C, H, W) float, (byte - 128) / 128."""
    done = last_uses(plan.layers)
    values = {INPUT: pixels}
    for layer in plan.layers:
        values[layer.name] = float_layer(layer, tuple(values[name] for name in layer.sources))
        for name in done.get(layer.name, ()):
            del values[name]
    return F.linear(values[plan.layers[-1].name].mean((2, 3)), plan.weight, plan.bias)


def float_layer(layer: Layer, inputs: tuple[Tensor, ...]) -> Tensor:
    """The layer in float32, activation included."""
    return activate(before_activation(layer, inputs), layer.activation)


def before_activation(layer: Layer, inputs: tuple[Tensor, ...]) -> Tensor:
    if isinstance(layer, Conv):
        return convolve(layer.geometry, inputs[0], layer.weight, layer.bias)
    return combine(layer, inputs)


def convolve(geometry: Geometry, value: Tensor, weight: Tensor, bias: Tensor | None, border: float = 0) -> Tensor:
    """The convolution of value (N, C, H, W), padded with `border`."""
    top, left, bottom, right = geometry.pads
    if (top, left) != (bottom, right) or border:
        value, top, left = F.pad(value, (left, right, top, bottom), value=border), 0, 0
    return F.conv2d(value, weight, bias, geometry.stride, (top, left), geometry.dilation, geometry.groups)


def combine(layer: Layer, inputs: tuple[Tensor, ...]) -> Tensor:
    """What a layer without weights computes before its activation."""
    if isinstance(layer, Add):
        return inputs[0] + inputs[1]
    if isinstance(layer, Mul):
        return inputs[0] * inputs[1]
    if isinstance(layer, AveragePool):
        return inputs[0].mean((2, 3), keepdim=True)
    if isinstance(layer, Curve):
        gate = (inputs[0] + 3).clamp(0, 6)
        return (inputs[0] * gate if layer.kind == "hardswish" else gate) * (1 / 6)
    if isinstance(layer, MaxPool):
        top, left, bottom, right = layer.pads
        padded = F.pad(inputs[0], (left, right, top, bottom), value=-torch.inf) if any(layer.pads) else inputs[0]
        return F.max_pool2d(padded, layer.kernel, layer.stride)
    return torch.cat(inputs, 1)


def activate(value: Tensor, activation: Activation) -> Tensor:
    if activation == "none":
        return value
    return F.relu(value) if activation == "relu" else F.relu6(value)
