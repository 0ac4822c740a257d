"""The networks' form, which quantization relies on, and the random changes of pictures."""

import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import fx, nn

from edge.contract.errors import UsageError
from train.augment import Augmentation, make_augment
from train.efficientnet import same_padding
from train.network import NETWORKS, build_network, count_features, to_input

SMALL = (32, 32)
PLANNED = {
    nn.Conv2d, nn.BatchNorm2d, nn.ReLU, nn.ReLU6, nn.Hardswish, nn.Hardsigmoid, nn.MaxPool2d, nn.AdaptiveAvgPool2d,
    nn.ZeroPad2d, nn.Dropout, nn.Identity, nn.Linear,
}  # fmt: skip
STRONG = Augmentation(
    degrees=20, translate=0.1, scale=0.2, shear=10, crop=0.5, brightness=0.3, contrast=0.3, saturation=0.3, flip=0.5,
    invert=0.5,
)  # fmt: skip


def pictures(count: int, channels: int = 3) -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.randint(0, 256, (count, 32, 32, channels), dtype=torch.uint8, generator=generator)


def test_the_input_is_the_pixel_minus_128_in_steps_of_a_128th() -> None:
    values = to_input(torch.tensor([0, 127, 128, 255], dtype=torch.uint8).reshape(1, 2, 2, 1))
    assert (values * 128).flatten().tolist() == [-128, -1, 0, 127]


@pytest.mark.parametrize("channels", [1, 3])
def test_resnet_s_gives_features_and_logits_from_a_map_of_4_by_4_that_ends_in_relu(channels: int) -> None:
    network = build_network("resnet-s", channels, 7, SMALL).eval()
    maps = []
    network.pool.register_forward_pre_hook(lambda _, inputs: maps.append(inputs[0]))
    features, logits = network(to_input(pictures(2, channels)))
    assert maps[0].shape == (2, 64, 4, 4)
    assert maps[0].min() >= 0
    assert features.shape == (2, 64) and logits.shape == (2, 7)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("name", NETWORKS)
def test_fx_traces_every_network_into_operations_that_can_be_planned(name: str, channels: int) -> None:
    network = build_network(name, channels, 5, (40, 33)).eval()
    graph = fx.symbolic_trace(network)
    assert {type(m) for m in graph.modules() if not list(m.children())} <= PLANNED | {nn.Module}
    functions = {n.target.__name__ for n in graph.graph.nodes if n.op == "call_function"}
    assert functions <= {"add", "iadd", "mul", "flatten"}
    features, logits = network(torch.zeros(1, channels, 40, 33))
    assert features.shape == (1, count_features(network, channels, (40, 33))) and logits.shape == (1, 5)


@pytest.mark.parametrize(
    ("name", "convolutions", "features"),
    [
        ("efficientnet-lite0", 49, 1280),
        ("efficientnet-lite4", 91, 1280),
        ("mobilenet-v3-small", 52, 576),
        ("resnet18", 20, 512),
    ],
)
def test_networks_have_their_published_depth_and_width(name: str, convolutions: int, features: int) -> None:
    network = build_network(name, 3, 2, SMALL)
    assert sum(isinstance(m, nn.Conv2d) for m in network.modules()) == convolutions
    assert count_features(network, 3, SMALL) == features
    assert network.training


@pytest.mark.parametrize(("name", "millions"), [("lite0", 4.65), ("lite1", 5.42), ("lite2", 6.09), ("lite3", 8.20)])
def test_an_efficientnet_lite_has_its_published_number_of_parameters(name: str, millions: float) -> None:
    network = build_network(f"efficientnet-{name}", 3, 1000, SMALL)
    assert sum(p.numel() for p in network.parameters()) / 1e6 == pytest.approx(millions, abs=0.01)


@given(side=st.integers(1, 70), kernel=st.sampled_from([1, 3, 5]), stride=st.sampled_from([1, 2]))
@settings(max_examples=50, deadline=None)
def test_same_padding_gives_the_side_over_the_stride_with_the_odd_pixel_after(
    side: int, kernel: int, stride: int
) -> None:
    before, after = same_padding(side, kernel, stride)
    assert after - before in (0, 1)
    assert (side + before + after - kernel) // stride + 1 == -(-side // stride)


def test_the_names_of_the_weights_do_not_depend_on_the_size() -> None:
    sizes = [(224, 224), (225, 225), (33, 40)]
    names = [list(build_network("efficientnet-lite0", 3, 2, size).state_dict()) for size in sizes]
    assert names[0] == names[1] == names[2]


@pytest.mark.parametrize("name", NETWORKS)
def test_after_two_hundred_steps_batch_norms_know_the_pictures_whatever_they_began_with(name: str) -> None:
    norms = [m for m in build_network(name, 3, 5, (64, 64)).modules() if isinstance(m, nn.BatchNorm2d)]
    assert norms and all((1 - norm.momentum) ** 200 < 0.01 for norm in norms)


def test_an_unknown_network_is_refused() -> None:
    with pytest.raises(UsageError, match="the network 'vgg'; expected one of resnet-s, efficientnet-lite0"):
        build_network("vgg", 1, 2, SMALL)


NETWORK_FILE = """
import torch
from torch import nn

class Net(nn.Module):
    def __init__(self, channels, classes):
        super().__init__()
        self.conv = nn.Conv2d(channels, 4, 3)
        self.classifier = nn.Linear(4, classes)

    def forward(self, x):
        features = self.conv(x).mean((2, 3))
        return features, self.classifier(features)

def build(channels, classes): return Net(channels, classes)
def one_more(channels, classes): return Net(channels, classes + 1)
def grey_only(channels, classes): return Net(1, classes)
def plain(channels, classes): return nn.Flatten()
def number(channels, classes): return 3
def broken(channels, classes): raise ValueError("not today")
"""


def test_a_users_network_is_found_in_the_current_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "found_here.py").write_text(NETWORK_FILE)
    monkeypatch.chdir(tmp_path)
    before = list(sys.path)
    network = build_network("found_here:build", 3, 2, SMALL)
    assert count_features(network, 3, SMALL) == 4
    assert sys.path == before


@pytest.mark.parametrize(
    ("function", "reason"),
    [
        ("one_more", r"gives \(2, 4\) and \(2, 3\) for two pictures, not .* logits \(2, 2\)"),
        ("grey_only", r"fails on a batch of shape \(2, 3, 32, 32\) \(RuntimeError"),
        ("plain", "gives something else than two tensors"),
        ("number", "gives int, no nn.Module"),
        ("broken", r"\(ValueError: not today\)"),
        ("absent", r"\(AttributeError"),
        ("", r"\(AttributeError"),
    ],
)
def test_a_users_function_that_gives_something_else_is_refused_in_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, function: str, reason: str
) -> None:
    (tmp_path / "refused_here.py").write_text(NETWORK_FILE)
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(UsageError, match=reason) as refusal:
        build_network(f"refused_here:{function}", 3, 2, SMALL)
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize("name", ["no_such_package:build", ":build", "a b:c", "..:x"])
def test_a_users_network_that_does_not_import_is_refused_in_one_line(name: str) -> None:
    with pytest.raises(UsageError, match="does not give a network") as refusal:
        build_network(name, 3, 2, SMALL)
    assert "\n" not in str(refusal.value)


def test_changed_pictures_are_bytes_of_the_same_shape_and_differ_among_each_other() -> None:
    before = pictures(1).expand(32, -1, -1, -1)
    after = make_augment(STRONG, 0)(before)
    assert after.shape == before.shape and after.dtype == torch.uint8
    assert len({bytes(picture.numpy().tobytes()) for picture in after}) > 1


def test_a_picture_becomes_its_negative_as_often_as_asked() -> None:
    before = pictures(64)
    assert torch.equal(make_augment(Augmentation(invert=1), 0)(before), 255 - before)
    after = make_augment(Augmentation(invert=0.5), 0)(before)
    negatives = (after == 255 - before).all((1, 2, 3))
    assert torch.equal(after[~negatives], before[~negatives]) and 0 < negatives.sum() < len(before)


def test_changes_repeat_with_the_seed_and_the_count_of_calls_whatever_the_global_generator_does() -> None:
    before = pictures(8)
    augment = make_augment(STRONG, 5)
    first, second = augment(before), augment(before)
    torch.rand(3)
    assert torch.equal(make_augment(STRONG, 5)(before), first)
    assert torch.equal(make_augment(STRONG, 5, calls=1)(before), second)
    assert not torch.equal(first, second)
    assert not torch.equal(make_augment(STRONG, 6)(before), first)


def test_changing_pictures_leaves_the_global_generator_alone() -> None:
    state = torch.get_rng_state()
    make_augment(STRONG, 0)(pictures(4))
    assert torch.equal(torch.get_rng_state(), state)


def test_no_strength_changes_nothing_and_a_flip_mirrors() -> None:
    before = pictures(4)
    assert torch.equal(make_augment(Augmentation(), 0)(before), before)
    assert torch.equal(make_augment(replace(Augmentation(), flip=1.0), 0)(before), before.flip(2))


def test_large_pictures_are_each_changed_in_their_own_way_and_keep_their_size() -> None:
    before = pictures(1).repeat(3, 4, 3, 1)
    after = make_augment(Augmentation(crop=0.8), 0)(before)
    assert after.shape == before.shape == (3, 128, 96, 3)
    assert make_augment(Augmentation(crop=0.8), 0, size=(96, 64))(before).shape == (3, 96, 64, 3)
    assert not torch.equal(after[0], after[1]) and not torch.equal(after[1], after[2])
