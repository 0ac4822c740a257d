"""Each layer in float in its turn: what costs most is found."""

import numpy as np
import torch
from folders import CLASSES, SEED, network
from networks import quantized, smooth_pixels

from quantize.integers import extract
from quantize.sensitivity import sensitivity
from quantize.simulate import simulate
from train.network import to_input


def _silent(step: int, steps: int) -> None:
    """No progress is drawn."""


def test_the_layer_with_too_coarse_a_grid_costs_most() -> None:
    model, _, _ = quantized(network(3, CLASSES), 3, SEED)
    coarse = next(name for name in model.scales if list(model.grid.values()).count(name) == 1)
    with torch.no_grad():
        model.scale_of(coarse).mul_(12)
    found = sensitivity(model.plan, extract(model), smooth_pixels(12, 16, 3, 7), _silent)
    gains = {layer["name"]: found["divergence"] - layer["divergence"] for layer in found["layers"]}
    assert max(gains, key=lambda name: gains[name]) == coarse
    assert gains[coarse] > 0.5 * found["divergence"] > 0


def test_no_layer_in_float_gives_what_the_integers_give() -> None:
    model, integers, _ = quantized(network(3, CLASSES), 3, SEED)
    pixels = smooth_pixels(12, 16, 3, 7)
    found = sensitivity(model.plan, integers, pixels, _silent)
    with torch.no_grad():
        exact = model(to_input(torch.from_numpy(pixels)))[1].argmax(1).numpy()
    assert np.array_equal(simulate(integers, pixels).argmax(1), exact)
    assert found["pictures"] == 12 and 0 <= found["agreement"] <= 100
