"""Random small networks and pictures for the tests of quantization."""

import numpy as np
import torch
from torch import nn

from edge.contract.spec import ModelSpec
from quantize.fake import FakeQuant
from quantize.integers import Integers, extract
from quantize.trace import make_plan
from train.network import to_input


class Block(nn.Module):
    """A residual or plain block with every choice that a plan knows."""

    def __init__(self, inputs: int, outputs: int, stride: int, residual: bool, six: bool, depthwise: bool) -> None:
        super().__init__()
        groups = inputs if depthwise else 1
        middle = inputs if depthwise else outputs
        self.first = nn.Sequential(
            nn.Conv2d(inputs, middle, 3, stride, 1, groups=groups, bias=False), nn.BatchNorm2d(middle)
        )
        self.first_relu = nn.ReLU6() if six else nn.ReLU()
        self.second = nn.Sequential(nn.Conv2d(middle, outputs, 1), nn.BatchNorm2d(outputs))
        self.relu = nn.ReLU6() if six else nn.ReLU()
        self.residual = residual
        if residual:
            same = stride == 1 and inputs == outputs
            self.shortcut = nn.Identity() if same else nn.Conv2d(inputs, outputs, 1, stride)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.second(self.first_relu(self.first(x)))
        if self.residual:
            y = y + self.shortcut(x)
        return self.relu(y)


class SqueezeExcite(nn.Module):
    """MobileNetV3's block: hard swish, and channels weighed by what the whole map holds."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.expand = nn.Sequential(nn.Conv2d(inputs, 12, 1, bias=False), nn.BatchNorm2d(12), nn.Hardswish())
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.squeeze = nn.Sequential(nn.Conv2d(12, 4, 1), nn.ReLU(), nn.Conv2d(4, 12, 1), nn.Hardsigmoid())
        self.project = nn.Sequential(nn.Conv2d(12, outputs, 1, bias=False), nn.BatchNorm2d(outputs), nn.Hardswish())

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.expand(x)
        return self.project(self.squeeze(self.pool(y)) * y)


class Branches(nn.Module):
    """Concatenated branches: max pooled, dilated, and padded on two sides alone as TensorFlow does."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.pool = nn.MaxPool2d(3, 2, 1)
        self.dilated = nn.Sequential(nn.Conv2d(inputs, 6, 3, 2, 2, dilation=2), nn.ReLU6())
        self.padded = nn.Sequential(nn.ZeroPad2d((0, 1, 0, 1)), nn.Conv2d(inputs, 6, 3, 2))
        self.join = nn.Sequential(nn.Conv2d(inputs + 12, outputs, 1), nn.ReLU())

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.join(torch.cat((self.pool(x), self.dilated(x), self.padded(x)), 1))


class Bottleneck(nn.Module):
    """MobileNetV2's: two linear bottlenecks, the second added to the first, and what reads them."""

    def __init__(self, inputs: int, outputs: int, six: bool) -> None:
        super().__init__()
        self.first = nn.Sequential(nn.Conv2d(inputs, 6, 1, bias=False), nn.BatchNorm2d(6))
        relu = nn.ReLU6 if six else nn.ReLU
        self.second = nn.Sequential(
            nn.Conv2d(6, 16, 1), relu(), nn.Conv2d(16, 16, 3, 1, 1, groups=16), relu(), nn.Conv2d(16, 6, 1)
        )
        self.last = nn.Sequential(nn.Conv2d(6, outputs, 3, 2, 1), nn.BatchNorm2d(outputs), relu())

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.first(x)
        return self.last(y + self.second(y))


class Net(nn.Module):
    def __init__(self, stem: list[nn.Module], blocks: list[nn.Module], first: int, features: int, classes: int) -> None:
        super().__init__()
        self.stem = nn.Sequential(*stem, nn.BatchNorm2d(first), nn.ReLU())
        self.blocks = nn.Sequential(*blocks)
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.classifier = nn.Linear(features, classes)

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        features = torch.flatten(self.pool(self.blocks(self.stem(x))), 1)
        return features, self.classifier(features)


def smooth_pixels(count: int, size: int, channels: int, seed: int) -> np.ndarray:
    """(count, size, size, channels) uint8 with the full range and some structure."""
    random = np.random.RandomState(seed)
    coarse = random.randint(0, 256, (count, size // 4 + 1, size // 4 + 1, channels)).repeat(4, 1).repeat(4, 2)
    noise = random.randint(-40, 41, (count, size, size, channels))
    return np.clip(coarse[:, :size, :size] + noise, 0, 255).astype(np.uint8)


KINDS = ("residual", "plain", "depthwise", "squeeze", "branches", "bottleneck")


def random_net(seed: int, channels: int = 1, blocks: int = 2, six: bool = False, kinds: tuple[str, ...] = KINDS) -> Net:
    """Random blocks of `kinds`, random weights, and batch norms that have seen pictures; in evaluation mode."""
    torch.manual_seed(seed)
    random = np.random.RandomState(seed)
    widths = [int(random.choice([4, 8, 12])) for _ in range(blocks + 1)]
    parts = [_block(str(random.choice(kinds)), widths[i], widths[i + 1], six, random) for i in range(blocks)]
    net = Net(_stem(channels, widths[0], random), parts, widths[0], widths[-1], 4)
    net.train()
    with torch.no_grad():
        for i in range(5):
            net(to_input(torch.from_numpy(smooth_pixels(16, 16, channels, seed + i))))
    return net.eval()


def _stem(channels: int, outputs: int, random: np.random.RandomState) -> list[nn.Module]:
    kernel, stride = int(random.choice([3, 5, 7])), int(random.choice([1, 2]))
    if stride == 2 and random.randint(2):  # TensorFlow's "SAME"
        sides = ((kernel - 2) // 2, (kernel - 1) // 2)
        return [nn.ZeroPad2d(sides * 2), nn.Conv2d(channels, outputs, kernel, 2, bias=False)]
    return [nn.Conv2d(channels, outputs, kernel, stride, kernel // 2, bias=False)]


def _block(kind: str, inputs: int, outputs: int, six: bool, random: np.random.RandomState) -> nn.Module:
    if kind == "squeeze":
        return SqueezeExcite(inputs, outputs)
    if kind == "branches":
        return Branches(inputs, outputs)
    if kind == "bottleneck":
        return Bottleneck(inputs, outputs, six)
    residual = kind == "residual" or (kind == "depthwise" and bool(random.randint(2)))
    return Block(inputs, outputs, int(random.choice([1, 2])), residual, six, kind == "depthwise")


def quantized(net: Net, channels: int, seed: int) -> tuple[FakeQuant, Integers, ModelSpec]:
    """Calibrated, not trained: harder for exactness than a trained network, whose values leave the ties."""
    model = FakeQuant(make_plan(net))
    model.calibrate(to_input(torch.from_numpy(smooth_pixels(32, 16, channels, seed))))
    classes, features = net.classifier.weight.shape
    return model.eval(), extract(model), ModelSpec("random", 16, 16, channels, features, classes)
