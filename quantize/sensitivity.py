"""What each layer's rounding costs: one layer after the other left in float, all others in integers."""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from quantize.certificate import agreement, divergence
from quantize.grid import SHIFT
from quantize.integers import Float32, Integers
from quantize.plan import INPUT, Mover, Plan, float_layer, float_logits, unsigned_tensors
from quantize.simulate import simulated_layer
from train.network import to_input

PICTURES = 32  # at most: for each, EfficientNet-Lite0 takes two seconds of one core
_BATCH = 4  # of which all tensors are kept


@torch.no_grad()
def sensitivity(
    plan: Plan, integers: Integers, pixels: NDArray[np.uint8], progress: Callable[[int, int], None]
) -> dict[str, Any]:
    """Divergence and agreement of the integers with the float `plan`, as they are and with each layer left in float.

    A layer left in float has the plan's weights, and what it gives is not rounded. pixels: (N, H, W, C) uint8, of which
    PICTURES are used. Sums are float32 throughout, as in quantize.simulate. `divergence` in nats, the mean.
    """
    pixels = pixels[:PICTURES]
    names = [layer.name for layer in plan.layers if not isinstance(layer, Mover)]
    wanted: list[Float32] = []
    given: dict[str, list[Float32]] = {name: [] for name in ("", *names)}  # "": all of them in integers
    # an unsigned tensor's integers count from -128 steps: quantize/integers.py
    shift = {name: SHIFT * float(integers.scales[name]) for name in unsigned_tensors(plan.layers)}
    parts = np.split(pixels, range(_BATCH, len(pixels), _BATCH))
    for done, batch in enumerate(parts, 1):
        inputs = to_input(torch.from_numpy(batch))
        wanted.append(float_logits(plan, inputs).numpy())
        values = _walk(integers, {INPUT: inputs}, 0)
        given[""].append(_logits(plan, values))
        for place, layer in enumerate(plan.layers):
            if not isinstance(layer, Mover):
                changed = dict(values)
                exact = float_layer(layer, tuple(values[name] + shift.get(name, 0) for name in layer.sources))
                changed[layer.name] = exact - shift.get(layer.name, 0)
                given[layer.name].append(_logits(plan, _walk(integers, changed, place + 1)))
        progress(done, len(parts))
    answers = np.concatenate(wanted)
    figures = {name: _figures(answers, np.concatenate(logits)) for name, logits in given.items()}
    rows = [{"name": name, **figures[name]} for name in names]
    return {"pictures": len(pixels), **figures[""], "layers": rows}


def _walk(integers: Integers, values: dict[str, Tensor], start: int) -> dict[str, Tensor]:
    """`values` of all tensors, those of the layers from `start` on made again."""
    for layer in integers.layers[start:]:
        values[layer.name] = simulated_layer(integers, layer, tuple(values[name] for name in layer.sources))
    return values


def _logits(plan: Plan, values: dict[str, Tensor]) -> Float32:
    logits: Float32 = F.linear(values[plan.layers[-1].name].mean((2, 3)), plan.weight, plan.bias).numpy()
    return logits


def _figures(exact: Float32, given: Float32) -> dict[str, Any]:
    return {"divergence": divergence(exact, given), "agreement": agreement(exact.argmax(1), given.argmax(1))["percent"]}
