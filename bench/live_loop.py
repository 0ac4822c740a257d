"""Live streams through the loop: how old a classified frame is, and how soon a stream that was lost is back."""

import contextlib
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bench.mjpeg_server import read_stamp
from bench.process import stolen_ms
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
    stages: dict[str, tuple[float, float]]  # what an age is made of: median and 99th percentile of each
    stolen: float  # processor time that the host took from this machine while a frame of the slowest hundredth came
    stolen_usually: float  # and while another came


def frame_ages(classifier: Classifier, rate: int, consumed: int, seconds: float) -> Ages:
    """A camera of `rate` frames a second, whose consumer takes about `consumed` a second.

    The consumer is a little slower than that, by one frame of the camera over all: each moment between two of its
    frames comes up as often as another, where a multiple of its interval would meet the same one again and again.
    """
    results, made, stolen = [], [], [stolen_ms()]
    port, count = free_port(), int(seconds * consumed)
    period = 1 / consumed + 1 / rate / count
    with mjpeg_server(port, rate, "640x480"), _results(f"http://127.0.0.1:{port}/live.mjpg", classifier) as found:
        next(found)  # the stream is open
        due = time.monotonic()
        for _ in range(count):
            frame, result = next(found)
            results.append(result)
            made.append(time.monotonic() * 1e3 - read_stamp(frame.image))
            stolen.append(stolen_ms())
            due += period
            time.sleep(max(0.0, due - time.monotonic()))
    return _ages(results, np.array(made), np.diff(stolen))


def _ages(results: list[FrameResult], made: NDArray[np.float64], stolen: NDArray[np.float64]) -> Ages:
    ages, read, prepare, infer = np.array([[r.age_ms, r.read_ms, r.prepare_ms, r.infer_ms] for r in results]).T
    stages = {"read": read, "prepare": prepare, "infer": infer, "wait": ages - read - prepare - infer}
    p99 = float(np.percentile(ages, 99))
    return Ages(
        len(results),
        p99,
        float(np.percentile(made, 99)),
        float(np.median(prepare + infer)),
        {name: (float(np.median(each)), float(np.percentile(each, 99))) for name, each in stages.items()},
        float(stolen[ages >= p99].mean()),
        float(stolen[ages < p99].mean()),
    )


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
