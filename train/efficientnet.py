"""EfficientNet-Lite 0 to 4: EfficientNet without squeeze-excite, ReLU6 for swish, stem and head of fixed width.

Mobile inverted residuals (arXiv 1801.04381) scaled as in EfficientNet (arXiv 1905.11946); the Lite variant is that of
Google's tpu repository (models/official/efficientnet/lite). Padding is TensorFlow's "SAME": the odd pixel goes below
and to the right, so that ImageNet weights trained there fit; it depends on the size of the map.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

Size = tuple[int, int]  # height, width of a map


@dataclass(frozen=True)
class Scaling:
    width: float  # times the channels
    depth: float  # times the blocks of a stage
    size: int  # of the pictures it was made for, pixels
    dropout: float


@dataclass(frozen=True)
class Stage:
    blocks: int
    kernel: int
    stride: int  # of the first block
    expansion: int
    channels: int


SCALINGS = {
    "efficientnet-lite0": Scaling(1.0, 1.0, 224, 0.2),
    "efficientnet-lite1": Scaling(1.0, 1.1, 240, 0.2),
    "efficientnet-lite2": Scaling(1.1, 1.2, 260, 0.3),
    "efficientnet-lite3": Scaling(1.2, 1.4, 280, 0.3),
    "efficientnet-lite4": Scaling(1.4, 1.8, 300, 0.3),
}
STEM, HEAD = 32, 1280  # channels
STAGES = (
    Stage(1, 3, 1, 1, 16),
    Stage(2, 3, 2, 6, 24),
    Stage(2, 5, 2, 6, 40),
    Stage(3, 3, 2, 6, 80),
    Stage(3, 5, 1, 6, 112),
    Stage(4, 5, 2, 6, 192),
    Stage(1, 3, 1, 6, 320),
)


def builder(scaling: Scaling) -> Callable[[int, int, Size], nn.Module]:
    return lambda channels, classes, size: EfficientNetLite(scaling, channels, classes, size)


class EfficientNetLite(nn.Module):
    def __init__(self, scaling: Scaling, channels: int, classes: int, size: Size) -> None:
        super().__init__()
        self.stem = Convolution(channels, STEM, 3, 2, size)
        size = halved(size)
        blocks: list[nn.Module] = []
        inputs = STEM
        for stage in STAGES:
            outputs = scale_channels(stage.channels, scaling.width)
            for index in range(count_blocks(stage, scaling.depth)):
                stride = stage.stride if index == 0 else 1
                blocks.append(InvertedResidual(inputs, outputs, stage.expansion, stage.kernel, stride, size))
                size = halved(size) if stride == 2 else size
                inputs = outputs
        self.blocks = nn.Sequential(*blocks)
        self.head = Convolution(inputs, HEAD, 1, 1, size)
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.dropout = nn.Dropout(scaling.dropout)
        self.classifier = nn.Linear(HEAD, classes)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        features = torch.flatten(self.pool(self.head(self.blocks(self.stem(x)))), 1)
        return features, self.classifier(self.dropout(features))


class InvertedResidual(nn.Module):
    """1x1 to more channels, a depthwise convolution, 1x1 to fewer; around them the input where the shape stays."""

    def __init__(self, inputs: int, outputs: int, expansion: int, kernel: int, stride: int, size: Size) -> None:
        super().__init__()
        inner = inputs * expansion
        self.expand = nn.Identity() if expansion == 1 else Convolution(inputs, inner, 1, 1, size)
        self.depthwise = Convolution(inner, inner, kernel, stride, size, groups=inner)
        self.project = Convolution(inner, outputs, 1, 1, size, linear=True)
        self.residual = stride == 1 and inputs == outputs

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.project(self.depthwise(self.expand(x)))
        return y + x if self.residual else y


class Convolution(nn.Module):
    """A convolution padded as TensorFlow's "SAME" does, its batch normalisation, and ReLU6 unless it is linear."""

    def __init__(
        self, inputs: int, outputs: int, kernel: int, stride: int, size: Size, groups: int = 1, linear: bool = False
    ) -> None:
        super().__init__()
        (top, bottom), (left, right) = (same_padding(side, kernel, stride) for side in size)
        symmetric = top == bottom and left == right
        self.pad: nn.Module = nn.Identity() if symmetric else nn.ZeroPad2d((left, right, top, bottom))
        padding = (top, left) if symmetric else 0
        self.conv = nn.Conv2d(inputs, outputs, kernel, stride, padding, groups=groups, bias=False)
        self.norm = nn.BatchNorm2d(outputs, eps=1e-3)
        self.activation = nn.Identity() if linear else nn.ReLU6()

    def forward(self, x: Tensor) -> Tensor:
        return self.activation(self.norm(self.conv(self.pad(x))))  # type: ignore[no-any-return]


def same_padding(side: int, kernel: int, stride: int) -> tuple[int, int]:
    """Pixels before and after, so that the output has ceil(side / stride)."""
    total = max((math.ceil(side / stride) - 1) * stride + kernel - side, 0)
    return total // 2, total - total // 2


def halved(size: Size) -> Size:
    """Of a map after stride 2 with "SAME" padding."""
    return math.ceil(size[0] / 2), math.ceil(size[1] / 2)


def scale_channels(channels: int, width: float) -> int:
    """The nearest multiple of 8, but not more than a tenth below."""
    nearest = max(8, int(channels * width + 4) // 8 * 8)
    return nearest + 8 if nearest < 0.9 * channels * width else nearest


def count_blocks(stage: Stage, depth: float) -> int:
    """The first and the last stage keep theirs in every variant."""
    return stage.blocks if stage in (STAGES[0], STAGES[-1]) else math.ceil(stage.blocks * depth)
