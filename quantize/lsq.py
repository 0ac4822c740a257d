"""Learned step size quantization (LSQ, arXiv 1902.08153): rounding with a scale that is trained with the weights."""

from typing import Any

import torch
from torch import Tensor

CODE_MAX = 127
INPUT_SCALE = 1 / 128  # (byte - 128) / 128: a pixel's code is the pixel minus 128, exactly


class Quantize(torch.autograd.Function):
    """`clamp(round(v / s), low, high) * s`, with LSQ's gradient for s.

    One function, so that forward uses s itself: the usual `s*g + (s - s*g).detach()` is an ulp off in some scales, and
    then the scale that was trained is not the scale that is exported.
    """

    @staticmethod
    def forward(ctx: Any, value: Tensor, scale: Tensor, low: int, high: float, gain: float) -> Tensor:
        ratio = value / scale
        codes = ratio.round().clamp_(low, high)
        ctx.save_for_backward(ratio, codes)
        ctx.bounds = (low, high, gain, scale.shape)
        return codes * scale

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, Tensor, None, None, None]:
        ratio, codes = ctx.saved_tensors
        low, high, gain, shape = ctx.bounds
        inside = gradients[0] * (ratio.clamp(low, high) == ratio)
        by_scale = (gradients[0] * codes).addcmul_(inside, ratio, value=-1)
        total = by_scale.sum((1, 2, 3), keepdim=True) if len(shape) else by_scale.sum()
        return inside, total * gain, None, None, None


def quantize(value: Tensor, scale: Tensor, low: int, high: float) -> Tensor:
    """Fake quantization of `value` (any shape for a scalar scale, (O, I, k, k) for one of (O, 1, 1, 1))."""
    elements = value[0].numel()
    return Quantize.apply(value, scale, low, high, (elements * CODE_MAX) ** -0.5)  # type: ignore[no-any-return, no-untyped-call]


def mse_scale(values: Tensor, low: int, high: int, steps: int = 80) -> Tensor:
    """The scale of each row of `values` (rows, n) that minimises the squared rounding error: (rows, 1) float32.

    Starting LSQ there, as LSQ+ (arXiv 2004.09576) does, makes runs differ less than LSQ's own start.
    """
    largest = values.abs().amax(1, keepdim=True).clamp_min(1e-8) / high
    best, error = largest.clone(), torch.full_like(largest, torch.inf)
    for factor in torch.linspace(0.2, 1.0, steps):
        scale = largest * factor
        candidate = ((torch.clamp(torch.round(values / scale), low, high) * scale - values) ** 2).sum(1, keepdim=True)
        best = torch.where(candidate < error, scale, best)
        error = torch.minimum(candidate, error)
    return best
