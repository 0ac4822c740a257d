"""A film through the frame loop beside raw calls of the network: what decoding, resizing, head and hand-over add."""

import time
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from sklearn.datasets import load_sample_image

from bench.timing import Latency
from edge.classifier import Classifier
from edge.engine import open_session
from edge.loop import run_loop
from edge.preprocess import prepare
from edge.sources import find_feed

OURS, RAW, SIMPLE = "edgewise", "raw", "read, resize, infer in turn"
RESIZED_LATE = "resize in the loop's thread"

Network = Callable[[NDArray[np.uint8]], object]  # (1, height, width, 3) pixels


def make_film(folder: Path, width: int, height: int, frames: int) -> Path:
    """A camera that pans over a photo, in MPEG-4 as OpenCV writes it."""
    path = folder / f"{width}x{height}.mp4"
    photo = cv2.resize(load_sample_image("china.jpg")[..., ::-1], (width + frames, height + frames))
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"mp4v"), 30.0, (width, height))
    for step in range(frames):
        writer.write(np.ascontiguousarray(photo[step : step + height, step : step + width]))
    writer.release()
    return path


def time_film(
    film: Path, classifier: Classifier, network: Network, rounds: int, progress: Callable[[int, int], None]
) -> tuple[dict[str, Latency], float]:
    """Milliseconds a frame of each way, in rounds in which each has its turn; ratios are to raw calls of that round.

    And the processor time of our loop's own thread in times of raw calls', which a busy machine changes less: what the
    ratio would be if the reading thread always had a core for itself.
    """
    spec = classifier.spec
    pixels = prepare(_first(film), spec)[np.newaxis]
    frames = sum(1 for _ in iter(cv2.VideoCapture(str(film)).grab, False))
    ways: dict[str, Callable[[], None]] = {
        RAW: lambda: _raw(network, pixels, frames),
        SIMPLE: lambda: _simple(film, classifier),
        OURS: lambda: _ours(film, classifier),
        RESIZED_LATE: lambda: _resized_late(film, classifier),
    }
    times: dict[str, list[float]] = {name: [] for name in ways}
    busy: dict[str, list[float]] = {name: [] for name in ways}
    names = list(ways)
    for turn in range(rounds):
        for name in names[turn % len(names) :] + names[: turn % len(names)]:
            started, worked = time.perf_counter(), time.thread_time()
            ways[name]()
            busy[name].append((time.thread_time() - worked) / frames * 1e3)
            times[name].append((time.perf_counter() - started) / frames * 1e3)
        progress(turn + 1, rounds)
    found = {}
    for name, taken in times.items():
        low, middle, high = np.percentile(np.divide(taken, times[RAW]), [25, 50, 75])
        found[name] = Latency(float(np.median(taken)), float(middle), float(low), float(high))
    return found, float(np.median(np.divide(busy[OURS], busy[RAW])))


def raw_network(model: str) -> Network:
    """onnxruntime's session of the file `model` and nothing else, one thread."""
    session = open_session(model)
    name = session.get_inputs()[0].name
    return lambda pixels: session.run(["features", "logits"], {name: pixels})


def _raw(network: Network, pixels: NDArray[np.uint8], frames: int) -> None:
    for _ in range(frames):
        network(pixels)


def _simple(film: Path, classifier: Classifier) -> None:
    """What most samples do: one thing after the other, and as many threads of OpenCV as it takes by itself."""
    cv2.setNumThreads(-1)
    capture = cv2.VideoCapture(str(film))
    while True:
        there, image = capture.read()
        if not there:
            return
        classifier.classify(image)


def _ours(film: Path, classifier: Classifier) -> None:
    for _ in run_loop([find_feed(str(film))], classifier.classify_prepared, classifier.prepare):
        pass


def _resized_late(film: Path, classifier: Classifier) -> None:
    """Ours, but that only reading is beside the loop."""
    for _ in run_loop([find_feed(str(film))], classifier.classify):
        pass


def _first(film: Path) -> NDArray[np.uint8]:
    return np.asarray(cv2.VideoCapture(str(film)).read()[1], np.uint8)
