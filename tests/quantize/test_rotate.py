"""Linear bottlenecks are turned, and nothing else is."""

import pytest
import torch
from networks import Bottleneck, random_net, smooth_pixels

from quantize.fake import FakeQuant
from quantize.plan import Conv, Plan, float_logits
from quantize.rotate import rotate_bottlenecks
from quantize.trace import make_plan
from train.network import build_network, to_input


def _convs(plan: Plan) -> dict[str, Conv]:
    return {layer.name: layer for layer in plan.layers if isinstance(layer, Conv)}


def _moved(plan: Plan) -> set[str]:
    """The convolutions whose weights another turn changes."""
    before, after = _convs(plan), _convs(rotate_bottlenecks(plan))
    return {name for name, conv in before.items() if not torch.equal(conv.weight, after[name].weight)}


@pytest.mark.parametrize("six", [False, True])
def test_what_writes_and_reads_a_bottleneck_is_turned_and_the_answers_stay(six: bool) -> None:
    plan = make_plan(random_net(3, 3, 1, six, ("bottleneck",)))
    inputs = to_input(torch.from_numpy(smooth_pixels(32, 16, 3, 3)))
    assert _moved(plan) == {f"blocks_0_{name}" for name in ("first_0", "second_0", "second_4", "last_0")}
    torch.testing.assert_close(float_logits(rotate_bottlenecks(plan), inputs), float_logits(plan, inputs))


@pytest.mark.parametrize("kind", ["residual", "plain", "depthwise", "squeeze", "branches"])
def test_a_network_without_linear_bottlenecks_stays_as_it_is(kind: str) -> None:
    assert _moved(make_plan(random_net(3, 3, 3, True, (kind,)))) == set()


def test_all_bottlenecks_of_efficientnet_lite_are_turned_and_its_features_are_not() -> None:
    plan = make_plan(build_network("efficientnet-lite0", 3, 5, (64, 64)))
    moved = _moved(plan)
    assert {name for name in moved if name.endswith("project_conv")} == {f"blocks_{i}_project_conv" for i in range(16)}
    assert not any("depthwise" in name or name == "stem_conv" for name in moved) and "head_conv" in moved


def test_a_channel_that_stands_out_costs_less_once_it_is_turned(monkeypatch: pytest.MonkeyPatch) -> None:
    net = random_net(3, 3, 1, kinds=("bottleneck",))
    inputs = to_input(torch.from_numpy(smooth_pixels(96, 16, 3, 3)))
    block = net.blocks[0]
    assert isinstance(block, Bottleneck)
    with torch.no_grad():
        for module in (block.first[1], block.second[4]):  # the second channel thirty times as large where it is written
            module.weight[1] *= 30
            module.bias[1] *= 30
        block.second[0].weight[:, 1] /= 30
        block.last[0].weight[:, 1] /= 30
    plans = [make_plan(net)]
    monkeypatch.setattr("quantize.trace.rotate_bottlenecks", lambda plan: plan)
    plans.append(make_plan(net))
    noise = []
    for plan in plans:
        model = FakeQuant(plan)
        model.calibrate(inputs)
        with torch.no_grad():
            noise.append(float((model(inputs)[1] - float_logits(plan, inputs)).square().mean()))
    assert noise[0] < noise[1] / 2
