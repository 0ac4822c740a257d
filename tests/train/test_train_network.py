"""The network's form, which quantization relies on, and the random changes of pictures."""

from dataclasses import replace

import pytest
import torch
from torch import fx, nn

from edge.contract.errors import UsageError
from train.augment import Augmentation, make_augment
from train.network import NETWORKS, build_network, to_input

STRONG = Augmentation(degrees=20, translate=0.1, scale=0.2, shear=10, brightness=0.3, contrast=0.3, flip=0.5)


def pictures(count: int, channels: int = 3) -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.randint(0, 256, (count, 32, 32, channels), dtype=torch.uint8, generator=generator)


def test_the_input_is_the_pixel_minus_128_in_steps_of_a_128th() -> None:
    values = to_input(torch.tensor([0, 127, 128, 255], dtype=torch.uint8).reshape(1, 2, 2, 1))
    assert (values * 128).flatten().tolist() == [-128, -1, 0, 127]


@pytest.mark.parametrize("channels", [1, 3])
def test_a_network_gives_features_and_logits_from_a_map_of_4_by_4_that_ends_in_relu(channels: int) -> None:
    network = build_network("resnet-s", channels, 7).eval()
    maps = []
    network.pool.register_forward_pre_hook(lambda _, inputs: maps.append(inputs[0]))
    features, logits = network(to_input(pictures(2, channels)))
    assert maps[0].shape == (2, NETWORKS["resnet-s"], 4, 4)
    assert maps[0].min() >= 0
    assert features.shape == (2, NETWORKS["resnet-s"]) and logits.shape == (2, 7)


def test_fx_traces_a_network_into_operations_with_an_integer_form() -> None:
    graph = fx.symbolic_trace(build_network("resnet-s", 3, 10))
    kinds = {type(m) for m in graph.modules() if not list(m.children())}
    assert kinds == {nn.Conv2d, nn.BatchNorm2d, nn.ReLU, nn.Identity, nn.AdaptiveAvgPool2d, nn.Linear}
    assert all(m.bias is None for m in graph.modules() if isinstance(m, nn.Conv2d))
    assert {n.target.__name__ for n in graph.graph.nodes if n.op == "call_function"} == {"add", "flatten"}


def test_an_unknown_network_is_refused() -> None:
    with pytest.raises(UsageError, match="the network 'vgg'; expected one of resnet-s"):
        build_network("vgg", 1, 2)


def test_changed_pictures_are_bytes_of_the_same_shape_and_differ_among_each_other() -> None:
    before = pictures(1).expand(32, -1, -1, -1)
    after = make_augment(STRONG, 0)(before)
    assert after.shape == before.shape and after.dtype == torch.uint8
    assert len({bytes(picture.numpy().tobytes()) for picture in after}) > 1


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
