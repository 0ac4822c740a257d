"""Freezing: which layers keep their weights, which batch norms their statistics, and that they cost no gradient."""

import pytest
import torch
from torch import nn

from train.freeze import freeze, set_training
from train.network import build_network


def lite() -> nn.Module:
    return build_network("efficientnet-lite0", 3, 5, (32, 32))


def test_an_eighth_of_lite0_is_its_stem_and_first_two_blocks() -> None:
    network = lite()
    freeze(network, 0.125)
    frozen = {".".join(n.split(".")[:2]) for n, p in network.named_parameters() if not p.requires_grad}
    assert frozen == {"stem.conv", "stem.norm", "blocks.0", "blocks.1"}
    assert all(p.requires_grad for n, p in network.named_parameters() if n.split(".")[:2] == ["blocks", "2"])


@pytest.mark.parametrize(("share", "some"), [(0.0, False), (0.99, True)])
def test_no_share_freezes_nothing_and_the_classifier_always_trains(share: float, some: bool) -> None:
    network = lite()
    freeze(network, share)
    assert any(not p.requires_grad for p in network.parameters()) == some
    assert network.classifier.weight.requires_grad


def test_frozen_layers_record_no_gradient() -> None:
    network = lite()
    freeze(network, 0.125)
    set_training(network, frozen_norms=False)
    values = network.blocks[1](network.blocks[0](network.stem(torch.zeros(2, 3, 32, 32))))
    assert not values.requires_grad
    assert network.blocks[2](values).requires_grad


@pytest.mark.parametrize("frozen_norms", [False, True])
def test_batch_norms_keep_their_statistics_where_asked_and_always_in_frozen_layers(frozen_norms: bool) -> None:
    network = lite()
    freeze(network, 0.125)
    set_training(network, frozen_norms)
    assert network.training and network.dropout.training
    assert not network.stem.norm.training
    assert network.head.norm.training != frozen_norms


def test_a_network_without_weights_and_a_norm_without_parameters_are_left_in_peace() -> None:
    network = nn.Sequential(nn.BatchNorm2d(3, affine=False), nn.Flatten())
    freeze(network, 0.5)
    set_training(network, frozen_norms=False)
    assert network[0].training
