"""Random changes of training pictures, bytes in and bytes out: a network only ever sees what a camera can deliver."""

import itertools
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from edge.contract.errors import UsageError
from train.vision import transforms

_GROUP = 8  # pictures that share one draw: transforms v2 draw once a call, and one call a picture takes 6 times as long


@dataclass(frozen=True)
class Augmentation:
    """Strengths, each 0 for none. Raises UsageError for one out of bounds."""

    degrees: float = 0.0  # rotation, either way
    translate: float = 0.0  # of the picture's size, either way
    scale: float = 0.0  # 0.1: from 0.9 to 1.1 times
    shear: float = 0.0  # degrees, either way, along both axes
    brightness: float = 0.0  # 0.2: from 0.8 to 1.2 times
    contrast: float = 0.0  # likewise
    flip: float = 0.0  # probability of a left-right mirror image

    def __post_init__(self) -> None:
        most = {"degrees": 180, "translate": 0.5, "scale": 0.9, "shear": 60, "brightness": 1, "contrast": 1, "flip": 1}
        for name, bound in most.items():
            value = getattr(self, name)
            if type(value) not in (int, float) or not 0 <= value <= bound:
                raise UsageError(
                    f"augmentation.{name} is {value!r}", f"a number from 0 to {bound}", "correct the recipe"
                )


def make_augment(strengths: Augmentation, seed: int, calls: int = 0) -> Callable[[Tensor], Tensor]:
    """A function that changes (N, H, W, C) uint8 pictures at random and returns the same shape and type.

    Its draws depend on `seed` and on how often it was called, `calls` times before now, and on nothing else.
    """
    change = _transform(strengths)
    counter = itertools.count(calls)

    def augment(pixels: Tensor) -> Tensor:
        drawn = np.random.SeedSequence((seed, next(counter))).generate_state(1)[0]
        with torch.random.fork_rng(devices=[]):  # parameters are drawn on the CPU, wherever the pictures are
            torch.default_generator.manual_seed(int(drawn))
            groups = [change(group) for group in torch.split(pixels.permute(0, 3, 1, 2), _GROUP)]
        return torch.cat(groups).permute(0, 2, 3, 1)

    return augment


def _transform(strengths: Augmentation) -> transforms.Compose:
    shear = strengths.shear
    return transforms.Compose(
        [
            transforms.RandomAffine(
                strengths.degrees,
                (strengths.translate, strengths.translate),
                (1 - strengths.scale, 1 + strengths.scale),
                (-shear, shear, -shear, shear),
                interpolation=transforms.InterpolationMode.BILINEAR,
            ),
            transforms.ColorJitter(strengths.brightness, strengths.contrast),
            transforms.RandomHorizontalFlip(strengths.flip),
        ]
    )
