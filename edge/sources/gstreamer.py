"""A Jetson's CSI camera: nvarguscamerasrc through GStreamer, by OpenCV if it has it, else by gst-launch and a pipe."""

import os
import re
import select
import shutil
import subprocess
import tempfile
import time
from typing import Callable, Iterator, List, Tuple

import cv2
import numpy as np

from edge.contract.errors import SourceError
from edge.sources.reader_process import OPEN_S, READ_S
from edge.sources.source import Frame, Source

_PROGRAM = "gst-launch-1.0"


def csi_pipeline(number: int, size: Tuple[int, int], rate: int) -> List[str]:
    """The elements that give BGR frames of sensor `number`. size: (width, height).

    As NVIDIA's Accelerated GStreamer guide has it: nvvidconv takes frames out of the camera's own memory, and gives no
    BGR, so videoconvert makes that.
    """
    wanted = "width={},height={},framerate={}/1".format(size[0], size[1], rate)
    return [
        "nvarguscamerasrc sensor-id={}".format(number),
        "video/x-raw(memory:NVMM)," + wanted,
        "nvvidconv",
        "video/x-raw,format=BGRx",
        "videoconvert",
        "video/x-raw,format=BGR",
    ]


def opencv_has_it() -> bool:
    return re.search(r"GStreamer:\s+YES", cv2.getBuildInformation()) is not None


def to_opencv(pipeline: List[str]) -> str:
    return " ! ".join(pipeline + ["appsink drop=true max-buffers=1 sync=false"])


def read_pipe(
    pipeline: List[str],
    size: Tuple[int, int],
    rate: int,
    name: str,
    clock_ns: Callable[[], int],
    read_s: float = READ_S,
) -> Source:
    """What `pipeline` gives, (height, width, 3) BGR frames of `size` (width, height), out of gst-launch's pipe.

    The width is a multiple of 4, as GStreamer pads rows. Raises SourceError without gst-launch; the source's read does
    when nothing came for `read_s` and when gst-launch ends, with its own last words.
    """
    if shutil.which(_PROGRAM) is None:
        raise SourceError(
            "neither OpenCV's GStreamer nor {} is here".format(_PROGRAM), "one of them", "install gstreamer1.0-tools"
        )
    pipe = GstreamerPipe(pipeline, name)
    frames = pipe.frames(size, clock_ns, read_s)
    return Source(frames, pipe.close, True, float(rate), interrupt=pipe.kill)


class GstreamerPipe:
    """gst-launch, and the end of the pipe that it writes frames to."""

    def __init__(self, pipeline: List[str], name: str) -> None:
        self._name = name
        # Argus talks on stdout too, so the frames have a pipe of their own
        self._words = tempfile.TemporaryFile()  # noqa: SIM115  closed in close()
        self._frames, into = os.pipe()
        newest = ["queue leaky=downstream max-size-buffers=1", "fdsink fd={} sync=false".format(into)]
        self._process = subprocess.Popen(
            [_PROGRAM, "-q"] + " ! ".join(pipeline + newest).split(),
            stdin=subprocess.DEVNULL,
            stdout=self._words,
            stderr=subprocess.STDOUT,
            pass_fds=[into],
            start_new_session=True,
        )
        os.close(into)
        self._poll = select.poll()
        self._poll.register(self._frames, select.POLLIN)

    def frames(self, size: Tuple[int, int], clock_ns: Callable[[], int], read_s: float) -> Iterator[Frame]:
        width, height = size
        wait_s, sequence = OPEN_S, 0
        while True:
            image = np.empty((height, width, 3), np.uint8)
            self._wait(time.monotonic() + wait_s, wait_s)
            captured_ns = clock_ns()
            self._fill(memoryview(image).cast("B"), read_s)
            yield Frame(sequence, captured_ns, image, self._name)
            wait_s = read_s
            sequence += 1

    def kill(self) -> None:
        """Ends the process; a read of its frames in another thread then raises SourceError."""
        self._process.kill()

    def close(self) -> None:
        self.kill()
        self._process.wait()
        os.close(self._frames)
        self._words.close()

    def _fill(self, memory: memoryview, read_s: float) -> None:
        until, filled = time.monotonic() + read_s, 0
        while filled < len(memory):
            self._wait(until, read_s)
            count = os.readv(self._frames, [memory[filled:]])
            if count == 0:
                raise SourceError(
                    "{} stopped: {}".format(self._name, self._last_words()), "frames without end", "check its cable"
                )
            filled += count

    def _wait(self, until: float, timeout_s: float) -> None:
        if not self._poll.poll(max(0.0, until - time.monotonic()) * 1e3):
            raise SourceError(
                "{} has delivered nothing for {:g} s".format(self._name, timeout_s), "a frame", "check its cable"
            )

    def _last_words(self) -> str:
        self._words.seek(0)
        lines = self._words.read().decode("utf-8", "replace").split("\n")
        told = [line.strip() for line in lines if "ERROR" in line or "erroneous" in line]
        return told[-1][:200] if told else "gst-launch ended with {}".format(self._process.wait())
