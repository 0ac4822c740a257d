"""Outlier channel splitting: the float network stays what it is, and outliers cost less."""

import json
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from folders import SIDE, write_run
from hypothesis import given, reject, settings
from hypothesis import strategies as st
from networks import KINDS, random_net, smooth_pixels
from torch import Tensor, nn

from edge.contract.errors import FormatError, GateError
from edge.contract.spec import ModelSpec
from edge.engine import Engine, run_in_batches
from quantize.channels import tie_channels
from quantize.emit import emit
from quantize.fake import FakeQuant
from quantize.gates import find_fused, require_trained
from quantize.integers import extract
from quantize.noise import channel_noise
from quantize.outliers import find_outliers
from quantize.plan import INPUT, Conv, Plan, convolve, float_layer, float_logits
from quantize.ptq import PtqRecipe, ptq
from quantize.recipe import load_recipe
from quantize.reference import reference_features
from quantize.rounding import dither
from quantize.run import quantize
from quantize.split import Split, split_channels
from quantize.trace import make_plan
from quantize.verify import verify
from train.network import to_input

NETWORKS = {
    "seed": st.integers(0, 10_000),
    "six": st.booleans(),
    "kinds": st.sets(st.sampled_from(KINDS), min_size=1),
    "share": st.sampled_from([0.02, 0.3, 1.0]),
}


def _silent(stage: str, step: int, steps: int) -> None:
    """No progress is drawn."""


def _inputs(seed: int) -> Tensor:
    return to_input(torch.from_numpy(smooth_pixels(24, 16, 3, seed)))


def _calibrated(plan: Plan, inputs: Tensor) -> FakeQuant:
    model = FakeQuant(plan)
    try:
        model.calibrate(inputs)
    except GateError as error:
        assert "calibration pictures" in error.found  # random weights sometimes leave a tensor at 0 on all of them
        reject()
    return model


@settings(max_examples=10, deadline=None)
@given(**NETWORKS)
def test_the_float_networks_answers_stay(seed: int, six: bool, kinds: set[str], share: float) -> None:
    plan, inputs = make_plan(random_net(seed, 3, 3, six, tuple(sorted(kinds)))), _inputs(seed)
    splits = find_outliers(_calibrated(plan, inputs), inputs, share)
    split = split_channels(plan, splits)
    assert splits and sum(x.weight.numel() for x in split.layers if isinstance(x, Conv)) > sum(
        x.weight.numel() for x in plan.layers if isinstance(x, Conv)
    )
    torch.testing.assert_close(float_logits(split, inputs), float_logits(plan, inputs), rtol=1e-4, atol=1e-4)


@settings(max_examples=6, deadline=None)
@given(**NETWORKS)
def test_a_split_networks_u8_file_gives_the_references_bits(
    tmp_path_factory: pytest.TempPathFactory, seed: int, six: bool, kinds: set[str], share: float
) -> None:
    folder, plan = tmp_path_factory.mktemp("split"), make_plan(random_net(seed, 3, 3, six, tuple(sorted(kinds))))
    split = split_channels(plan, find_outliers(_calibrated(plan, _inputs(seed)), _inputs(seed), share))
    try:
        model = ptq(split, smooth_pixels(32, 16, 3, seed), PtqRecipe("mse", 32, 0, [], 0), _silent)
    except GateError as error:
        assert "calibration pictures" in error.found  # random weights sometimes leave a tensor at 0 on all of them
        reject()
    integers, pixels = extract(model), smooth_pixels(40, 16, 3, seed + 1)
    require_trained(model, integers, pixels[:8])
    classes, features = plan.weight.shape
    emit(integers, ModelSpec("random", 16, 16, 3, features, classes), "u8", folder / "m.onnx")
    engine = Engine(str(folder / "m.onnx"), optimized_path=str(folder / "optimized.onnx"))
    assert np.array_equal(run_in_batches(engine, pixels)[0], reference_features(integers, pixels))
    assert find_fused(integers, folder / "optimized.onnx").left_in_float == ()


@pytest.mark.parametrize("divided", [True, False])
def test_copies_together_have_the_steps_of_a_finer_grid(divided: bool) -> None:
    plan, step = make_plan(random_net(5, 3, 1, kinds=("plain",))), 0.07
    stem = plan.layers[0]
    split = split_channels(plan, (Split(stem.name, (1, 1), divided),)).layers[0]
    assert isinstance(stem, Conv) and isinstance(split, Conv) and split.copy is not None
    values = torch.nn.functional.conv2d(_inputs(5), split.weight[1:4], split.bias[1:4], padding=2)
    codes = torch.round(values / step + dither(split.copy)[1:4].view(1, -1, 1, 1)).sum(1)
    whole = values.sum(1) / step  # the sum of parts, or three times the whole
    assert (torch.round(whole) == codes).float().mean() > 0.999  # but for sums that float32 rounds to the other side


def test_a_channels_copies_have_weights_whose_mean_is_nearer_than_the_grid(tmp_path: Path) -> None:
    plan, pixels = make_plan(random_net(5, 3, 1, kinds=("plain",))), smooth_pixels(64, 16, 3, 5)
    stem = plan.layers[0]
    assert isinstance(stem, Conv)
    far = []
    for copies in (1, 4):
        split = split_channels(plan, (Split(stem.name, tuple(range(len(stem.weight))) * (copies - 1), False),))
        model = ptq(split, pixels, PtqRecipe("mse", 64, 0, [], 0), _silent)
        means = model.weights[stem.name].detach().unflatten(0, (-1, copies)).mean(1)
        inputs = to_input(torch.from_numpy(pixels))
        outputs = [convolve(stem.geometry, inputs, weight, None) for weight in (means, stem.weight)]
        far.append(float((outputs[0] - outputs[1]).std((0, 2, 3)).square().mean()))
    assert far[1] < far[0] / 4


@pytest.mark.parametrize("seed", [0, 2, 3, 5])  # of 1 and 4 a tensor is hardly reached
def test_noise_by_gradients_is_near_to_the_divergence_that_rounding_a_tensor_makes(seed: int) -> None:
    plan = make_plan(random_net(seed, 3, 2, bool(seed % 2), ("plain",)))
    inputs = to_input(torch.from_numpy(smooth_pixels(256, 16, 3, seed)))
    spread, mean = torch.std_mean(float_logits(plan, inputs), 0)
    plan = replace(
        plan, weight=plan.weight / spread[:, None], bias=(plan.bias - mean) / spread
    )  # as if it were trained
    model = _calibrated(plan, inputs)
    foreseen = channel_noise(model, inputs, torch.Generator().manual_seed(0))
    exact = float_logits(plan, inputs).log_softmax(1)
    found = {}
    for name in foreseen:
        values = {INPUT: inputs}
        with torch.no_grad():
            for layer in plan.layers:
                value = float_layer(layer, tuple(values[x] for x in layer.sources))
                values[layer.name] = model.round_output(layer, value) if layer.name == name else value
            features = values[plan.layers[-1].name].mean((2, 3))
            answers = torch.nn.functional.linear(features, plan.weight, plan.bias).log_softmax(1)
        found[name] = float((exact.exp() * (exact - answers)).sum(1).double().mean())
    for name, noise in foreseen.items():
        assert found[name] / 2 < noise.output.sum() < 2 * found[name]


def _with_outliers(seed: int, factor: float) -> Plan:
    """A network with one channel in each tensor `factor` times as large, whose readers make up for it."""
    plan = make_plan(random_net(seed, 3, 2, kinds=("plain",)))
    channels = tie_channels(plan)
    gain = torch.ones(1 + max(int(numbers.max()) for numbers in channels.of.values()))
    for numbers in channels.spaces().values():
        gain[numbers[0]] = factor
    layers = []
    for layer in plan.layers:
        if isinstance(layer, Conv):
            reads, writes = gain[channels.of[layer.sources[0]]], gain[channels.of[layer.name]]
            weight = layer.weight * (writes[:, None] / reads)[..., None, None]
            layer = replace(layer, weight=weight, bias=layer.bias * writes)
        layers.append(layer)
    return replace(plan, layers=tuple(layers))


def test_planted_outliers_cost_less_once_they_are_split() -> None:
    noise = []
    for share in (0, 0.75):  # of the multiply-adds
        plan, pixels = _with_outliers(4, 8), smooth_pixels(96, 16, 3, 4)
        inputs = to_input(torch.from_numpy(pixels))
        splits = find_outliers(_calibrated(plan, inputs[:32]), inputs[:32], share)
        split = split_channels(plan, splits)
        model = ptq(split, pixels[:64], PtqRecipe("mse", 64, 0, [], 0), _silent)
        with torch.no_grad():
            noise.append(float((model(inputs[64:])[1] - float_logits(plan, inputs[64:])).square().mean()))
    assert noise[1] < 0.2 * noise[0]


class _Grouped(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Conv2d(3, 8, 3), nn.Conv2d(8, 8, 3, groups=2), nn.ReLU6(), nn.Conv2d(8, 6, 1))
        self.pool, self.classifier = nn.AdaptiveAvgPool2d(1), nn.Linear(6, 2)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        features = torch.flatten(self.pool(self.layers(x)), 1)
        return features, self.classifier(features)


def test_pixels_features_and_what_a_grouped_convolution_touches_are_never_split() -> None:
    plan = make_plan(_Grouped())
    assert find_outliers(_calibrated(plan, _inputs(0)), _inputs(0), 1.0) == ()
    for tensor in (INPUT, *(layer.name for layer in plan.layers)):
        with pytest.raises(ValueError, match=tensor):
            split_channels(plan, (Split(tensor, (0,), False),))


def _work(plan: Plan, inputs: Tensor) -> int:
    """Multiply-adds, counted by what a convolution of ones with ones gives."""
    values, total = {INPUT: inputs[:1]}, 0.0
    for layer in plan.layers:
        sources = tuple(values[name] for name in layer.sources)
        values[layer.name] = float_layer(layer, sources)
        if isinstance(layer, Conv):
            ones = replace(layer.geometry, pads=(0, 0, 0, 0))
            padded = torch.nn.functional.pad(torch.ones_like(sources[0]), _sides(layer.geometry.pads), value=1.0)
            total += float(convolve(ones, padded, torch.ones_like(layer.weight), None).double().sum())
    return int(total)


def _sides(pads: tuple[int, int, int, int]) -> tuple[int, int, int, int]:
    top, left, bottom, right = pads
    return left, right, top, bottom


@settings(max_examples=10, deadline=None)
@given(**NETWORKS)
def test_splits_cost_what_was_allowed_and_at_most_one_step_more(
    seed: int, six: bool, kinds: set[str], share: float
) -> None:
    plan, inputs = make_plan(random_net(seed, 3, 3, six, tuple(sorted(kinds)))), _inputs(seed)
    model, whole = _calibrated(plan, inputs), _work(plan, inputs)
    splits = find_outliers(model, inputs, share)
    cost = _work(split_channels(plan, splits), inputs) - whole
    without_last = [
        _work(split_channels(plan, [*others, replace(split, channels=split.channels[:-steps])]), inputs) - whole
        for split in splits
        for others in [[x for x in splits if x is not split]]
        for steps in [math.gcd(len(tie_channels(plan).of[split.tensor]), 16)]
    ]
    assert cost >= share * whole or not splits
    assert min(without_last, default=0) < share * whole


def test_one_tensor_alone_is_split_where_it_is_named() -> None:
    plan, inputs = make_plan(random_net(4, 3, 3)), _inputs(4)
    stem, model = plan.layers[0].name, _calibrated(plan, inputs)
    (split,) = find_outliers(model, inputs, 0.5, [stem])
    assert split.tensor == stem and _work(split_channels(plan, [split]), inputs) >= 1.5 * _work(plan, inputs)
    with pytest.raises(GateError, match="pixels"):
        find_outliers(model, inputs, 1.0, ["pixels"])


def test_a_channel_behind_relu6_is_never_divided() -> None:
    plan = make_plan(random_net(5, 3, 1, True, ("plain",)))
    with pytest.raises(ValueError, match="first"):
        split_channels(plan, (Split("blocks_0_first_0", (0,), True),))


def test_the_certificate_says_what_was_split_and_verify_finds_it_so(tmp_path: Path) -> None:
    run, named = write_run(tmp_path / "run"), load_recipe(None, SIDE, SIDE)
    gates = replace(named.gates, max_drop_points=100.0)
    recipe = replace(named, ptq=replace(named.ptq, split_outliers=0.3), gates=gates)
    report = quantize(run, recipe, "ptq", None, None, _silent, with_sensitivity=True).report
    assert (
        report["splits"]["channels"] > 0 and 0 < report["splits"]["multiply_adds"] < report["multiply_adds"]["integer"]
    )
    assert [x["name"] for x in report["sensitivity"]["layers"]] == [x["name"] for x in report["layers"]]
    done = verify(run, _silent)
    assert {"splits.channels", "splits.multiply_adds", "report.html"} <= {x["name"] for x in done.fields["claims"]}
    path = run / "int8" / "report.json"
    report["splits"]["tensors"][0]["channels"] *= 2
    path.write_text(json.dumps(report))
    with pytest.raises(FormatError, match="splits"):
        verify(run, _silent)
    del report["splits"]
    path.write_text(json.dumps(report))
    with pytest.raises(FormatError, match="splits"):
        verify(run, _silent)
