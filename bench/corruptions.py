"""What a camera does to pictures, for the look's rows. The severities were committed before any look was fitted.

Each is what a person would call plain to see, and none hides what is in the picture from a person.
"""

from collections.abc import Callable
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

Bytes = NDArray[np.uint8]
Floats = NDArray[Any]

_NOISE = 2.0  # levels of sensor noise on a photo, one deviation; none on clean ones
_PAPER_NOISE = 8.0
_WARM = np.array([0.55, 0.85, 1.15])  # gains of blue, green, red
_FOG = 220.0

PHOTOS: dict[str, Callable[[Floats], Floats]] = {
    "dark": lambda x: 0.35 * x,
    "bright": lambda x: 1.6 * x,
    "tint": lambda x: _WARM * x,
    "low contrast": lambda x: 128 + 0.3 * (x - 128),
    "gamma": lambda x: 255 * (x / 255) ** 2.2,
    "inverted": lambda x: 255 - x,
    "haze": lambda x: 0.45 * x + 0.55 * _FOG,
    "clean": lambda x: x,
}


def corrupt_photos(pixels: Bytes, name: str, seed: int) -> Bytes:
    """pixels: (N, H, W, 3) BGR. Returns them as a camera with the corruption PHOTOS[name] shows them."""
    if name == "clean":
        return pixels
    random = np.random.default_rng(seed)
    return np.stack([_bytes(PHOTOS[name](one.astype(float)), _NOISE, random) for one in pixels])


def _on_paper(white_on_black: Floats, paper: float, ink: float) -> Floats:
    return paper - white_on_black / 255 * (paper - ink)


def _lit(picture: Floats, random: np.random.Generator) -> Floats:
    """Light that falls from 130 % to 70 % across the picture, in any direction."""
    height, width = picture.shape
    angle = random.uniform(0, 2 * np.pi)
    down, right = np.meshgrid(np.linspace(-1, 1, height), np.linspace(-1, 1, width), indexing="ij")
    ramp = np.cos(angle) * right + np.sin(angle) * down
    lit: Floats = picture * (1 + 0.3 * ramp / np.abs(ramp).max())
    return lit


PAPERS: dict[str, Callable[[Floats, np.random.Generator], Floats]] = {
    "paper": lambda x, random: _on_paper(x, 200, 60),
    "light falls off": lambda x, random: _lit(_on_paper(x, 190, 60), random),
    "grey 135": lambda x, random: _on_paper(x, 135, 40),
    "grey 135, light falls off": lambda x, random: _lit(_on_paper(x, 135, 40), random),
    "dimmed": lambda x, random: 0.4 * _on_paper(x, 200, 60),
    "blurred": lambda x, random: cv2.GaussianBlur(_on_paper(x, 200, 60), (0, 0), 1.0),
    "dimmed and blurred": lambda x, random: 0.4 * cv2.GaussianBlur(_on_paper(x, 200, 60), (0, 0), 1.0),
}


def write_on_paper(digits: Bytes, name: str, seed: int) -> Bytes:
    """digits: (N, 28, 28), white on black. Returns them as dark ink on PAPERS[name], with noise."""
    random = np.random.default_rng(seed)
    return np.stack([_bytes(PAPERS[name](one.astype(float), random), _PAPER_NOISE, random) for one in digits])


def _bytes(picture: Floats, noise: float, random: np.random.Generator) -> Bytes:
    return np.clip(np.rint(picture + noise * random.standard_normal(picture.shape)), 0, 255).astype(np.uint8)
