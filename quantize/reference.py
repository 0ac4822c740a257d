"""The integer reference: what the u8 file must compute, bit for bit, in onnxruntime's fused kernels.

QLinearConv requantizes `round(float32(acc) * float32(sx * sw / sy))`, half to even. QLinearAdd computes, on the uint8
codes a and b, `fma(a, ra, fma(b, rb, c))` in float32 with `r = s_in / s_out` and `c = 128 - (128 * ra + 128 * rb)`.
QLinearMul rounds `float32(a * b) * float32(sa * sb / sy) + 128`, QLinearGlobalAveragePool `float32(sum) * float32(sx /
(sy * count))`. A curve is float32 arithmetic, an operation at a time, between DequantizeLinear and QuantizeLinear. All
were found by comparison with onnxruntime 1.10 and 1.31 on x86-64; the exactness gate holds them on every run.
"""

from collections.abc import Iterator

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from quantize.grid import code_range
from quantize.integers import Float32, IntegerConv, IntegerLayer, Integers
from quantize.plan import INPUT, Add, AveragePool, Mover, Mul, combine, convolve, last_uses

_ZERO_POINT = 128
_EXACT_FLOAT32 = 1 << 24
_BATCH_PIXELS = 1 << 19  # of pictures at once: 512 of 32 x 32, 10 of 224 x 224


def batches(pixels: NDArray[np.uint8]) -> list[NDArray[np.uint8]]:
    """pixels (N, H, W, C) in parts that fit in memory with a network's tensors."""
    size = max(1, _BATCH_PIXELS // (pixels.shape[1] * pixels.shape[2]))
    return [pixels[start : start + size] for start in range(0, len(pixels), size)]


@torch.no_grad()
def layer_codes(
    integers: Integers, pixels: NDArray[np.uint8], unrounded: frozenset[str] = frozenset()
) -> Iterator[tuple[str, Tensor]]:
    """Name and int8 codes, as float32 (N, C, H, W), of every layer in turn; pixels (N, H, W, C) uint8.

    The tensors that s8_identity does not round, `unrounded`, are on their scale but between its codes.
    """
    codes = {INPUT: torch.from_numpy(pixels).permute(0, 3, 1, 2).float() - _ZERO_POINT}
    done = last_uses(integers.layers)
    for layer in integers.layers:
        inputs = tuple(codes[name] for name in layer.sources)
        codes[layer.name] = (_before_rounding if layer.name in unrounded else output_codes)(integers, layer, inputs)
        yield layer.name, codes[layer.name]
        for name in done.get(layer.name, ()):
            del codes[name]


def output_codes(integers: Integers, layer: IntegerLayer, inputs: tuple[Tensor, ...]) -> Tensor:
    """The layer's codes from those of its sources, all float32 (N, C, H, W)."""
    value = _before_rounding(integers, layer, inputs)
    if isinstance(layer, Mover):
        return value
    low, high = code_range(layer.activation, float(integers.scales[layer.name]))
    return torch.clamp(torch.round(value), low, high)


def reference_features(
    integers: Integers, pixels: NDArray[np.uint8], unrounded: frozenset[str] = frozenset()
) -> Float32:
    """Features (N, D) float32 that the u8 file gives for pixels (N, H, W, C) uint8: those bits, if all is rounded."""
    parts = []
    for batch in batches(pixels):
        *_, (name, last) = layer_codes(integers, batch, unrounded)
        total = last.sum((2, 3)) * float(integers.scales[name])
        parts.append((total / (last.shape[2] * last.shape[3])).numpy())
    return np.concatenate(parts)


@torch.no_grad()
def float_features(integers: Integers, pixels: NDArray[np.uint8]) -> Float32:
    """Features of the float file: the same weights and biases, no activation rounded, each within its codes' range."""
    parts = []
    done = last_uses(integers.layers)
    for batch in batches(pixels):
        values = {INPUT: (torch.from_numpy(batch).permute(0, 3, 1, 2).float() - _ZERO_POINT) / _ZERO_POINT}
        for layer in integers.layers:
            value = float_sums(integers, layer, tuple(values[name] for name in layer.sources))
            if not isinstance(layer, Mover):
                scale = float(integers.scales[layer.name])
                low, high = code_range(layer.activation, scale)
                value = value.clamp(low * scale, high * scale)
            values[layer.name] = value
            for name in done.get(layer.name, ()):
                del values[name]
        parts.append(values[integers.layers[-1].name].mean((2, 3)).numpy())
    return np.concatenate(parts)


def float_sums(integers: Integers, layer: IntegerLayer, inputs: tuple[Tensor, ...]) -> Tensor:
    """What the layer computes in float32, before it is rounded or clipped: codes times scales."""
    if not isinstance(layer, IntegerConv):
        return combine(layer, inputs)
    weight = torch.from_numpy(layer.weight).float() * torch.from_numpy(layer.weight_scale).view(-1, 1, 1, 1)
    bias = torch.from_numpy(layer.bias).float() * torch.from_numpy(layer.bias_scale)
    return convolve(layer.geometry, inputs[0], weight, bias, layer.border * float(integers.scales[layer.sources[0]]))


def _before_rounding(integers: Integers, layer: IntegerLayer, inputs: tuple[Tensor, ...]) -> Tensor:
    """What the layer's output would be in steps of its scale, float32."""
    if isinstance(layer, Mover):
        return combine(layer, inputs)
    scale = integers.scales[layer.name]
    scales = [integers.scales[name] for name in layer.sources]
    if isinstance(layer, IntegerConv):
        return _conv(layer, inputs[0], scale)
    if isinstance(layer, Add):
        return _add(inputs, scales, scale)
    if isinstance(layer, Mul):
        # onnxruntime adds the zero point before it rounds, and a sum has fewer bits behind the point
        return (inputs[0] * inputs[1] * float(scales[0] * scales[1] / scale) + _ZERO_POINT) - _ZERO_POINT
    if isinstance(layer, AveragePool):
        pixels = np.float32(inputs[0].shape[2] * inputs[0].shape[3])
        return inputs[0].sum((2, 3), keepdim=True) * float(scales[0] / (scale * pixels))
    return combine(layer, (inputs[0] * float(scales[0]),)) / float(scale)


def _conv(layer: IntegerConv, codes: Tensor, scale: np.float32) -> Tensor:
    """Requantized values before rounding, float32."""
    weight = torch.from_numpy(layer.weight)
    largest = 128 * int(np.abs(layer.weight.astype(np.int64)).sum((1, 2, 3)).max())
    kind = torch.float32 if largest + np.abs(layer.bias.astype(np.int64)).max() < _EXACT_FLOAT32 else torch.float64
    total = convolve(layer.geometry, codes.to(kind), weight.to(kind), None, layer.border)
    total = total + torch.from_numpy(layer.bias).to(kind).view(1, -1, 1, 1)
    factor = torch.from_numpy(layer.bias_scale / scale).view(1, -1, 1, 1)
    return total.float() * factor


def _add(codes: tuple[Tensor, ...], scales: list[np.float32], scale: np.float32) -> Tensor:
    """Rounded values, float32. Products of code and float32 are exact in float64, which emulates the FMA."""
    a, b = codes
    zero = np.float32(_ZERO_POINT)
    ratio_a, ratio_b = scales[0] / scale, scales[1] / scale
    constant = zero - (ratio_a * zero + ratio_b * zero)
    inner = ((b.double() + _ZERO_POINT) * float(ratio_b) + float(constant)).float()
    outer = ((a.double() + _ZERO_POINT) * float(ratio_a) + inner.double()).float()
    return torch.round(outer) - _ZERO_POINT
