"""Pictures of a batch mixed with each other, and their targets in the same shares: mixup and CutMix.

mixup: arXiv 1710.09412, CutMix: arXiv 1905.04899, both as torchvision has them.
"""

import torch
from torch import Tensor

from train.vision import transforms


def mix(pixels: Tensor, targets: Tensor, mixup: float, cutmix: float, classes: int) -> tuple[Tensor, Tensor]:
    """(N, H, W, C) uint8 and (N,) -> as many pictures, and the share of each class in each, (N, classes) float32.

    mixup, cutmix: both parameters of the Beta distribution that a batch's share is drawn from; with both, one of the
    two is drawn for each batch; with neither, nothing changes. Draws come from torch's global generators.
    """
    kinds = ((transforms.MixUp, mixup), (transforms.CutMix, cutmix))
    ways = [kind(alpha=alpha, num_classes=classes) for kind, alpha in kinds if alpha]
    if not ways:
        return pixels, targets
    way = ways[int(torch.randint(len(ways), ()))]
    mixed, shares = way(pixels.permute(0, 3, 1, 2).float(), targets)
    return mixed.round().to(torch.uint8).permute(0, 2, 3, 1), shares
