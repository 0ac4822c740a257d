"""A network becomes a plan, or the node that cannot is named."""

import pytest
import torch
from networks import KINDS, Net, random_net, smooth_pixels
from torch import Tensor, nn

from edge.contract.errors import GateError
from quantize.plan import INPUT, Add, Conv, float_layer
from quantize.trace import make_plan
from train.network import build_network, to_input


@pytest.mark.parametrize("six", [False, True])
@pytest.mark.parametrize("kind", KINDS)
def test_the_folded_plan_computes_what_the_network_does(six: bool, kind: str) -> None:
    net = random_net(3, channels=3, six=six, kinds=(kind,))
    x = to_input(torch.from_numpy(smooth_pixels(8, 16, 3, 9)))
    plan = make_plan(net)
    values = {INPUT: x}
    for layer in plan.layers:
        values[layer.name] = float_layer(layer, tuple(values[name] for name in layer.sources))
    features = values[plan.layers[-1].name].mean((2, 3))
    with torch.no_grad():
        expected, logits = net(x)
    torch.testing.assert_close(features, expected, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(features @ plan.weight.T + plan.bias, logits, rtol=1e-4, atol=1e-4)


def test_every_convolution_and_add_of_the_shipped_network_is_planned() -> None:
    plan = make_plan(build_network("resnet-s", 1, 10, (32, 32)))
    kinds = [type(layer) for layer in plan.layers]
    assert (kinds.count(Conv), kinds.count(Add)) == (11, 4)
    assert {type(layer) for layer in plan.layers} == {Conv, Add}


class _Ending(nn.Module):
    """A convolution, something in between, and a proper end."""

    def __init__(self, middle: nn.Module, after: nn.Module | None = None) -> None:
        super().__init__()
        self.conv = nn.Conv2d(1, 4, 3)
        self.middle = middle
        self.after = after or nn.Identity()
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.classifier = nn.Linear(4, 2)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        features = torch.flatten(self.pool(self.after(self.middle(self.conv(x)))), 1)
        return features, self.classifier(features)


@pytest.mark.parametrize(
    ("middle", "named"),
    [
        (nn.Sigmoid(), "middle"),
        (nn.MaxPool2d(2, ceil_mode=True), "middle"),
        (nn.AvgPool2d(2), "middle"),
        (nn.Conv2d(4, 4, 3, padding_mode="reflect"), "middle"),
        (nn.Sequential(nn.ReLU(), nn.ReLU()), "middle_1"),
        (nn.Sequential(nn.ReLU(), nn.BatchNorm2d(4)), "middle_1"),
        (nn.AdaptiveAvgPool2d(2), "middle"),
        (nn.ZeroPad2d(1), "middle"),
    ],
)
def test_what_cannot_be_planned_is_named(middle: nn.Module, named: str) -> None:
    with pytest.raises(GateError, match=named):
        make_plan(_Ending(middle))


def test_an_activation_that_is_not_the_only_reader_is_refused() -> None:
    class Twice(_Ending):
        def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
            y = self.conv(x)
            features = torch.flatten(self.pool(self.middle(y) + y), 1)
            return features, self.classifier(features)

    with pytest.raises(GateError, match="middle"):
        make_plan(Twice(nn.ReLU()))


def test_control_flow_that_cannot_be_traced_gets_one_clear_line() -> None:
    class Branch(_Ending):
        def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
            return super().forward(x if x.sum() > 0 else -x)

    with pytest.raises(GateError, match="trace"):
        make_plan(Branch(nn.ReLU()))


def test_a_network_that_gives_logits_alone_is_refused() -> None:
    class Logits(Net):
        def forward(self, x: Tensor) -> Tensor:  # type: ignore[override]
            return super().forward(x)[1]

    net = random_net(1)
    net.__class__ = Logits
    with pytest.raises(GateError, match="output"):
        make_plan(net)
