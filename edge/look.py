"""The camera's look: a 256-entry table a channel in front of the network, the identity until a better one is found.

What a camera does to bytes (ink on paper where training had white on black, a dim room, a flat lens) is undone where
it happened, at no cost at run time, and no head behind the network comes near it.
"""

from typing import Dict, List, NamedTuple, Tuple

import cv2
import numpy as np

_GAINS = (0.6, 0.8, 1.25, 1.6, 2.2)
_OFFSETS = (-64, -32, 32, 64)
_GAMMAS = (0.45, 0.7, 1.4, 2.2)
_CONTRASTS = (0.6, 1.5, 2.2)  # about 128
# Percent of the pictures' bytes: a stretch takes the first to 0, the second to 255. Narrow ones are for ink: of a page
# in uneven light, a fifth is darker than all paper.
_ENDS = ((0.5, 99.5), (5.0, 95.0), (0.5, 95.0), (5.0, 99.5), (0.5, 80.0), (0.5, 50.0), (50.0, 99.5))
_INK = ((0.5, 20.0), (0.5, 35.0), (5.0, 35.0), (65.0, 99.5), (80.0, 99.5))
_WHITE = (80.0, 95.0, 99.5)  # percent: a gain takes it to 255
_BESIDE = " beside "
_SAME = {channels: np.repeat(np.arange(256, dtype=np.uint8), channels).tobytes() for channels in (1, 3)}  # identities


class Look(NamedTuple):
    """Of two tables, each picture is seen through the one that makes it more ordinary (edge.backbone.seen)."""

    name: str
    tables: np.ndarray  # (T, 256, channels) uint8, T 1 or 2


def look_sizes(channels: int) -> Tuple[int, int]:
    """The bytes that the tables of a look can have."""
    return 256 * channels, 512 * channels


def identity(channels: int) -> Look:
    """The look that changes nothing."""
    return Look("identity", _table(np.arange(256.0), channels)[np.newaxis])


def apply_table(pixels: np.ndarray, table: np.ndarray) -> np.ndarray:
    """pixels: (..., H, W, channels) uint8. Returns the same shape with every byte looked up in its channel's column.

    For the identity that is `pixels` itself: it is what most cameras have, for each frame.
    """
    if table.tobytes() == _SAME[table.shape[1]]:
        return pixels
    flat = pixels.reshape(-1, 1, pixels.shape[-1])
    return cv2.LUT(flat, table[:, np.newaxis, :].reshape(256, 1, -1)).reshape(pixels.shape)


def beside(one: Look, other: Look) -> Look:
    """The look of two that have one table each."""
    return Look(one.name + _BESIDE + other.name, np.concatenate([one.tables, other.tables]))


def apart(look: Look) -> List[Look]:
    """Each table of a look by itself."""
    names = look.name.split(_BESIDE)
    return [Look(names[0 if i == 0 else -1], table[np.newaxis]) for i, table in enumerate(look.tables)]


def candidates(pixels: np.ndarray) -> List[Look]:
    """Looks of one table worth trying on pixels (N, H, W, channels) uint8, each once; the identity first."""
    channels = pixels.shape[-1]
    levels = np.arange(256.0)
    curves = [("identity", levels), ("inverted", 255 - levels)]
    curves += [("gain {}".format(g), levels * g) for g in _GAINS]
    curves += [("offset {:+d}".format(o), levels + o) for o in _OFFSETS]
    curves += [("gamma {}".format(g), _gamma(levels, g)) for g in _GAMMAS]
    curves += [("inverted, gamma {}".format(g), _gamma(255 - levels, g)) for g in _GAMMAS]
    curves += [("contrast {}".format(c), (levels - 128) * c + 128) for c in _CONTRASTS]
    curves += _fitted(pixels.reshape(-1), levels, _ENDS + _INK, "")
    if channels == 3:
        curves += _fitted(pixels.reshape(-1, 3), levels[:, np.newaxis], _ENDS, " of each colour")
    seen: Dict[bytes, Look] = {}
    for name, curve in curves:
        table = _table(curve, channels)
        seen.setdefault(table.tobytes(), Look(name, table[np.newaxis]))
    return list(seen.values())


def _fitted(
    values: np.ndarray, levels: np.ndarray, all_ends: Tuple[Tuple[float, float], ...], suffix: str
) -> List[Tuple[str, np.ndarray]]:
    """Names and curves of stretches and gains to the percentiles of values, (N,) or (N, 3) for one each a channel."""
    found = []
    for ends in all_ends:
        low, high = np.percentile(values, ends, axis=0)
        curve = (levels - low) * 255 / np.maximum(high - low, 1)
        name = "stretch {:g} to {:g} %{}".format(ends[0], ends[1], suffix)
        found += [(name, curve), ("inverted, " + name, 255 - curve)]
    for share in _WHITE:
        white = np.percentile(values, share, axis=0)
        found.append(("white at {:g} %{}".format(share, suffix), levels * 255 / np.maximum(white, 1)))
    return found


def _gamma(levels: np.ndarray, gamma: float) -> np.ndarray:
    return 255 * (levels / 255) ** gamma


def _table(curve: np.ndarray, channels: int) -> np.ndarray:
    rounded = np.clip(np.rint(curve), 0, 255).astype(np.uint8)
    return np.ascontiguousarray(np.broadcast_to(rounded.reshape(256, -1), (256, channels)))
