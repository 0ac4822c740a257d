"""Camera bytes -> model bytes: the one copy of the pixel arithmetic, for training's evaluation, calibration and board.

uint8 in, uint8 out, integer arithmetic all the way, so that every machine and OpenCV version gives the same bytes.
Normalisation is not here: the model's first node takes the bytes.
"""

import cv2
import numpy as np

from edge.contract.errors import InputError
from edge.contract.spec import ModelSpec


def decode_picture(path: str) -> np.ndarray:
    """The picture in the file at `path`: (H, W, 3) uint8 BGR. Raises InputError if it cannot be read."""
    try:
        with open(path, "rb") as file:
            data = file.read()
    except OSError as error:
        raise InputError(
            "the picture {}: {}".format(path, error.strerror), "a readable file", "check the path"
        ) from None
    return decode_bytes(data, path)


def decode_bytes(data: bytes, name: str) -> np.ndarray:
    """The picture in a file's content, as decode_picture gives it; `name` is for the error."""
    try:
        picture = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR) if data else None
    except cv2.error:  # a header that promises more pixels than OpenCV will ever decode
        picture = None
    if picture is None:
        raise InputError(
            "{} is no picture that OpenCV can read".format(name),
            "a whole JPEG, PNG, BMP or WebP",
            "remove or replace it",
        )
    return picture


def prepare(picture: np.ndarray, spec: ModelSpec) -> np.ndarray:
    """The model's input from any picture.

    picture: (H, W), (H, W, 1) or (H, W, 3) uint8, grey or BGR. Returns (height, width, channels) uint8: the largest
    centred part of the model's shape, shrunk by exact halves while it is at least twice too large (bilinear alone
    would skip pixels), then by OpenCV's bit-exact bilinear resize: plain INTER_LINEAR rounds otherwise on ARM, where
    Carotene or KleidiCV does it. Raises InputError for another dtype or shape.
    """
    if picture.dtype != np.uint8 or picture.ndim not in (2, 3) or 0 in picture.shape:
        raise InputError(
            "a picture of {} {}".format(picture.dtype, picture.shape), "uint8, (H, W) or (H, W, 3)", "convert it"
        )
    pixels = _channels(_crop(picture, spec.height, spec.width), spec.channels)
    while pixels.shape[0] >= 2 * spec.height and pixels.shape[1] >= 2 * spec.width:
        height, width = pixels.shape[0] // 2, pixels.shape[1] // 2
        pixels = cv2.resize(pixels[: 2 * height, : 2 * width], (width, height), interpolation=cv2.INTER_AREA)
    if pixels.shape[:2] != (spec.height, spec.width):
        pixels = cv2.resize(pixels, (spec.width, spec.height), interpolation=cv2.INTER_LINEAR_EXACT)
    return np.ascontiguousarray(pixels).reshape(spec.height, spec.width, spec.channels)


def _crop(picture: np.ndarray, height: int, width: int) -> np.ndarray:
    """The largest centred part with the aspect ratio height : width."""
    high, wide = picture.shape[:2]
    crop_high = max(1, min(high, round(wide * height / width)))
    crop_wide = max(1, min(wide, round(high * width / height)))
    top, left = (high - crop_high) // 2, (wide - crop_wide) // 2
    return picture[top : top + crop_high, left : left + crop_wide]


def _channels(pixels: np.ndarray, channels: int) -> np.ndarray:
    has = 1 if pixels.ndim == 2 else pixels.shape[2]
    if has not in (1, 3):
        raise InputError("a picture of {} channels".format(has), "1 (grey) or 3 (BGR)", "convert it")
    if has == channels:
        return pixels
    return cv2.cvtColor(pixels, cv2.COLOR_BGR2GRAY if channels == 1 else cv2.COLOR_GRAY2BGR)
