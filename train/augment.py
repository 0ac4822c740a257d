"""Random changes of training pictures, bytes in and bytes out: a network only ever sees what a camera can deliver."""

import itertools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any

import numpy as np
import torch
from torch import Tensor

from edge.contract.errors import UsageError
from train.vision import transforms

# transforms v2 draw once a call. Small pictures share a draw, 8 at 32 x 32: one call a picture would take 6 times as
# long. A large one has its own.
_PIXELS_A_DRAW = 8 * 32 * 32


@dataclass(frozen=True)
class Augmentation:
    """Strengths, each 0 for none. Raises UsageError for one out of bounds."""

    degrees: Annotated[float, "Rotation, either way."] = 0.0
    translate: Annotated[float, "Of the picture's size, either way."] = 0.0
    scale: Annotated[float, "0.1: from 0.9 to 1.1 times."] = 0.0
    crop: Annotated[float, "Of the area, at most: cut off at random, and the rest resized to the whole."] = 0.0
    shear: Annotated[float, "Degrees, either way, along both axes."] = 0.0
    brightness: Annotated[float, "0.2: from 0.8 to 1.2 times."] = 0.0
    contrast: Annotated[float, "As brightness."] = 0.0
    saturation: Annotated[float, "As brightness."] = 0.0
    flip: Annotated[float, "Probability of a left-right mirror image."] = 0.0
    invert: Annotated[float, "Probability of the negative: dark ink for white chalk."] = 0.0

    def __post_init__(self) -> None:
        for name, bound in _MOST.items():
            value = getattr(self, name)
            if type(value) not in (int, float) or not 0 <= value <= bound:
                raise UsageError(
                    f"augmentation.{name} is {value!r}", f"a number from 0 to {bound}", "correct the recipe"
                )


_MOST = {
    "degrees": 180,
    "translate": 0.5,
    "scale": 0.9,
    "crop": 0.9,
    "shear": 60,
    "brightness": 1,
    "contrast": 1,
    "saturation": 1,
    "flip": 1,
    "invert": 1,
}


def make_augment(
    strengths: Augmentation, seed: int, calls: int = 0, size: tuple[int, int] | None = None
) -> Callable[[Tensor], Tensor]:
    """A function that changes (N, H, W, C) uint8 pictures at random and returns as many of the same type.

    size: (height, width) of what it returns, by default that of what it is given. Its draws depend on `seed` and on
    how often it was called, `calls` times before now, and on nothing else.
    """
    counter = itertools.count(calls)

    def augment(pixels: Tensor) -> Tensor:
        height, width = pixels.shape[1:3]
        change = _transform(strengths, size or (height, width))
        group = max(1, _PIXELS_A_DRAW // (height * width))
        drawn = np.random.SeedSequence((seed, next(counter))).generate_state(1)[0]
        with torch.random.fork_rng(devices=[]):  # parameters are drawn on the CPU, wherever the pictures are
            torch.default_generator.manual_seed(int(drawn))
            groups = [change(group) for group in torch.split(pixels.permute(0, 3, 1, 2), group)]
        return torch.cat(groups).permute(0, 2, 3, 1)

    return augment


def _transform(strengths: Augmentation, size: tuple[int, int]) -> transforms.Compose:
    """To pictures of `size` (height, width). An affine map takes 3 ms at 224, and is left out where it does nothing."""
    steps: list[Callable[..., Any]] = []
    if strengths.crop:
        steps.append(transforms.RandomResizedCrop(size, (1 - strengths.crop, 1)))
    else:
        steps.append(transforms.Resize(size))  # gives those of this size back as they are
    if strengths.degrees or strengths.translate or strengths.scale or strengths.shear:
        steps.append(_affine(strengths))
    if strengths.invert:
        steps.append(transforms.RandomInvert(strengths.invert))
    steps.append(transforms.ColorJitter(strengths.brightness, strengths.contrast, strengths.saturation))
    steps.append(transforms.RandomHorizontalFlip(strengths.flip))
    return transforms.Compose(steps)


def _affine(strengths: Augmentation) -> transforms.RandomAffine:
    shear = strengths.shear
    return transforms.RandomAffine(
        strengths.degrees,
        (strengths.translate, strengths.translate),
        (1 - strengths.scale, 1 + strengths.scale),
        (-shear, shear, -shear, shear),
        interpolation=transforms.InterpolationMode.BILINEAR,
    )
