"""The integer reference: what the u8 file must compute, bit for bit, in onnxruntime's fused kernels.

QLinearConv requantizes `round(float32(acc) * float32(sx * sw / sy))`, half to even. QLinearAdd computes, on the uint8
codes a and b, `fma(a, ra, fma(b, rb, c))` in float32 with `r = s_in / s_out` and `c = 128 - (128 * ra + 128 * rb)`.
Both were found by comparison with onnxruntime 1.10 and 1.31 on x86-64; the exactness gate holds them on every run.
"""

from collections.abc import Iterator

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from quantize.fake import code_range
from quantize.integers import Float32, IntegerAdd, IntegerConv, Integers
from quantize.plan import INPUT

_ZERO_POINT = 128
_EXACT_FLOAT32 = 1 << 24


@torch.no_grad()
def layer_codes(integers: Integers, pixels: NDArray[np.uint8]) -> Iterator[tuple[str, Tensor]]:
    """Name and int8 codes, as float32 (N, C, H, W), of every layer in turn; pixels (N, H, W, C) uint8."""
    codes = {INPUT: torch.from_numpy(pixels).permute(0, 3, 1, 2).float() - _ZERO_POINT}
    for layer in integers.layers:
        if isinstance(layer, IntegerConv):
            value = _conv(layer, codes[layer.source])
        else:
            value = _add(layer, *((codes[name], integers.scale_of(name)) for name in layer.sources))
        low, high = code_range(layer.activation, float(layer.scale))
        codes[layer.name] = torch.clamp(torch.round(value), low, high)
        yield layer.name, codes[layer.name]


def reference_features(integers: Integers, pixels: NDArray[np.uint8], batch: int = 500) -> Float32:
    """Features (N, D) float32 that the u8 file gives for pixels (N, H, W, C) uint8."""
    parts = []
    for start in range(0, len(pixels), batch):
        *_, (_, last) = layer_codes(integers, pixels[start : start + batch])
        total = last.sum((2, 3)) * float(integers.layers[-1].scale)
        parts.append((total / (last.shape[2] * last.shape[3])).numpy())
    return np.concatenate(parts)


@torch.no_grad()
def float_features(integers: Integers, pixels: NDArray[np.uint8]) -> Float32:
    """Features of the float file: the same weights and biases, no activation rounded, each within its codes' range."""
    values = {INPUT: (torch.from_numpy(pixels).permute(0, 3, 1, 2).float() - _ZERO_POINT) / _ZERO_POINT}
    for layer in integers.layers:
        if isinstance(layer, IntegerConv):
            weight = torch.from_numpy(layer.weight).float() * torch.from_numpy(layer.weight_scale).view(-1, 1, 1, 1)
            bias = torch.from_numpy(layer.bias).float() * torch.from_numpy(layer.bias_scale)
            value = F.conv2d(values[layer.source], weight, bias, layer.stride, layer.padding, 1, layer.groups)
        else:
            value = values[layer.sources[0]] + values[layer.sources[1]]
        low, high = code_range(layer.activation, float(layer.scale))
        values[layer.name] = value.clamp(low * float(layer.scale), high * float(layer.scale))
    features: Float32 = values[integers.layers[-1].name].mean((2, 3)).numpy()
    return features


def _conv(layer: IntegerConv, codes: Tensor) -> Tensor:
    """Requantized values before rounding, float32."""
    weight = torch.from_numpy(layer.weight)
    largest = 128 * int(np.abs(layer.weight.astype(np.int64)).sum((1, 2, 3)).max())
    kind = torch.float32 if largest + np.abs(layer.bias.astype(np.int64)).max() < _EXACT_FLOAT32 else torch.float64
    total = F.conv2d(codes.to(kind), weight.to(kind), None, layer.stride, layer.padding, 1, layer.groups)
    total = total + torch.from_numpy(layer.bias).to(kind).view(1, -1, 1, 1)
    factor = torch.from_numpy(layer.bias_scale / layer.scale).view(1, -1, 1, 1)
    return total.float() * factor


def _add(layer: IntegerAdd, first: tuple[Tensor, np.float32], second: tuple[Tensor, np.float32]) -> Tensor:
    """Values before rounding, float32. Products of code and float32 are exact in float64, which emulates the FMA."""
    (a, scale_a), (b, scale_b) = first, second
    zero = np.float32(_ZERO_POINT)
    ratio_a, ratio_b = scale_a / layer.scale, scale_b / layer.scale
    constant = zero - (ratio_a * zero + ratio_b * zero)
    inner = ((b.double() + _ZERO_POINT) * float(ratio_b) + float(constant)).float()
    outer = ((a.double() + _ZERO_POINT) * float(ratio_a) + inner.double()).float()
    return torch.round(outer) - _ZERO_POINT
