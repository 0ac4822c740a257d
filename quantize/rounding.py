"""Rounding that looks at what comes out: each weight goes up or down, and each bias moves, to keep a layer's output.

Nearest rounding is best for one weight, not for their sum. As in AdaRound (arXiv 2004.10568) a layer's float output is
the target, its inputs are those of the network quantized so far, and a weight goes to one of the two points of the
grid next to it. Coordinate descent chooses (as in COMQ, arXiv 2403.07134): the squared error is a quadratic form of
the weights, given by sums over the inputs, so there is no learning rate and no regularizer. The bias that is best for
the rounded weights takes off the mean error: bias correction (arXiv 1906.04721).
"""

from collections.abc import Callable
from dataclasses import dataclass
from itertools import accumulate

import torch
from torch import Tensor
from torch.nn import functional as F

from quantize.fake import FakeQuant
from quantize.grid import CODE_MAX
from quantize.plan import INPUT, Conv, Layer, activate, before_activation

_COLUMNS = 128  # whose changes reach the other columns' slopes together, as one product
_SWEEPS = 3  # over the weights of a layer; more change nothing that can be measured
_ROWS = 32768  # output pixels of a layer that its sums are taken over
_VALUES = 1 << 28  # of tensors in memory at once: those of 64 pictures in EfficientNet-Lite0's first block
_BATCH = 16  # pictures at once through a layer
_DAMPING = 0.1  # of the mean square of an input: holds weights whose inputs hardly move


_Values = dict[str, tuple[Tensor, Tensor]]  # by tensor, of a batch: in the float network, in the quantized one


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

    pixels: (N, C, H, W) float, (byte - 128) / 128. The scales stay. All tensors that a later layer reads are in memory,
    so where they are wide only some pictures are used; the others join where they are narrow, once they went through
    the layers done by then. There a picture has few pixels and a layer many weights: more pictures are needed.
    """
    layers = model.plan.layers
    waiting = list(torch.split(torch.randperm(len(pixels), generator=generator), _BATCH))
    values: list[_Values] = []
    for done, (layer, held) in enumerate(zip(layers, _values_held(model, pixels[:1]), strict=True)):
        while waiting and (not values or (len(values) + 1) * _BATCH * held <= _VALUES):
            values.append({INPUT: (pixels[waiting.pop()],) * 2})
            for before in layers[:done]:
                _walk(model, before, values[-1], _exact(before, values[-1]))
        outputs = [_exact(layer, value) for value in values]
        if isinstance(layer, Conv):
            seen = [value[layer.sources[0]][1] for value in values]
            _round_layer(model, layer, _sum_up(layer, seen, outputs, generator))
        for value, output in zip(values, outputs, strict=True):
            _walk(model, layer, value, output)
        if progress:
            progress(done + 1, len(layers))


def _values_held(model: FakeQuant, picture: Tensor) -> list[int]:
    """By layer, of one picture: the most values that are held at once from there to the end."""
    value: _Values = {INPUT: (picture, picture)}
    held = []
    for layer in model.plan.layers:
        output = _exact(layer, value)
        held.append(2 * (output.numel() + sum(x.numel() for x, _ in value.values())))
        value[layer.name] = output, output
        for name in model.last_uses.get(layer.name, ()):
            del value[name]
    return list(accumulate(reversed(held), max))[::-1]


def _walk(model: FakeQuant, layer: Layer, value: _Values, output: Tensor) -> None:
    """One layer further. output: the float network's, before the activation."""
    inputs = tuple(value[name][1] for name in layer.sources)
    value[layer.name] = activate(output, layer.activation), model.layer(layer, inputs)
    for name in model.last_uses.get(layer.name, ()):
        del value[name]


def _exact(layer: Layer, value: _Values) -> Tensor:
    """The float network's output, before the activation."""
    return before_activation(layer, tuple(value[name][0] for name in layer.sources))


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
    copy = torch.zeros(len(layer.weight), dtype=torch.int64) if layer.copy is None else layer.copy
    rounded = _descend_copies(xx, yx / scale, weight / scale, copy) * scale
    bias = mean_y - (rounded * mean_x).sum(2, keepdim=True)
    model.weights[layer.name].copy_(rounded.view(layer.weight.shape))
    model.biases[layer.name].copy_(bias.flatten())
    model.biases[layer.name].add_(dither(copy) * model.scale_of(layer.name))


def dither(copy: Tensor) -> Tensor:
    """(out,): how far off each copy of a channel is rounded, in steps, so that they are spread over one step."""
    counts = torch.diff(torch.nonzero(copy == 0).flatten(), append=torch.tensor([len(copy)]))
    among = counts.repeat_interleave(counts)
    return (copy - (among - 1) / 2) / among


def _descend_copies(xx: Tensor, yx: Tensor, exact: Tensor, copy: Tensor) -> Tensor:
    """As `descend`, but a channel's copies one after the other: each makes up for what rounding did to those before it.

    xx: (groups, K, K), positive definite; yx, exact: (groups, out, K); copy: (groups * out,).
    """
    groups, outs, size = exact.shape
    shape = (1, -1, size) if groups == 1 else (-1, 1, size)
    codes, sums, exact, yx = (
        x.reshape(-1, size) for x in (torch.zeros_like(exact), torch.zeros_like(exact), exact, yx)
    )
    for place in range(int(copy.max()) + 1):
        at = torch.nonzero(copy == place).flatten()
        first, seen = at - place, xx if groups == 1 else xx[at // outs]
        wanted = (place + 1) * yx[at].view(shape) - sums[first].view(shape) @ seen
        codes[at] = descend(seen, wanted, exact[at].view(shape), _SWEEPS).view(-1, size)
        sums[first] += codes[at]
    return codes.view(groups, outs, size)


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
