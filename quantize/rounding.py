"""Rounding that looks at what comes out: each weight goes up or down, and each bias moves, to keep a layer's output.

Nearest rounding is best for one weight, not for their sum. As in AdaRound (arXiv 2004.10568) a layer's float output is
the target, its inputs are those of the network quantized so far, and a weight goes to one of the two points of the
grid next to it. Coordinate descent chooses (as in COMQ, arXiv 2403.07134): the squared error is a quadratic form of
the weights, given by sums over the inputs, so there is no learning rate and no regularizer. The bias that is best for
the rounded weights takes off the mean error: bias correction (arXiv 1906.04721).
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from quantize.fake import FakeQuant
from quantize.grid import CODE_MAX
from quantize.plan import INPUT, Conv, Layer, activate, combine, convolve

_COLUMNS = 128  # whose changes reach the other columns' slopes together, as one product
_SWEEPS = 3  # over the weights of a layer; more change nothing that can be measured
_ROWS = 8192  # output pixels of a layer that its sums are taken over
_PIXELS = 1 << 22  # of pictures at most, all in memory with a network's widest tensors: 83 of 224 x 224
_BATCH = 16  # pictures at once through a layer
_DAMPING = 0.1  # of the mean square of an input: holds weights whose inputs hardly move


@dataclass(frozen=True)
class _Sums:
    """Over rows of one convolution: its inputs x with a 1 behind them, and its outputs y before the activation."""

    xx: Tensor  # (groups, K + 1, K + 1) float64, K = inputs / groups * kernel * kernel
    yx: Tensor  # (groups, out / groups, K + 1) float64


@torch.no_grad()
def round_weights(
    model: FakeQuant, pixels: Tensor, generator: torch.Generator, progress: Callable[[int, int], None] | None = None
) -> None:
    """Puts the weights of every convolution of a calibrated model on their grids and fits its biases to them.

    pixels: (N, C, H, W) float, (byte - 128) / 128; if they are many, some of them. The scales stay.
    """
    most = max(1, _PIXELS // (pixels.shape[2] * pixels.shape[3]))
    chosen = torch.randperm(len(pixels), generator=generator)[:most]
    values = [{INPUT: (pixels[part],) * 2} for part in torch.split(chosen, _BATCH)]  # of a tensor: float, quantized
    for done, layer in enumerate(model.plan.layers, 1):
        outputs = [_before_activation(layer, tuple(value[name][0] for name in layer.sources)) for value in values]
        if isinstance(layer, Conv):
            seen = [value[layer.sources[0]][1] for value in values]
            _round_layer(model, layer, _sum_up(layer, seen, outputs, generator))
        for value, output in zip(values, outputs, strict=True):
            inputs = tuple(value[name][1] for name in layer.sources)
            value[layer.name] = activate(output, layer.activation), model.layer(layer, inputs)
            for name in model.last_uses.get(layer.name, ()):
                del value[name]
        if progress:
            progress(done, len(model.plan.layers))


def _before_activation(layer: Layer, inputs: tuple[Tensor, ...]) -> Tensor:
    if isinstance(layer, Conv):
        return convolve(layer.geometry, inputs[0], layer.weight, layer.bias)
    return combine(layer, inputs)


def _sum_up(layer: Conv, inputs: list[Tensor], outputs: list[Tensor], generator: torch.Generator) -> _Sums:
    """Over random output pixels, the same in all pictures of a batch."""
    groups, pictures = layer.geometry.groups, sum(map(len, inputs))
    outs, size = layer.weight.shape[0] // groups, layer.weight[0].numel() + 1
    sums = _Sums(torch.zeros(groups, size, size).double(), torch.zeros(groups, outs, size).double())
    for value, output in zip(inputs, outputs, strict=True):
        height, width = output.shape[2:]
        chosen = torch.randperm(height * width, generator=generator)[: -(-_ROWS // pictures)]
        row, column = chosen // width, chosen % width
        x = F.pad(_patches(layer, value, row, column), (0, 1), value=1)
        y = output[:, :, row, column].transpose(0, 1).reshape(groups, outs, -1)
        sums.xx.add_(x.transpose(1, 2) @ x)
        sums.yx.add_(y @ x)
    return sums


def _patches(layer: Conv, value: Tensor, row: Tensor, column: Tensor) -> Tensor:
    """What output pixels see, laid out as the weights are: (groups, N * pixels, K)."""
    geometry, (height, width) = layer.geometry, layer.weight.shape[2:]
    top, left, bottom, right = geometry.pads
    padded = F.pad(value, (left, right, top, bottom))
    down = (torch.arange(height) * geometry.dilation[0]).repeat_interleave(width)
    over = (torch.arange(width) * geometry.dilation[1]).repeat(height)
    seen = padded[:, :, row[:, None] * geometry.stride[0] + down, column[:, None] * geometry.stride[1] + over]
    by_group = seen.reshape(len(value), geometry.groups, -1, *seen.shape[2:]).permute(1, 0, 3, 2, 4)
    return by_group.reshape(geometry.groups, len(value) * len(row), -1)


def _round_layer(model: FakeQuant, layer: Conv, sums: _Sums) -> None:
    """Sums -> covariances, whose best weights do not depend on the bias; then the bias that is best for these."""
    groups = layer.geometry.groups
    scale = model.weight_scales[layer.name].double().view(groups, -1, 1)
    weight = model.weights[layer.name].double().view(groups, scale.shape[1], -1)
    rows = sums.xx[:, -1:, -1:]
    mean_x, mean_y = sums.xx[:, -1:, :-1] / rows, sums.yx[:, :, -1:] / rows
    xx = sums.xx[:, :-1, :-1] / rows - mean_x.transpose(1, 2) * mean_x
    yx = sums.yx[:, :, :-1] / rows - mean_y * mean_x
    damping = _DAMPING * xx.diagonal(dim1=1, dim2=2).mean(1).clamp_min(1e-12).view(-1, 1, 1)
    xx, yx = xx + damping * torch.eye(xx.shape[1], dtype=xx.dtype), yx + damping * weight
    rounded = descend(xx, yx / scale, weight / scale, _SWEEPS) * scale
    bias = mean_y - (rounded * mean_x).sum(2, keepdim=True)
    model.weights[layer.name].copy_(rounded.view(layer.weight.shape))
    model.biases[layer.name].copy_(bias.flatten())
    if layer.dither is not None:
        model.biases[layer.name].add_(layer.dither * model.scale_of(layer.name))


def descend(xx: Tensor, yx: Tensor, exact: Tensor, sweeps: int) -> Tensor:
    """Codes next to `exact` that make `codes xx codes - 2 yx codes` small, each chosen with the others held.

    xx: (groups, K, K), positive definite; yx, exact: (groups, out, K).
    """
    low, high = (bound.clamp(-CODE_MAX, CODE_MAX) for bound in (exact.floor(), exact.ceil()))
    codes = torch.round(exact).clamp(-CODE_MAX, CODE_MAX)
    slope = codes @ xx - yx
    for _ in range(sweeps):
        for start in range(0, codes.shape[2], _COLUMNS):
            block = slice(start, start + _COLUMNS)
            before = codes[:, :, block].clone()
            _descend_block(
                codes[:, :, block], slope[:, :, block].clone(), xx[:, block, block], low[:, :, block], high[:, :, block]
            )
            slope += (codes[:, :, block] - before) @ xx[:, block]
    return codes


def _descend_block(codes: Tensor, slope: Tensor, xx: Tensor, low: Tensor, high: Tensor) -> None:
    """One sweep over the columns of `codes` (groups, out, columns), in place."""
    for k in range(codes.shape[2]):
        best = torch.round(codes[:, :, k] - slope[:, :, k] / xx[:, None, k, k])
        change = torch.clamp(best, low[:, :, k], high[:, :, k]) - codes[:, :, k]
        codes[:, :, k] += change
        slope.addcmul_(change[:, :, None], xx[:, None, k])
