"""Draws a result onto its frame: the label, its score in percent, and the score as a bar."""

import unicodedata
from typing import Tuple

import cv2
import numpy as np

from edge.contract.results import FrameResult, SourceState, answer

_LEAST_WIDTH = 480  # below it a label is not legible
_FONT = cv2.FONT_HERSHEY_DUPLEX
_WHITE, _TRACK, _SURE, _UNSURE = (255, 255, 255), (90, 90, 90), (110, 200, 90), (60, 170, 240)  # BGR


def drawing_size(size: Tuple[int, int]) -> Tuple[int, int]:
    """(width, height) to draw a frame of `size` at: the same shape, at least 480 wide, even as films need it."""
    width, height = size
    scale = max(1.0, _LEAST_WIDTH / float(width))
    return _even(width * scale), _even(height * scale)


def draw(image: np.ndarray, result: FrameResult, size: Tuple[int, int]) -> np.ndarray:
    """A new (height, width, 3) uint8 BGR picture of `size` (width, height) with the result on its lower edge.

    image: (H, W, 3) uint8 BGR of any size; it keeps its shape, on black where the shapes differ.
    """
    canvas = _fitted(image, size)
    width, height = size
    unit = max(16, min(width // 16, height // 8))  # pixels: the height of the text's line
    margin = unit // 2
    strip = canvas[height - 5 * unit // 2 :]
    strip[:] = strip // 4
    percent = "{:.0f} %".format(100 * result.score)
    percent_width = _text_width(percent, unit)
    baseline = height - 5 * unit // 4
    right = width - margin
    _write(canvas, percent, (right - percent_width, baseline), unit)
    label = _shortened(ascii_text(answer(result)), right - percent_width - 2 * margin, unit)
    _write(canvas, label, (margin, baseline), unit)
    top, bottom = height - 3 * unit // 4, height - unit // 3
    cv2.rectangle(canvas, (margin, top), (right, bottom), _TRACK, cv2.FILLED)
    filled = margin + round((right - margin) * min(1.0, max(0.0, result.score)))
    cv2.rectangle(
        canvas,
        (margin, top),
        (filled, bottom),
        _SURE if result.score >= 0.5 and result.sure and not result.unknown else _UNSURE,
        cv2.FILLED,
    )
    return canvas


def draw_state(image: np.ndarray, state: SourceState, size: Tuple[int, int]) -> np.ndarray:
    """As draw(), for a source that gives no picture: the last one it gave, darker, and what is the matter with it."""
    canvas = _fitted(image, size) // 3
    width, height = size
    unit = max(16, min(width // 16, height // 8))
    margin = unit // 2
    _write(canvas, _shortened(state.state, width - 2 * margin, unit), (margin, height - 2 * unit), unit)
    small = max(12, unit // 2)
    _write(canvas, _shortened(ascii_text(state.why), width - 2 * margin, small), (margin, height - margin), small)
    return canvas


def ascii_text(text: str) -> str:
    """`text` in the only characters that cv2.putText draws: accents fall away, others become a question mark."""
    plain = "".join(c for c in unicodedata.normalize("NFKD", text) if not unicodedata.combining(c))
    return "".join(c if " " <= c <= "~" else "?" for c in plain)


def _even(length: float) -> int:
    return max(2, 2 * round(length / 2))


def _fitted(image: np.ndarray, size: Tuple[int, int]) -> np.ndarray:
    width, height = size
    scale = min(width / float(image.shape[1]), height / float(image.shape[0]))
    wide = min(width, max(1, round(image.shape[1] * scale)))
    high = min(height, max(1, round(image.shape[0] * scale)))
    canvas = np.zeros((height, width, 3), np.uint8)
    left, top = (width - wide) // 2, (height - high) // 2
    how = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
    canvas[top : top + high, left : left + wide] = cv2.resize(image, (wide, high), interpolation=how)
    return canvas


def _scale(unit: int) -> float:
    return unit / 26.0  # Hershey capitals are 22 pixels high at scale 1


def _text_width(text: str, unit: int) -> int:
    return int(cv2.getTextSize(text, _FONT, _scale(unit), max(1, unit // 16))[0][0])


def _shortened(text: str, most: int, unit: int) -> str:
    """`text`, or as much of it as fits into `most` pixels with dots after it."""
    if _text_width(text, unit) <= most:
        return text
    while text and _text_width(text + "...", unit) > most:
        text = text[:-1]
    return text + "..."


def _write(canvas: np.ndarray, text: str, at: Tuple[int, int], unit: int) -> None:
    cv2.putText(canvas, text, at, _FONT, _scale(unit), _WHITE, max(1, unit // 16), cv2.LINE_AA)
