"""Fine-tuning with quantization: it nears its teacher, repeats, and leaves the scales alone at the end."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from networks import random_net, smooth_pixels
from torch import nn

from edge.contract.errors import GateError, InputError, UsageError
from quantize.fake import FakeQuant
from quantize.grid_adam import GridAdam
from quantize.qat import Average, distance, fine_tune
from quantize.recipe import QatRecipe, load_recipe
from quantize.trace import make_plan
from train.network import to_input

RECIPE = replace(load_recipe(None, 32, 32).qat, min_steps=30, batch=32, epochs=1)
PIXELS = smooth_pixels(96, 16, 1, 5)
KINDS = ("residual",)


def _calibrated() -> FakeQuant:
    model = FakeQuant(make_plan(random_net(4, kinds=KINDS)))
    model.calibrate(to_input(torch.from_numpy(PIXELS)))
    return model


def _tuned(recipe: QatRecipe = RECIPE) -> FakeQuant:
    model = _calibrated()
    fine_tune(
        model,
        make_plan(random_net(4, kinds=KINDS)),
        PIXELS,
        recipe,
        lambda batch: batch,
        lambda step, steps, loss: None,
    )
    return model


def _distance(model: FakeQuant) -> float:
    return distance(make_plan(random_net(4, kinds=KINDS)), model, to_input(torch.from_numpy(PIXELS))).item()


def test_it_ends_nearer_to_its_teacher_than_calibration_alone() -> None:
    assert _distance(_tuned(replace(RECIPE, min_steps=150))) < 0.5 * _distance(_calibrated())


def test_the_same_seed_gives_the_same_bits() -> None:
    first, second = _tuned().state_dict(), _tuned().state_dict()
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_frozen_scales_do_not_move_and_the_last_one_is_a_power_of_two() -> None:
    model, started = _tuned(replace(RECIPE, freeze_scales_at=0.0)), _calibrated()
    for name, scale in started.weight_scales.items():
        assert torch.equal(scale, model.weight_scales[name])
    last = torch.log2(model.scale_of(model.plan.layers[-1].name)).item()
    assert last == round(last)


def test_the_classifier_stays_as_fp32_has_it() -> None:
    assert torch.equal(_tuned().classifier.weight, random_net(4, kinds=KINDS).classifier.weight)


def test_a_loss_that_is_no_number_stops_with_one_line() -> None:
    teacher = replace(make_plan(random_net(4, kinds=KINDS)), bias=torch.full((4,), torch.nan))
    with pytest.raises(GateError, match="learning_rate"):
        fine_tune(_calibrated(), teacher, PIXELS, RECIPE, lambda batch: batch, lambda step, steps, loss: None)


def test_a_step_of_adam_is_a_unit_times_the_rate_whatever_the_gradients_size() -> None:
    weight = nn.Parameter(torch.zeros(2, 3))
    optimizer = GridAdam([weight], [torch.tensor([[1.0], [100.0]])])
    weight.grad = torch.tensor([[1e-6, 1.0, 1e6], [1e-6, 1.0, 1e6]])
    optimizer.step(0.1)
    torch.testing.assert_close(weight.data, torch.tensor([[-0.1] * 3, [-10.0] * 3]))


def test_an_average_starts_anew_and_ends_in_the_parameters() -> None:
    weight = nn.Parameter(torch.tensor(100.0))
    average = Average([weight], 10)
    average.restart()
    for value in (1.0, 2.0, 3.0):
        weight.data.fill_(value)
        average.update()
    average.apply()
    assert weight.item() == pytest.approx(2.0)


def test_calibration_pictures_of_one_colour_are_refused() -> None:
    with pytest.raises(InputError, match="one colour"):
        FakeQuant(make_plan(random_net(4))).calibrate(torch.zeros(4, 1, 16, 16))


def test_a_tensor_that_no_calibration_picture_reaches_is_named() -> None:
    net = random_net(4, kinds=KINDS)
    nn.init.constant_(net.stem[1].bias, -1e3)
    with pytest.raises(GateError, match=r"stem_0 is 0 on all 96"):
        FakeQuant(make_plan(net)).calibrate(to_input(torch.from_numpy(PIXELS)))


def test_weights_that_are_not_finite_are_named() -> None:
    net = random_net(4)
    nn.init.constant_(net.stem[0].weight, torch.nan)
    with pytest.raises(GateError, match=r"stem\.0\.weight"):
        make_plan(net)


@pytest.mark.parametrize("text", ["", "qat: 1", "- 1", "a: [", "ptq: {}\nqat: {}\ngates: {}"])
def test_a_recipe_that_is_not_whole_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(text)
    with pytest.raises(UsageError, match=r"mine\.yaml"):
        load_recipe(path, 32, 32)


@pytest.mark.parametrize(("name", "side"), [("small", 32), ("photos", 224)])
def test_a_setting_out_of_bounds_is_named(tmp_path: Path, name: str, side: int) -> None:
    text = (Path(__file__).parents[2] / "quantize" / "recipes" / f"{name}.yaml").read_text()
    path = tmp_path / "mine.yaml"
    path.write_text(text)
    assert load_recipe(path, 32, 32) == load_recipe(None, side, side)
    path.write_text(text.replace("ema_share: 0.1", "ema_share: 9"))
    with pytest.raises(UsageError, match="ema_share"):
        load_recipe(path, 32, 32)
