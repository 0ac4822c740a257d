"""Outlier channel splitting (arXiv 1901.09504): channels that stand out are there several times, the function stays.

A channel is split in all tensors that are tied to it (quantize/channels.py). Where nothing but convolutions, adds, ReLU
and what moves codes is between them, the copies are the channel divided by their number, and what reads them takes each
as it took the whole: the tensors' range falls. Behind ReLU6, hard swish or a product the copies are whole, and what
reads them divides its weights: theirs falls. Either way each copy is rounded a part of a step away from the others
(`dither`), so that their sum has the resolution of one copy times their number: the paper's quantization-aware
splitting, by Hermite's identity, the sum over j < k of floor(x + j / k) = floor(k x). Divided weights need no such
care: rounding by what comes out (quantize/rounding.py) gives one copy what it took from another.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from edge.contract.errors import GateError
from quantize.channels import Channels, Numbers, is_depthwise, tie_channels
from quantize.plan import INPUT, Conv, Plan, float_layer, last_uses

Float64 = NDArray[np.float64]
_BATCH = 16  # pictures at once
_TOGETHER = 16  # channels at once in onnxruntime's fast integer kernels: docs/int8.md has the time without it


@dataclass(frozen=True)
class Split:
    """Channels of a tensor, and of all tensors tied to it, that are there once more each time that they are named."""

    tensor: str
    channels: tuple[int, ...]
    divided: bool  # each copy is a part of its channel; else it is whole, and what reads it divides


def find_outliers(plan: Plan, pixels: Tensor, share: float, only: Sequence[str] = ()) -> tuple[Split, ...]:
    """What to split so that every tensor that can, or those in `only`, has `share` of its channels more, rounded up.

    pixels: (N, C, H, W) float, (byte - 128) / 128. Of channels that can be divided those with the largest values go
    first, of the others those that the weights reading them single out; the worst may be split again. Tensors that are
    tied are split together. Raises GateError for a name in `only` of which no channel can be split.
    """
    if not share:
        return ()
    channels, peaks = tie_channels(plan), _peaks(plan, pixels)
    spaces = channels.spaces()
    can = {name for tensors in spaces for name in tensors}
    for name in only:
        if name not in can:
            raise GateError(f"no channel of {name!r} can be split", f"one of {', '.join(sorted(can))}", "name another")
    found = []
    for tensors, numbers in spaces.items():
        if only and not set(only) & set(tensors):
            continue
        divided = channels.bent.isdisjoint(numbers)
        sizes = _sizes(channels, tensors, numbers, peaks if divided else _weighed(plan, tensors))
        copies, chosen = np.ones(len(numbers), np.int64), []
        for _ in range(_more(share, len(numbers))):
            worst = int(np.argmax(sizes / copies))
            copies[worst] += 1
            chosen.append(int(np.flatnonzero(channels.of[tensors[0]] == numbers[worst])[0]))
        found.append(Split(tensors[0], tuple(chosen), divided))
    return tuple(found)


def _more(share: float, channels: int) -> int:
    """How many channels more: what was in sixteens or eights stays so."""
    together = math.gcd(channels, _TOGETHER)
    return together * math.ceil(share * channels / together)


def split_channels(plan: Plan, splits: Sequence[Split]) -> Plan:
    """The same function with the channels of `splits` that many times, copies side by side.

    Raises IndexError or KeyError for channels that the plan does not have, ValueError for those that must stay.
    """
    channels = tie_channels(plan)
    count = 1 + max(int(numbers.max()) for numbers in channels.of.values())
    copies, divided = np.ones(count, np.int64), np.zeros(count, bool)
    for split in splits:
        numbers = channels.of[split.tensor][list(split.channels)]
        if not (channels.fixed | (channels.bent if split.divided else set())).isdisjoint(numbers.tolist()):
            raise ValueError(f"channels of {split.tensor} that cannot be split so")
        np.add.at(copies, numbers, 1)
        divided[numbers] = split.divided
    writes = torch.from_numpy(np.where(divided, 1 / copies, 1)).float()  # what a channel is multiplied with there
    reads = torch.from_numpy(np.where(divided, 1, 1 / copies)).float()

    def conv(layer: Conv) -> Conv:
        inputs, outputs = (_repeated(channels.of[name], copies) for name in (layer.sources[0], layer.name))
        gain = writes[outputs.numbers]
        weight, geometry = layer.weight[outputs.places], layer.geometry
        if is_depthwise(layer):
            geometry = replace(geometry, groups=len(inputs.places))
        elif geometry.groups == 1:
            columns = reads[inputs.numbers].view(1, -1, 1, 1)
            weight = weight[:, inputs.places] * columns * gain.view(-1, 1, 1, 1)
        bias = layer.bias[outputs.places] * gain
        return replace(layer, weight=weight, bias=bias, geometry=geometry, dither=outputs.dither)

    return replace(plan, layers=tuple(conv(x) if isinstance(x, Conv) else x for x in plan.layers))


@dataclass(frozen=True)
class _Repeated:
    """The channels of a tensor after the split."""

    places: Numbers  # in the tensor before
    numbers: Numbers
    dither: Tensor  # in steps of the tensor


def _repeated(numbers: Numbers, copies: Numbers) -> _Repeated:
    counts = copies[numbers]
    dither = [(j - (count - 1) / 2) / count for count in counts.tolist() for j in range(count)]
    return _Repeated(np.arange(len(numbers)).repeat(counts), numbers.repeat(counts), torch.tensor(dither))


@torch.inference_mode()
def _peaks(plan: Plan, pixels: Tensor) -> dict[str, Float64]:
    """By tensor, the size of each channel's largest value, the mean over pictures: (C,)."""
    totals: dict[str, Tensor] = {}
    done = last_uses(plan.layers)
    for batch in torch.split(pixels, _BATCH):
        values = {INPUT: batch}
        for layer in plan.layers:
            value = float_layer(layer, tuple(values[name] for name in layer.sources))
            values[layer.name] = value
            sizes = value.abs().amax((2, 3)).double().sum(0)
            totals[layer.name] = totals[layer.name] + sizes if layer.name in totals else sizes
            for name in done.get(layer.name, ()):
                del values[name]
    return {name: (total / len(pixels)).numpy() for name, total in totals.items()}


def _weighed(plan: Plan, tensors: Sequence[str]) -> dict[str, Float64]:
    """By tensor, how large each channel's weights are in the convolutions that read it, in parts of a row's largest."""
    found: dict[str, Float64] = {}
    for layer in plan.layers:
        if isinstance(layer, Conv) and layer.sources[0] in tensors and not is_depthwise(layer):
            sizes = layer.weight.abs().amax((2, 3)).double()
            rows = sizes / sizes.amax(1, keepdim=True).clamp_min(1e-30)
            weighed = rows.square().mean(0).sqrt().numpy()
            found[layer.sources[0]] = np.maximum(found.get(layer.sources[0], 0), weighed)
    return found


def _sizes(
    channels: Channels, tensors: Sequence[str], numbers: Sequence[int], by_tensor: dict[str, Float64]
) -> Float64:
    """(len(numbers),): the largest that each channel is in one of its tensors, in parts of that tensor's largest."""
    found = np.zeros(1 + max(int(channels.of[name].max()) for name in tensors))
    for name in tensors:
        if name in by_tensor:
            np.maximum.at(found, channels.of[name], by_tensor[name] / max(by_tensor[name].max(), 1e-30))
    chosen: Float64 = found[list(numbers)]
    return chosen
