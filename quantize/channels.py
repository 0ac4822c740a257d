"""Which channels of a plan's tensors go together: what is done to one of them is done to all."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from quantize.plan import INPUT, Add, Concat, Conv, Curve, Mul, Plan

Numbers = NDArray[np.int64]


@dataclass(frozen=True)
class Channels:
    """`of`: by tensor, a number for each of its channels, the same where channels are tied."""

    of: dict[str, Numbers]
    fixed: frozenset[int]  # of the pixels, of the features, and around a grouped convolution: they stay as they are
    bent: frozenset[int]  # of a tensor that does not halve where its input does: ReLU6, hard swish, a product

    def spaces(self) -> dict[tuple[str, ...], list[int]]:
        """The channels that are not fixed, by the tensors that have them."""
        tensors: dict[int, dict[str, None]] = {}
        for tensor, numbers in self.of.items():
            for number in numbers.tolist():
                tensors.setdefault(number, {})[tensor] = None
        found: dict[tuple[str, ...], list[int]] = {}
        for number, names in tensors.items():
            if number not in self.fixed:
                found.setdefault(tuple(names), []).append(number)
        return found


def is_depthwise(layer: Conv) -> bool:
    return layer.geometry.groups > 1 and layer.weight.shape[1] == 1


def tie_channels(plan: Plan) -> Channels:
    """Channels are tied by adds and products, by what works on each channel alone, and by what moves them."""
    first = next(x for x in plan.layers if isinstance(x, Conv) and INPUT in x.sources)
    count = first.weight.shape[1] * first.geometry.groups
    of = {INPUT: np.arange(count)}
    fixed, bent = {INPUT, plan.layers[-1].name}, set()
    for layer in plan.layers:
        sources = [of[name] for name in layer.sources]
        if isinstance(layer, Conv) and not is_depthwise(layer):
            of[layer.name] = np.arange(count, count + len(layer.weight))
            count += len(layer.weight)
            if layer.geometry.groups > 1:
                fixed |= {layer.name, *layer.sources}
        elif isinstance(layer, Conv):
            of[layer.name] = sources[0].repeat(len(layer.weight) // layer.geometry.groups)
        elif isinstance(layer, Concat):
            of[layer.name] = np.concatenate(sources)
        else:
            if isinstance(layer, (Add, Mul)):
                _tie(of, *sources)
            of[layer.name] = sources[0].copy()
        if isinstance(layer, (Mul, Curve)) or layer.activation == "relu6":
            bent.add(layer.name)
    return Channels(of, _numbers(of, fixed), _numbers(of, bent))


def _tie(of: dict[str, Numbers], first: Numbers, second: Numbers) -> None:
    """Gives the channels of both tensors one number each, wherever they are."""
    for channel in range(len(first)):
        kept, lost = first[channel], second[channel]
        for numbers in of.values():
            numbers[numbers == lost] = kept


def _numbers(of: dict[str, Numbers], tensors: Iterable[str]) -> frozenset[int]:
    return frozenset(int(number) for tensor in tensors for number in of[tensor])
