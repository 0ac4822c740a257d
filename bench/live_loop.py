"""Live streams through the loop: how old a classified frame is, and how soon a stream that was lost is back."""

import contextlib
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from bench.mjpeg_server import read_stamp
from bench.servers import free_port, mjpeg_server, rtsp_server
from edge.classifier import Classifier
from edge.contract.errors import InputError
from edge.contract.results import FrameResult
from edge.loop import run_loop
from edge.sources import Frame, find_feed

_GIVE_UP_S = 60.0
_AWAY_S = 3.0  # that the server stays away


@dataclass(frozen=True)
class Ages:
    """Of the frames that a slow consumer got, in milliseconds."""

    count: int
    p99: float  # from the frame's arrival to its result
    p99_made: float  # from the making of the picture in the camera, its JPEG and its way included
    median_pass: float  # resize and network


def frame_ages(classifier: Classifier, rate: int, consumed: int, seconds: float) -> Ages:
    """A camera of `rate` frames a second, whose consumer takes `consumed` a second."""
    ages, made, passes = [], [], []
    port = free_port()
    with mjpeg_server(port, rate, "640x480"), _results(f"http://127.0.0.1:{port}/live.mjpg", classifier) as results:
        frame, result = next(results)  # the stream is open
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            due = time.monotonic() + 1 / consumed
            frame, result = next(results)
            ages.append(result.age_ms)
            made.append(time.monotonic() * 1e3 - read_stamp(frame.image))
            passes.append(result.prepare_ms + result.infer_ms)
            time.sleep(max(0.0, due - time.monotonic()))
    return Ages(len(ages), *(float(np.percentile(values, at)) for values, at in ((ages, 99), (made, 99), (passes, 50))))


def return_times(classifier: Classifier, rounds: int, progress: Callable[[int, int], None]) -> list[float]:
    """Seconds from an RTSP server's return to the first label of a frame that came after it, round by round."""
    port = free_port()
    server = rtsp_server(port, "640x480", 30)
    taken = []
    try:
        with _results(f"rtsp://127.0.0.1:{port}/live", classifier) as results:
            next(results)
            for turn in range(rounds):
                server.close()
                time.sleep(_AWAY_S)
                server = rtsp_server(port, "640x480", 30)
                for _, result in results:
                    if result.captured_ns > server.listening_at * 1e9:
                        break
                taken.append(time.monotonic() - server.listening_at)
                progress(turn + 1, rounds)
    finally:
        server.close()
    return taken


@contextlib.contextmanager
def _results(address: str, classifier: Classifier) -> Iterator[Iterator[tuple[Frame, FrameResult]]]:
    """The classified frames of a stream; its states only count the time."""

    def classified() -> Iterator[tuple[Frame, FrameResult]]:
        heard = time.monotonic()
        for frame, answer in answers:
            if frame is not None and isinstance(answer, FrameResult):
                heard = time.monotonic()
                yield frame, answer
            elif time.monotonic() - heard > _GIVE_UP_S:
                raise InputError(f"{address} gave no frame for {_GIVE_UP_S:g} s", "frames", "see the server")

    with contextlib.closing(
        run_loop([find_feed(address)], classifier.classify_prepared, classifier.prepare)
    ) as answers:
        yield classified()
