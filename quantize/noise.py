"""What the rounding of each channel costs the answers: for all channels at once, by one pass of gradients.

Where rounding moves a channel by e, and g is the gradient there of the log-likelihood of an answer drawn from the FP32
network's own, the answers' divergence rises by half the mean square of the sum of g e over the channel's pixels: the
Fisher information is the divergence's second derivative (arXiv 1412.1193). The sum of the channels is near
to what is measured, but for the worst ones, which it makes too small: docs/int8.md.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from quantize.fake import FakeQuant
from quantize.plan import INPUT, Conv, Layer, Mover, Plan, activate, float_layer

Float64 = NDArray[np.float64]
_BATCH = 8  # pictures at once: all tensors and their gradients are kept


@dataclass(frozen=True)
class Noise:
    """Of one layer's output, by channel, (C,) each."""

    weights: Float64  # divergence in nats that the rounding of the layer's weights and bias costs
    output: Float64  # and that of its output
    peaks: Float64  # the size of the largest value, the mean over pictures
    area: int  # pixels


def channel_noise(model: FakeQuant, pixels: Tensor, generator: torch.Generator) -> dict[str, Noise]:
    """By layer that rounds, what its rounding alone costs, its inputs being FP32's.

    pixels: (N, C, H, W) float, (byte - 128) / 128. `model` is calibrated; its weights may be rounded by what comes out.
    """
    sums: dict[str, Tensor] = {}
    areas: dict[str, int] = {}
    for batch in torch.split(pixels, _BATCH):
        values, slopes = _with_slopes(model.plan, batch, generator)
        for layer, slope in zip(model.plan.layers, slopes, strict=True):
            if not isinstance(layer, Mover):
                sums[layer.name] = sums.get(layer.name, torch.tensor(0)) + _of_layer(model, layer, values, slope)
                areas[layer.name] = slope[0, 0].numel()
    found = {}
    for name, total in sums.items():
        weights, output, peaks = (total / len(pixels)).numpy()
        found[name] = Noise(weights, output, peaks, areas[name])
    return found


def _with_slopes(plan: Plan, pixels: Tensor, generator: torch.Generator) -> tuple[dict[str, Tensor], Sequence[Tensor]]:
    """The FP32 network's tensors, and of each layer's the gradient of the log-likelihood of answers drawn from it."""
    values = {INPUT: pixels.detach().requires_grad_()}
    for layer in plan.layers:
        values[layer.name] = float_layer(layer, tuple(values[name] for name in layer.sources))
    likelihood = F.linear(values[plan.layers[-1].name].mean((2, 3)), plan.weight, plan.bias).log_softmax(1)
    drawn = torch.multinomial(likelihood.detach().exp(), 1, generator=generator)
    slopes = torch.autograd.grad(likelihood.gather(1, drawn).sum(), [values[layer.name] for layer in plan.layers])
    return values, slopes


@torch.no_grad()
def _of_layer(model: FakeQuant, layer: Layer, values: dict[str, Tensor], slope: Tensor) -> Tensor:
    """(3, C) float64: sums over a batch of what Noise has the means of."""
    exact = unrounded = values[layer.name]
    if isinstance(layer, Conv):
        unrounded = activate(model.convolve(layer, values[layer.sources[0]]), layer.activation)
    rounded = model.round_output(layer, unrounded)
    errors = unrounded - exact, rounded - unrounded
    costs = [(slope * error).sum((2, 3)).double().square().sum(0) / 2 for error in errors]
    return torch.stack([*costs, exact.abs().amax((2, 3)).double().sum(0)])
