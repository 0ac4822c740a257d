"""Rounding by what comes out: next to where it was, nearer to float, without bias, and still exact."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, reject, settings
from hypothesis import strategies as st
from networks import KINDS, random_net, smooth_pixels
from torch import Tensor

from edge.contract.errors import GateError, UsageError
from edge.contract.spec import ModelSpec
from edge.engine import Engine
from quantize import rounding
from quantize.emit import emit
from quantize.fake import FakeQuant
from quantize.grid import CODE_MAX
from quantize.integers import extract
from quantize.plan import INPUT, Conv, convolve, float_layer
from quantize.ptq import PtqRecipe, ptq
from quantize.reference import reference_features
from quantize.rounding import descend
from quantize.trace import make_plan
from train.network import to_input

RECIPE = PtqRecipe("mse", 64, 0, [], 0)
SEEDS, ANY_KINDS = st.integers(0, 10_000), st.sampled_from(KINDS)


def _rounded(seed: int, kind: str) -> FakeQuant:
    try:
        plan = make_plan(random_net(seed, 3, 2, seed % 2 == 0, (kind,)))
        return ptq(plan, smooth_pixels(RECIPE.pictures, 16, 3, seed), RECIPE, lambda stage, step, steps: None)
    except GateError as error:
        assert "calibration pictures" in error.found  # random weights sometimes leave a tensor at 0 on all of them
        reject()


def _to_nearest(model: FakeQuant) -> FakeQuant:
    """The same with the float network's weights and biases, which its grids round to the nearest."""
    nearest = FakeQuant(model.plan)
    nearest.load_state_dict({**nearest.state_dict(), **{k: v for k, v in model.state_dict().items() if "scales" in k}})
    return nearest


@torch.no_grad()
def _errors(model: FakeQuant, pixels: Tensor) -> list[Tensor]:
    """Of each convolution, quantized less float sums (N, C, H, W), in standard deviations of the float ones."""
    floats, codes, errors = {INPUT: pixels}, {INPUT: pixels}, []
    for layer in model.plan.layers:
        wanted, seen = (tuple(values[name] for name in layer.sources) for values in (floats, codes))
        floats[layer.name], codes[layer.name] = float_layer(layer, wanted), model.layer(layer, seen)
        if isinstance(layer, Conv):
            sums = convolve(layer.geometry, wanted[0], layer.weight, layer.bias)
            errors.append((model.convolve(layer, seen[0]) - sums) / sums.std())
    return errors


@settings(max_examples=10, deadline=None)
@given(SEEDS, ANY_KINDS)
def test_every_weight_is_on_a_point_of_its_grid_next_to_where_it_was(seed: int, kind: str) -> None:
    model = _rounded(seed, kind)
    for layer in model.plan.layers:
        if isinstance(layer, Conv):
            scale = model.weight_scales[layer.name]
            codes, exact = model.weights[layer.name] / scale, (layer.weight / scale).clamp(-CODE_MAX, CODE_MAX)
            assert (codes - codes.round()).abs().max() < 1e-4
            assert (codes - exact).abs().max() < 1 + 1e-4


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("seed", [3, 4])
def test_other_pictures_come_out_nearer_to_float_than_after_nearest_rounding(seed: int, kind: str) -> None:
    model, others = _rounded(seed, kind), to_input(torch.from_numpy(smooth_pixels(64, 16, 3, seed + 1)))
    found, nearest = _errors(model, others), _errors(_to_nearest(model), others)
    assert sum(e.square().mean() for e in found) < 0.98 * sum(e.square().mean() for e in nearest)
    channels = [[e.mean((0, 2, 3)).square().mean() for e in errors] for errors in (found, nearest)]
    assert sum(channels[0]) < 0.2 * sum(channels[1])  # the mean error, which the bias takes off


@settings(max_examples=8, deadline=None)
@given(SEEDS, ANY_KINDS)
def test_the_u8_file_stays_bit_identical_to_the_reference(
    tmp_path_factory: pytest.TempPathFactory, seed: int, kind: str
) -> None:
    model, path = _rounded(seed, kind), tmp_path_factory.mktemp("rounded") / "m.onnx"
    integers, pixels = extract(model), smooth_pixels(40, 16, 3, seed + 1)
    classes, features = model.plan.weight.shape
    emit(integers, ModelSpec("random", 16, 16, 3, features, classes), "u8", path)
    assert np.array_equal(Engine(str(path)).run(pixels)[0], reference_features(integers, pixels))


def test_pictures_for_which_wide_tensors_leave_no_room_join_where_tensors_are_narrow(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    plan, pixels = make_plan(random_net(3, 3, 3, False, ("plain",))), smooth_pixels(64, 16, 3, 3)
    seen = []

    def spy(layer: Conv, inputs: list[Tensor], outputs: list[Tensor], generator: torch.Generator) -> object:
        seen.append(sum(map(len, inputs)))
        return sum_up(layer, inputs, outputs, generator)

    sum_up = rounding._sum_up
    monkeypatch.setattr(rounding, "_sum_up", spy)
    monkeypatch.setattr(rounding, "_VALUES", 100_000)
    model = ptq(plan, pixels, RECIPE, lambda stage, step, steps: None)
    assert seen == sorted(seen) and seen[0] < seen[-1] == 64
    inputs = to_input(torch.from_numpy(smooth_pixels(64, 16, 3, 6)))
    late, nearest = (_errors(x, inputs)[-1].std() for x in (model, _to_nearest(model)))
    assert late < nearest


def test_the_same_seed_gives_the_same_bits() -> None:
    first, second = (_rounded(4, "depthwise").state_dict() for _ in range(2))
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_descent_over_blocks_of_columns_finds_what_no_single_change_betters() -> None:
    torch.manual_seed(0)
    inputs, exact = torch.randn(2, 600, 300).double(), 50 * torch.randn(2, 4, 300).double()
    xx = inputs.transpose(1, 2) @ inputs
    codes = descend(xx, exact @ xx, exact, sweeps=20)
    slope, own = (codes - exact) @ xx, xx.diagonal(dim1=1, dim2=2)[:, None]
    for change in (-1, 1):
        gain = -(2 * change * slope + own)
        allowed = (codes + change >= exact.floor()) & (codes + change <= exact.ceil())
        assert gain[allowed].max() <= 1e-6 * own.max()


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("calibration", "best"),
        ("pictures", 0),
        ("pictures", True),
        ("pictures", 1.5),
        ("seed", -1),
        ("split_outliers", 1.5),
        ("split_only", "stem"),
    ],
)
def test_a_setting_out_of_bounds_is_named(setting: str, value: object) -> None:
    with pytest.raises(UsageError, match=setting):
        replace(RECIPE, **{setting: value})  # type: ignore[arg-type]
