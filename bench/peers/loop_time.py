"""How the loops of peers are timed: their network alone and their whole loop in turn, one thread."""

import json
import statistics
import sys
import time
from collections.abc import Callable

import cv2

ROUNDS = 2


def first_frame(film: str) -> "cv2.typing.MatLike":
    return cv2.VideoCapture(film).read()[1]


def report(network: str, frames: int, raw: Callable[[], object], loop: Callable[[], int]) -> None:
    """Prints a line of JSON. raw: one call of the network, timed `frames` times; loop: a film, returns its frames."""
    raw_ms, loop_ms = [], []
    for _ in range(ROUNDS):
        started = time.perf_counter()
        for _ in range(frames):
            raw()
        raw_ms.append((time.perf_counter() - started) / frames * 1e3)
        started = time.perf_counter()
        count = loop()
        loop_ms.append((time.perf_counter() - started) / count * 1e3)
    said = {"network": network, "raw_ms": statistics.median(raw_ms), "loop_ms": statistics.median(loop_ms)}
    sys.stdout.write(json.dumps(said) + "\n")


def in_turn(film: str, classify: Callable[["cv2.typing.MatLike"], object]) -> int:
    """As samples do it: read a frame, classify it. Returns how many there were."""
    capture, count = cv2.VideoCapture(film), 0
    while True:
        there, image = capture.read()
        if not there:
            return count
        classify(image)
        count += 1
