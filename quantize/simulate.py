"""The integers in float arithmetic: what quantization-aware training saw, from the integers alone."""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from quantize.grid import code_range
from quantize.integers import Float32, IntegerLayer, Integers
from quantize.plan import INPUT, Mover, last_uses
from quantize.reference import batches, float_sums
from train.network import to_input


@torch.no_grad()
def simulate(integers: Integers, pixels: NDArray[np.uint8]) -> Float32:
    """Logits (N, classes) for pixels (N, H, W, C) uint8, as quantize.fake.FakeQuant computes them.

    Every value lies on its grid, every sum is float32: the arithmetic that was trained, not the engine's.
    """
    weight, bias = torch.from_numpy(integers.weight), torch.from_numpy(integers.bias)
    done = last_uses(integers.layers)
    parts = []
    for batch in batches(pixels):
        values = {INPUT: to_input(torch.from_numpy(batch))}
        for layer in integers.layers:
            values[layer.name] = simulated_layer(integers, layer, tuple(values[name] for name in layer.sources))
            for name in done.get(layer.name, ()):
                del values[name]
        features = values[integers.layers[-1].name].mean((2, 3))
        parts.append(F.linear(features, weight, bias).numpy())
    return np.concatenate(parts)


def simulated_layer(integers: Integers, layer: IntegerLayer, inputs: tuple[Tensor, ...]) -> Tensor:
    """The layer's output on its grid, from inputs on theirs."""
    value = float_sums(integers, layer, inputs)
    if isinstance(layer, Mover):
        return value
    scale = torch.tensor(integers.scales[layer.name])
    low, high = code_range(layer.activation, float(scale))
    return torch.clamp(torch.round(value / scale), low, high) * scale
