"""What the demo's camera sees, handwriting on paper, and the picture that shows what was read before and after."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from edge.contract.errors import BoardError

Pixels = NDArray[np.uint8]

HEIGHT, WIDTH = 240, 320  # of a frame
_SHEET = 40  # pixels of paper beyond the frame on each side, for the camera to move over


@dataclass(frozen=True)
class Scene:
    label: str
    writing: Pixels  # (8, 8) or (32, 32), white on black


@dataclass(frozen=True)
class Reading:
    """A row of the picture: what was read of each scene at one time."""

    name: str  # "before"
    labels: Sequence[str]


def sign(rng: np.random.Generator, kind: str) -> Pixels:
    """A hand-drawn `cross` or `triangle`, (8, 8), white on black.

    Made as the digits of scikit-learn were: a black-and-white 32 x 32 bitmap, then the ink in each 4 x 4 block counted.
    """
    left, right, top, bottom = rng.uniform((4, 22, 1, 27), (9, 27, 4, 30))
    corners = [(left, top), (right, bottom), (right, top), (left, bottom)]
    peak = ((left + right) / 2, top)
    strokes = {
        "cross": [(corners[0], corners[1]), (corners[2], corners[3])],
        "triangle": [(peak, corners[1]), (corners[1], corners[3]), (corners[3], peak)],
    }[kind]
    bitmap = np.zeros((32, 32), np.uint8)
    thickness = int(rng.integers(3, 5))
    for start, end in strokes:
        points = np.array([start, np.add(start, end) / 2, end]) + rng.normal(0, 0.9, (3, 2))
        along = np.linspace(0, 1, 12)[:, None]  # a quadratic curve through the three: no hand draws a straight line
        bend = 2 * points[1] - (points[0] + points[2]) / 2
        curve = (1 - along) ** 2 * points[0] + 2 * along * (1 - along) * bend + along**2 * points[2]
        cv2.polylines(bitmap, [np.round(curve).astype(np.int32)], False, 1, thickness)
    ink: Pixels = bitmap.reshape(8, 4, 8, 4).sum(axis=(1, 3), dtype=np.uint8)  # 0 to 16
    return np.round(ink * (255 / 16)).astype(np.uint8)


def paper(writing: Pixels, rng: np.random.Generator) -> Pixels:
    """A camera's view of `writing`, (8, 8) or (32, 32) white on black: dark ink on paper, (240, 320, 3) uint8 BGR.

    The writing fills the frame's centred square, as it fills its own picture.
    """
    return _photograph(_sheet(writing, rng), rng, rng.uniform(-4, 4, 2), rng.uniform(-3, 3))


def film(
    path: Path, scenes: Sequence[Scene], frames_per_scene: int, frames_per_second: float, rng: np.random.Generator
) -> list[str]:
    """Writes a film (.mp4) of the scenes, from a hand-held camera. Returns the true label of each frame."""
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"mp4v"), frames_per_second, (WIDTH, HEIGHT))
    if not writer.isOpened():
        raise BoardError(f"this OpenCV cannot write {path}", "MPEG-4 (mp4v)", "install opencv-python from PyPI")
    for scene in scenes:
        sheet = _sheet(scene.writing, rng)
        for shift, turn in _shake(frames_per_scene, rng):
            writer.write(_photograph(sheet, rng, shift, turn))
    writer.release()
    return [scene.label for scene in scenes for _ in range(frames_per_scene)]


def _sheet(writing: Pixels, rng: np.random.Generator) -> NDArray[np.float32]:
    """The sheet of paper as it is, larger than a frame: (320, 400, 3) float32 BGR."""
    side = writing.shape[0]
    edge = side // 8  # of empty paper, so that ink at the writing's edge fades out instead of being cut off
    scale = HEIGHT / side
    full = round((side + 2 * edge) * scale)
    ink = cv2.resize(np.pad(writing, edge).astype(np.float32) / 255, (full, full), interpolation=cv2.INTER_CUBIC)
    cover = np.zeros((HEIGHT + 2 * _SHEET, WIDTH + 2 * _SHEET, 1), np.float32)
    top, left = (cover.shape[0] - full) // 2, (cover.shape[1] - full) // 2
    cover[top : top + full, left : left + full, 0] = np.clip(ink, 0, 1)
    down, across = np.mgrid[-1 : 1 : cover.shape[0] * 1j, -1 : 1 : cover.shape[1] * 1j][..., None]
    angle = rng.uniform(0, 2 * np.pi)
    light = rng.uniform(203, 215) + 9 * (np.cos(angle) * across + np.sin(angle) * down)
    warm = np.array([0.94, 0.985, 1.0], np.float32)  # blue, green, red
    return np.asarray((light * (1 - cover) + rng.uniform(40, 70) * cover) * warm, np.float32)


def _photograph(
    sheet: NDArray[np.float32], rng: np.random.Generator, shift: NDArray[np.float64], turn_degrees: float
) -> Pixels:
    """The sheet from a camera `shift` (x, y) pixels and a turn away from square, with the sensor's noise."""
    height, width = sheet.shape[:2]
    move = np.asarray(cv2.getRotationMatrix2D((width / 2, height / 2), turn_degrees, 1.0), np.float64)
    move[:, 2] += shift - _SHEET
    view = cv2.warpAffine(sheet, move, (WIDTH, HEIGHT), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return np.clip(np.round(view + rng.normal(0, 2.5, view.shape)), 0, 255).astype(np.uint8)


def _shake(count: int, rng: np.random.Generator) -> Iterator[tuple[NDArray[np.float64], float]]:
    """Where a hand holds the camera, frame by frame: (x, y) pixels and degrees, wandering about a place of its own."""
    place = rng.uniform(-3, 3, 3)
    away = np.zeros(3)
    for _ in range(count):
        away = 0.85 * away + rng.normal(0, 0.5, 3)
        yield (place + away)[:2], float((place + away)[2])


# Of the picture, in pixels. It is meant to be shown at about half its size.
_TILE, _GAP, _MARGIN, _NAMES, _ROW = 260, 20, 60, 400, 112
_INK, _GREY, _RIGHT, _WRONG = (50, 40, 35), (120, 110, 105), (70, 140, 30), (50, 50, 200)  # BGR
_BOLD, _LIGHT = cv2.FONT_HERSHEY_DUPLEX, cv2.FONT_HERSHEY_SIMPLEX


def before_after_picture(
    path: Path, title: str, caption: str, scenes: Sequence[Scene], readings: Sequence[Reading], rng: np.random.Generator
) -> None:
    """Writes a PNG: the scenes side by side, what each reading made of them, right in green and wrong in red."""
    width = 2 * _MARGIN + _NAMES + len(scenes) * (_TILE + _GAP) - _GAP
    first = _MARGIN + 130 + _TILE + 24  # the top of the first reading's row
    bottom = first + len(readings) * _ROW
    canvas = np.full((bottom + 100 + _MARGIN // 2, width, 3), 255, np.uint8)
    _write(canvas, title, (_MARGIN, _MARGIN + 56), 58, _INK, width - 2 * _MARGIN)
    for column, scene in enumerate(scenes):
        left = _MARGIN + _NAMES + column * (_TILE + _GAP)
        top = _MARGIN + 130
        square = paper(scene.writing, rng)[:, (WIDTH - HEIGHT) // 2 : (WIDTH + HEIGHT) // 2]
        tile = canvas[top : top + _TILE, left : left + _TILE]
        tile[:] = cv2.resize(square, (_TILE, _TILE), interpolation=cv2.INTER_CUBIC)
        for row, reading in enumerate(readings):
            _badge(canvas, (left, first + row * _ROW), reading.labels[column], reading.labels[column] == scene.label)
    _write(canvas, "the camera sees", (_MARGIN, _MARGIN + 130 + _TILE // 2 + 14), 38, _GREY, _NAMES - 20, _LIGHT)
    for row, reading in enumerate(readings):
        _write(canvas, reading.name, (_MARGIN, first + row * _ROW + 60), 38, _INK, _NAMES - 20, _LIGHT)
    _write(canvas, caption, (_MARGIN, bottom + 66), 38, _GREY, width - 2 * _MARGIN, _LIGHT)
    if not cv2.imwrite(str(path), canvas):
        raise OSError(f"{path} could not be written")


def _badge(canvas: Pixels, at: tuple[int, int], label: str, right: bool) -> None:
    """A label in white on a rounded field, with a tick or a cross for those to whom green and red look alike."""
    left, top = at
    colour, bottom, radius = (_RIGHT if right else _WRONG), top + _ROW - 20, 16
    for inset in ((0, radius), (radius, 0)):
        corner, opposite = (left + inset[0], top + inset[1]), (left + _TILE - inset[0], bottom - inset[1])
        cv2.rectangle(canvas, corner, opposite, colour, cv2.FILLED)
    for x in (left + radius, left + _TILE - radius):
        for y in (top + radius, bottom - radius):
            cv2.circle(canvas, (x, y), radius, colour, cv2.FILLED, cv2.LINE_AA)
    middle = (top + bottom) // 2
    x = left + _TILE - 62
    marks = [[(0, 2), (13, 16), (36, -16)]] if right else [[(4, -15), (34, 15)], [(34, -15), (4, 15)]]
    for mark in marks:
        points = np.array(mark, np.int32) + (x, middle)
        cv2.polylines(canvas, [points.astype(np.int32)], False, (255, 255, 255), 7, cv2.LINE_AA)
    _write(canvas, label, (left + 24, middle + 22), 60, (255, 255, 255), _TILE - 100)


def _write(
    canvas: Pixels,
    text: str,
    at: tuple[int, int],
    height: int,
    colour: tuple[int, int, int],
    most_wide: int,
    font: int = _BOLD,
) -> None:
    """Text whose capitals are about 0.7 `height` pixels high, made smaller where it would be wider than `most_wide`."""
    thick = max(1, height // 20)
    wide = cv2.getTextSize(text, font, height / 30, thick)[0][0]
    scale = height / 30 * min(1.0, most_wide / max(1, wide))
    cv2.putText(canvas, text, at, font, scale, colour, thick, cv2.LINE_AA)
