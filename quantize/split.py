"""Outlier channel splitting (arXiv 1901.09504): channels that stand out are there several times, the function stays.

A channel is split in all tensors that are tied to it (quantize/channels.py). Where nothing but convolutions, adds, ReLU
and what moves codes is between them, the copies are the channel divided by their number, and what reads them takes each
as it took the whole: the tensors' range falls. Behind ReLU6, hard swish or a product the copies are whole, and what
reads them divides its weights: theirs falls. Either way each copy is rounded a part of a step away from the others
(quantize/rounding.py), so that their sum has the resolution of one copy times their number: the paper's quantization-
aware splitting, by Hermite's identity, the sum over j < k of floor(x + j / k) = floor(k x). Weights need no such care:
rounding by what comes out gives one copy what it took from another.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from quantize.channels import Numbers, is_depthwise, tie_channels
from quantize.plan import Conv, Plan


@dataclass(frozen=True)
class Split:
    """Channels of a tensor, and of all tensors tied to it, that are there once more each time that they are named."""

    tensor: str
    channels: tuple[int, ...]
    divided: bool  # each copy is a part of its channel; else it is whole, and what reads it divides


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
        return replace(layer, weight=weight, bias=bias, geometry=geometry, copy=outputs.copy)

    return replace(plan, layers=tuple(conv(x) if isinstance(x, Conv) else x for x in plan.layers))


@dataclass(frozen=True)
class _Repeated:
    """The channels of a tensor after the split."""

    places: Numbers  # in the tensor before
    numbers: Numbers
    copy: Tensor  # 0, and 1, 2, ... for the copies behind it


def _repeated(numbers: Numbers, copies: Numbers) -> _Repeated:
    counts = copies[numbers]
    copy = np.concatenate([np.arange(count) for count in counts])
    return _Repeated(np.arange(len(numbers)).repeat(counts), numbers.repeat(counts), torch.from_numpy(copy))
