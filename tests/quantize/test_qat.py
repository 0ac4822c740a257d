"""Fine-tuning with quantization: it stays near its teacher, repeats, and leaves the scales alone at the end."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from networks import random_net, smooth_pixels

from edge.contract.errors import GateError, UsageError
from quantize.fake import FakeQuant
from quantize.plan import make_plan
from quantize.qat import fine_tune
from quantize.recipe import QatRecipe, load_qat_recipe
from train.network import to_input

RECIPE = replace(load_qat_recipe(), min_steps=30, batch=32, epochs=1, calibration_pictures=64)
PIXELS = smooth_pixels(96, 16, 1, 5)


def _tuned(recipe: QatRecipe = RECIPE) -> FakeQuant:
    return fine_tune(random_net(4), PIXELS, recipe, lambda batch: batch, lambda step, steps, loss: None)


def _distance(model: FakeQuant) -> float:
    """Mean squared difference of the logits from the teacher's."""
    pixels = to_input(torch.from_numpy(PIXELS))
    with torch.no_grad():
        return (model(pixels)[1] - random_net(4)(pixels)[1]).square().mean().item()


def test_it_ends_nearer_to_its_teacher_than_calibration_alone() -> None:
    calibrated = FakeQuant(make_plan(random_net(4)))
    calibrated.calibrate(to_input(torch.from_numpy(PIXELS)))
    assert _distance(_tuned(replace(RECIPE, min_steps=300, learning_rate=0.1))) < _distance(calibrated)


def test_the_same_seed_gives_the_same_bits() -> None:
    first, second = _tuned().state_dict(), _tuned().state_dict()
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_frozen_scales_do_not_move_and_the_last_one_is_a_power_of_two() -> None:
    model = _tuned(replace(RECIPE, freeze_scales_at=0.0))
    started = FakeQuant(model.plan)
    for name, scale in started.weight_scales.items():
        assert torch.equal(scale, model.weight_scales[name])
    last = torch.log2(model.scales[model.plan.layers[-1].name]).item()
    assert last == round(last)


def test_a_loss_that_is_no_number_stops_with_one_line() -> None:
    network = random_net(4)
    torch.nn.init.constant_(network.classifier.bias, torch.nan)
    with pytest.raises(GateError, match="learning_rate"):
        fine_tune(network, PIXELS, RECIPE, lambda batch: batch, lambda step, steps, loss: None)


@pytest.mark.parametrize(
    "text",
    ["", "epochs: 1", "- 1", "a: [", "epochs: many"],
)
def test_a_recipe_that_is_not_whole_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "qat.yaml"
    path.write_text(text)
    with pytest.raises(UsageError, match=r"qat\.yaml"):
        load_qat_recipe(path)


def test_a_setting_out_of_bounds_is_named(tmp_path: Path) -> None:
    text = (Path(__file__).parents[2] / "quantize" / "qat.yaml").read_text()
    path = tmp_path / "qat.yaml"
    path.write_text(text.replace("momentum: 0.9", "momentum: 9"))
    with pytest.raises(UsageError, match="momentum"):
        load_qat_recipe(path)
