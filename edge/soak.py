"""An engine kept busy, and how warm that makes the board: what an owner's acceptance is made of."""

import contextlib
import time
from typing import Any, Callable, Dict

import numpy as np

from edge.board import Board
from edge.choice import choose_engine, open_network
from edge.contract.errors import SourceError
from edge.doctor.finding import Place
from edge.doctor.machine import slowed_down, temperatures
from edge.golden import golden_pixels
from edge.release import Release


def soak_engine(
    board: Board, release: Release, seconds: float, clock: Callable[[], float] = time.monotonic
) -> Dict[str, Any]:
    """The golden pixels again and again, one picture at a time, without a pause."""
    engine, pixels = open_network(board, release).engine, golden_pixels(release)
    times = []
    begun = clock()
    while not times or clock() - begun < seconds:
        started = clock()
        engine.run(pixels[len(times) % len(pixels)][np.newaxis])
        times.append((clock() - started) * 1e3)
    median, late = np.percentile(times, [50, 95]).tolist()
    found = {"engine": choose_engine(board, release).kind.name, "pictures": len(times), "median_ms": median}
    return dict(found, p95_ms=late, **_heat())


def soak_camera(
    board: Board, release: Release, source: str, seconds: float, clock: Callable[[], float] = time.monotonic
) -> Dict[str, Any]:
    """Frames of `source` as `run` classifies them. Raises SourceError or InputError for one that gives none."""
    from edge.classifier import taught_classifier
    from edge.loop import run_loop
    from edge.sources import find_feed
    from edge.store import open_store
    from edge.tally import Tally

    with open_store(":memory:") as nothing:
        classifier = taught_classifier(open_network(board, release), nothing)
    tally, size, feed = Tally(), [0, 0], find_feed(source)
    with contextlib.closing(run_loop([feed], classifier.classify_prepared, classifier.prepare)) as answers:
        begun = clock()
        for frame, answer in answers:
            if frame is None and answer.state != "live":
                raise SourceError(answer.why, "frames that can be classified", "see to the camera")
            tally.add(answer)
            if frame is not None:
                size = [frame.image.shape[1], frame.image.shape[0]]
                if clock() - begun >= seconds:
                    break
    found = {"engine": choose_engine(board, release).kind.name, "live": feed.live, "size": size}
    return dict(found, **dict(tally.summary()._asdict(), **_heat()))


def _heat() -> Dict[str, Any]:
    place = Place("/")
    return {"celsius": temperatures(place), "slowed": slowed_down(place)}
