"""Which channels to split: those whose rounding costs the answers most, for what their copies cost in time.

Each step splits some channels of one space once more, that which takes most of the divergence off for a multiply-add:
greedily, as what is left of one space's noise does not depend on what is done to another's.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from edge.contract.errors import GateError
from quantize.channels import Channels, Numbers, tie_channels
from quantize.fake import FakeQuant
from quantize.noise import Noise, channel_noise
from quantize.plan import Conv, Plan
from quantize.split import Split

_TOGETHER = 16  # channels at once in onnxruntime's fast integer kernels: docs/int8.md has the time without it


def find_outliers(model: FakeQuant, pixels: Tensor, share: float, only: Sequence[str] = ()) -> tuple[Split, ...]:
    """What to split of `model.plan`, for about `share` of its multiply-adds more: where that helps the answers most.

    pixels: (N, C, H, W) float, (byte - 128) / 128. `model` is the plan calibrated and rounded, as it would be without
    splits. Tensors that are tied are split together, those of `only` alone if it names any; a channel may be split
    again and again. Raises GateError for a name in `only` of which no channel can be split.
    """
    channels = tie_channels(model.plan)
    spaces = channels.spaces()
    can = {name for tensors in spaces for name in tensors}
    for name in only:
        if name not in can:
            raise GateError(f"no channel of {name!r} can be split", f"one of {', '.join(sorted(can))}", "name another")
    choice = _Choice(model.plan, channels, channel_noise(model, pixels, torch.Generator().manual_seed(0)))
    open_spaces = {x: numbers for x, numbers in spaces.items() if not only or set(only) & set(x)}
    copies = np.ones(len(choice.bent), np.int64)  # of each channel
    most = (1 + share) * choice.work(copies)
    while choice.work(copies) < most:
        steps = [choice.step(tensors, numbers, copies) for tensors, numbers in open_spaces.items()]
        best = max(steps, key=lambda step: step.gain, default=None)
        if best is None or best.gain <= 0:
            break
        copies = best.copies
    found = []
    for (first, *_), numbers in open_spaces.items():
        places = {int(number): place for place, number in enumerate(channels.of[first])}
        again = [places[number] for number in numbers for _ in range(copies[number] - 1)]
        if again:
            found.append(Split(first, tuple(again), channels.bent.isdisjoint(numbers)))
    return tuple(found)


@dataclass(frozen=True)
class _Step:
    """Some channels of a space there once more, as many together as the kernels want."""

    copies: Numbers  # of each channel, then
    gain: float  # divergence less, by multiply-add more


class _Choice:
    """What copies of channels cost, and what they leave of the noise; copies: (channels of the plan,)."""

    def __init__(self, plan: Plan, channels: Channels, noise: dict[str, Noise]) -> None:
        self.plan, self.of, self.noise = plan, channels.of, noise
        count = 1 + max(int(numbers.max()) for numbers in channels.of.values())
        self.bent = np.isin(np.arange(count), list(channels.bent))

    def work(self, copies: Numbers) -> int:
        """Multiply-adds of a picture."""
        total = 0
        for layer in self.plan.layers:
            if isinstance(layer, Conv):
                outputs, inputs = (int(copies[self.of[name]].sum()) for name in (layer.name, layer.sources[0]))
                by_output = inputs if layer.geometry.groups == 1 else layer.weight.shape[1]
                total += self.noise[layer.name].area * layer.weight[0, 0].numel() * outputs * by_output
        return total

    def left(self, tensors: Sequence[str], copies: Numbers) -> float:
        """Divergence in nats that the rounding of these tensors still costs.

        k copies have a k-th of the error, its square counts. Where each is a part of its channel, their steps together
        are as coarse as one's, but the tensor's range falls with its largest channel.
        """
        total = 0.0
        for noise, numbers in ((self.noise[x], self.of[x]) for x in tensors if x in self.noise):
            mine, bent = copies[numbers], self.bent[numbers]
            coarse = (noise.peaks / np.where(bent, 1, mine)).max() / max(noise.peaks.max(), 1e-30)
            output = noise.output * coarse**2 / np.where(bent, mine, 1) ** 2
            total += float((noise.weights / mine**2 + output).sum())
        return total

    def step(self, tensors: Sequence[str], numbers: Sequence[int], copies: Numbers) -> _Step:
        """The channels of a space whose next copies leave least, chosen one after the other."""
        more = copies.copy()
        for _ in range(math.gcd(len(numbers), _TOGETHER)):
            tried = [_with_one_more(more, number) for number in self._candidates(tensors, numbers, more)]
            more = min(tried, key=lambda each: self.left(tensors, each))
        gain = self.left(tensors, copies) - self.left(tensors, more)
        return _Step(more, gain / max(self.work(more) - self.work(copies), 1))

    def _candidates(self, tensors: Sequence[str], numbers: Sequence[int], copies: Numbers) -> set[int]:
        """The channel whose own noise falls most, and that which sets the range."""
        fine, peaks = np.zeros(len(copies)), np.zeros(len(copies))
        for noise, of in ((self.noise[x], self.of[x]) for x in tensors if x in self.noise):
            np.add.at(fine, of, noise.weights + np.where(self.bent[of], noise.output, 0))
            np.maximum.at(peaks, of, noise.peaks / max(noise.peaks.max(), 1e-30))
        gains = fine / copies**2 - fine / (copies + 1) ** 2
        mine = np.array(numbers)
        return {int(mine[gains[mine].argmax()]), int(mine[(peaks / copies)[mine].argmax()])}


def _with_one_more(copies: Numbers, number: int) -> Numbers:
    more = copies.copy()
    more[number] += 1
    return more
