"""Learned step size quantization (LSQ, arXiv 1902.08153): rounding with a scale that is trained with the weights."""

from typing import Any

import torch
from torch import Tensor

from quantize.grid import CODE_MAX


class Quantize(torch.autograd.Function):
    """`clamp(round(v / s), low, high) * s`, with LSQ's gradient for s.

    One function, so that forward uses s itself: the usual `s*g + (s - s*g).detach()` is an ulp off in some scales, and
    then the scale that was trained is not the scale that is exported.
    """

    @staticmethod
    def forward(ctx: Any, value: Tensor, scale: Tensor, low: int, high: float, gain: float) -> Tensor:
        out = (value / scale).round_().clamp_(low, high).mul_(scale)
        ctx.save_for_backward(value, out, scale)
        ctx.bounds = (low, high, gain)
        return out

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, Tensor | None, None, None, None]:
        """The scale's is the sum of g (round(v/s) - v/s) inside and g (low or high) outside: two dot products."""
        value, out, scale = ctx.saved_tensors
        low, high, gain = ctx.bounds
        gradient = gradients[0]
        if scale.ndim:
            inside = gradient * ((value >= low * scale) & (value <= high * scale))
            total = (gradient * out).addcmul_(inside, value, value=-1).sum((1, 2, 3), keepdim=True)
        else:
            bound = scale.item()
            inside = torch.ops.aten.hardtanh_backward(gradient, value, low * bound, high * bound)
            total = _dot(gradient, out) - _dot(inside, value) if ctx.needs_input_grad[1] else None
        return inside, None if total is None else total / scale * gain, None, None, None


def _dot(first: Tensor, second: Tensor) -> Tensor:
    """The sum of products, without a copy of tensors that are channels_last."""
    if first.ndim == 4:
        first, second = first.permute(0, 2, 3, 1), second.permute(0, 2, 3, 1)
    return torch.dot(first.reshape(-1), second.reshape(-1))


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
