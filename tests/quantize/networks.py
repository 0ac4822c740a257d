"""Random small networks and pictures for the tests of quantization."""

import numpy as np
import torch
from torch import nn

from edge.contract.spec import ModelSpec
from quantize.fake import FakeQuant
from quantize.integers import Integers, extract
from quantize.plan import make_plan
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


class Net(nn.Module):
    def __init__(self, channels: int, blocks: list[Block], features: int, classes: int) -> None:
        super().__init__()
        first = blocks[0].first[0].in_channels
        self.stem = nn.Sequential(nn.Conv2d(channels, first, 3, 1, 1, bias=False), nn.BatchNorm2d(first), nn.ReLU())
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


def random_net(seed: int, channels: int = 1, blocks: int = 2, six: bool = False, depthwise: bool = False) -> Net:
    """Random weights and batch norms that have seen pictures, in evaluation mode."""
    torch.manual_seed(seed)
    random = np.random.RandomState(seed)
    widths = [int(random.choice([4, 8, 12])) for _ in range(blocks + 1)]
    parts = [
        Block(widths[i], widths[i + 1], int(random.choice([1, 2])), bool(random.randint(2)), six, depthwise)
        for i in range(blocks)
    ]
    net = Net(channels, parts, widths[-1], 4)
    net.train()
    with torch.no_grad():
        for i in range(5):
            net(to_input(torch.from_numpy(smooth_pixels(16, 16, channels, seed + i))))
    return net.eval()


def quantized(net: Net, channels: int, seed: int) -> tuple[FakeQuant, Integers, ModelSpec]:
    """Calibrated, not trained: harder for exactness than a trained network, whose values leave the ties."""
    model = FakeQuant(make_plan(net))
    model.calibrate(to_input(torch.from_numpy(smooth_pixels(32, 16, channels, seed))))
    classes, features = net.classifier.weight.shape
    return model.eval(), extract(model), ModelSpec("random", 16, 16, channels, features, classes)
