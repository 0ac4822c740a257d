"""torchvision's MobileNetV2, MobileNetV3 and ResNets, cut to a backbone, the global average and one linear layer."""

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from train.vision import models

_MOMENTUM = 0.1  # PyTorch's. torchvision's MobileNetV3 has 0.01, with which a training of 200 steps ends at chance


@dataclass(frozen=True)
class Origin:
    model: str  # torchvision's name
    features: int
    dropout: float = 0.0
    zero_init_residual: bool = False  # blocks start as the identity: Goyal et al. 2017, 5.1


NETWORKS = {
    "mobilenet-v2": Origin("mobilenet_v2", 1280, 0.2),
    "mobilenet-v3-small": Origin("mobilenet_v3_small", 576, 0.2),
    "mobilenet-v3-large": Origin("mobilenet_v3_large", 960, 0.2),
    "resnet18": Origin("resnet18", 512, zero_init_residual=True),
    "resnet50": Origin("resnet50", 2048, zero_init_residual=True),
}


def builder(name: str) -> Callable[[int, int, tuple[int, int]], nn.Module]:
    return lambda channels, classes, _: Backbone(NETWORKS[name], channels, classes)


class Backbone(nn.Module):
    """A torchvision network's convolutional part, the global average, and one linear layer.

    MobileNetV3's hidden classifier layer (1024 or 1280 wide, after the average) is left out: the board learns on the
    features, and what stands before its head has to be the average that quantization knows. Pictures that are not
    3-channel get a first convolution of their own.
    """

    def __init__(self, origin: Origin, channels: int, classes: int) -> None:
        super().__init__()
        options = {"zero_init_residual": True} if origin.zero_init_residual else {}
        model = getattr(models, origin.model)(weights=None, **options)
        parts = model.features.named_children() if hasattr(model, "features") else model.named_children()
        self.body = nn.Sequential(OrderedDict(part for part in parts if part[0] not in ("avgpool", "fc")))
        for module in self.body.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.momentum = _MOMENTUM
        if channels != 3:
            _replace_first_convolution(self.body, channels)
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.dropout = nn.Dropout(origin.dropout)
        self.classifier = nn.Linear(origin.features, classes)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        features = torch.flatten(self.pool(self.body(x)), 1)
        return features, self.classifier(self.dropout(features))


def _replace_first_convolution(body: nn.Sequential, channels: int) -> None:
    name, first = next((n, m) for n, m in body.named_modules() if isinstance(m, nn.Conv2d))
    kernel, stride = first.kernel_size[0], first.stride[0]
    fresh = nn.Conv2d(channels, first.out_channels, kernel, stride, kernel // 2, bias=False)
    nn.init.kaiming_normal_(fresh.weight, mode="fan_out")
    body.set_submodule(name, fresh)
