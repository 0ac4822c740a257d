"""The networks by name: a registry, and the one arithmetic from camera bytes to a network's input.

Every network is an nn.Module that maps (N, C, H, W) float32 to (features, logits) and that torch.fx traces into
convolutions, batch norms, ReLUs and their like (docs/architecture.md has the list that quantization plans).
"""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from edge.contract.errors import UsageError
from train import backbones, efficientnet, resnet, user_network

Size = tuple[int, int]  # height, width

_BUILDERS: dict[str, Callable[[int, int, Size], nn.Module]] = {
    "resnet-s": lambda channels, classes, _: resnet.ResidualNetwork(channels, classes),
    **{name: efficientnet.builder(scaling) for name, scaling in efficientnet.SCALINGS.items()},
    **{name: backbones.builder(name) for name in backbones.NETWORKS},
}
NETWORKS = tuple(_BUILDERS)
EXPECTED_NAMES = f"one of {', '.join(NETWORKS)}, or your own as package.module:function"


def to_input(pixels: Tensor) -> Tensor:
    """(N, H, W, C) uint8 -> (N, C, H, W) float32, (pixel - 128) / 128: the INT8 code of a pixel is the pixel - 128."""
    return (pixels.permute(0, 3, 1, 2).float() - 128) / 128


def build_network(name: str, channels: int, classes: int, size: Size) -> nn.Module:
    """A network with fresh weights: (N, channels, H, W) float32 -> features (N, D), logits (N, classes), both float32.

    name: one of NETWORKS, or `package.module:function`, a user's own (train/user_network.py). size: (height, width) of
    the input, on which TensorFlow's padding depends. torch.fx can trace it. Raises UsageError for an unknown name.
    """
    if name in _BUILDERS:
        return _BUILDERS[name](channels, classes, size)
    if ":" in name:
        return user_network.build(name, channels, classes, size)
    raise UsageError(f"the network {name!r}", EXPECTED_NAMES, "name one of these")


def count_features(network: nn.Module, channels: int, size: Size) -> int:
    """D, found by running the network once on zeros."""
    was_training = network.training
    with torch.no_grad():
        features, _ = network.eval()(torch.zeros(1, channels, *size))
    network.train(was_training)
    return int(features.shape[1])
