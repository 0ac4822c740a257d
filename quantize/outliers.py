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
from quantize.channels import Channels, tie_channels
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
    chosen: dict[tuple[str, ...], list[int]] = {tensors: [] for tensors in open_spaces}
    whole = choice.work()
    while choice.work() < (1 + share) * whole:
        steps = {tensors: choice.best(tensors, numbers) for tensors, numbers in open_spaces.items()}
        best = max(steps, key=lambda tensors: steps[tensors].gain, default=None)
        if best is None or steps[best].gain <= 0:
            break
        chosen[best] += steps[best].numbers
        np.add.at(choice.copies, steps[best].numbers, 1)
    found = []
    for (first, *_), numbers in chosen.items():
        places = {int(number): place for place, number in enumerate(channels.of[first])}
        if numbers:
            found.append(Split(first, tuple(places[x] for x in numbers), channels.bent.isdisjoint(numbers)))
    return tuple(found)


@dataclass(frozen=True)
class _Step:
    """The channels of a space to split once more, together as the kernels want them."""

    numbers: list[int]
    gain: float  # divergence less, by multiply-add more


class _Choice:
    """How many copies of each channel there are so far, what they cost, and what they leave of the noise."""

    def __init__(self, plan: Plan, channels: Channels, noise: dict[str, Noise]) -> None:
        self.plan, self.of, self.noise = plan, channels.of, noise
        count = 1 + max(int(numbers.max()) for numbers in channels.of.values())
        self.copies = np.ones(count)
        self.bent = np.isin(np.arange(count), list(channels.bent))

    def work(self) -> float:
        """Multiply-adds of a picture."""
        total = 0.0
        for layer in self.plan.layers:
            if isinstance(layer, Conv):
                outputs, inputs = (self.copies[self.of[name]].sum() for name in (layer.name, layer.sources[0]))
                by_output = inputs if layer.geometry.groups == 1 else layer.weight.shape[1]
                total += self.noise[layer.name].area * layer.weight[0, 0].numel() * float(outputs * by_output)
        return total

    def left(self, tensors: Sequence[str]) -> float:
        """Divergence in nats that the rounding of these tensors still costs.

        k copies have a k-th of the error, its square counts. Where each is a part of its channel, their steps together
        are as coarse as one's, but the tensor's range falls with its largest channel.
        """
        total = 0.0
        for noise, numbers in ((self.noise[x], self.of[x]) for x in tensors if x in self.noise):
            copies, bent = self.copies[numbers], self.bent[numbers]
            coarse = (noise.peaks / np.where(bent, 1, copies)).max() / max(noise.peaks.max(), 1e-30)
            output = noise.output * coarse**2 / np.where(bent, copies, 1) ** 2
            total += float((noise.weights / copies**2 + output).sum())
        return total

    def best(self, tensors: Sequence[str], numbers: Sequence[int]) -> _Step:
        """The channels of a space whose next copies leave least."""
        held, chosen = self.copies.copy(), list[int]()
        before, work = self.left(tensors), self.work()
        for _ in range(math.gcd(len(numbers), _TOGETHER)):
            left = {}
            for number in self._candidates(tensors, numbers):
                self.copies[number] += 1
                left[number] = self.left(tensors)
                self.copies[number] -= 1
            chosen.append(min(left, key=lambda number: left[number]))
            self.copies[chosen[-1]] += 1
        gain = (before - self.left(tensors)) / max(self.work() - work, 1)
        self.copies = held
        return _Step(chosen, gain)

    def _candidates(self, tensors: Sequence[str], numbers: Sequence[int]) -> set[int]:
        """The channel whose own noise falls most, and that which sets the range."""
        fine, peaks = np.zeros(len(self.copies)), np.zeros(len(self.copies))
        for noise, of in ((self.noise[x], self.of[x]) for x in tensors if x in self.noise):
            np.add.at(fine, of, noise.weights + np.where(self.bent[of], noise.output, 0))
            np.maximum.at(peaks, of, noise.peaks / max(noise.peaks.max(), 1e-30))
        gains = fine / self.copies**2 - fine / (self.copies + 1) ** 2
        mine = np.array(numbers)
        return {int(mine[gains[mine].argmax()]), int(mine[(peaks / self.copies)[mine].argmax()])}
