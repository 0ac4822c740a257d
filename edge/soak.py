"""An engine kept busy, and how warm that makes the board: what an owner's acceptance is made of."""

import contextlib
import time
from typing import Any, Callable, Dict

import numpy as np

from edge.board import Board
from edge.choice import choose_engine, open_network
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
    """Frames of `source` as `run` classifies them. Raises SourceError or InputError for one that stops."""
    from edge.classifier import taught_classifier
    from edge.loop import Tally, run_loop
    from edge.sources import open_source
    from edge.store import open_store

    with open_store(":memory:") as nothing:
        classifier = taught_classifier(open_network(board, release), nothing)
    tally = Tally()
    with open_source(source) as opened, contextlib.closing(run_loop(opened, classifier.classify)) as frames:
        begun = clock()
        for _, result in frames:
            tally.add(result)
            if clock() - begun >= seconds:
                break
        found = {"engine": choose_engine(board, release).kind.name, "live": opened.live, "size": list(opened.size)}
    return dict(found, **dict(tally.summary()._asdict(), **_heat()))


def _heat() -> Dict[str, Any]:
    place = Place("/")
    return {"celsius": temperatures(place), "slowed": slowed_down(place)}
