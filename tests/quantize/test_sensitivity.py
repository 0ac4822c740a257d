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


def test_a_layer_whose_grid_is_too_coarse_costs_most_and_in_float_its_grid_does_not_count() -> None:
    found = []
    for factor in (4, 12):
        model, _, _ = quantized(network(3, CLASSES), 3, SEED)
        last = model.plan.layers[-1].name
        with torch.no_grad():
            model.scale_of(last).mul_(factor)
        found.append(sensitivity(model.plan, extract(model), smooth_pixels(12, 16, 3, 7), _silent))
        assert min(found[-1]["layers"], key=lambda layer: float(layer["divergence"]))["name"] == last
    assert found[1]["divergence"] > found[0]["divergence"] > found[0]["layers"][-1]["divergence"]
    assert found[1]["layers"][-1] == found[0]["layers"][-1]


def test_no_layer_in_float_gives_what_the_integers_give() -> None:
    model, integers, _ = quantized(network(3, CLASSES), 3, SEED)
    pixels = smooth_pixels(12, 16, 3, 7)
    found = sensitivity(model.plan, integers, pixels, _silent)
    with torch.no_grad():
        exact = model(to_input(torch.from_numpy(pixels)))[1].argmax(1).numpy()
    assert np.array_equal(simulate(integers, pixels).argmax(1), exact)
    assert found["pictures"] == 12 and 0 <= found["agreement"] <= 100
