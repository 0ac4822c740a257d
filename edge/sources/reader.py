"""The process that reads a camera or a stream with OpenCV, so that a read that never returns can be killed.

reader_process.py starts it with the number of a shared file. The first line of stdin says what to open, since
arguments can be seen by every user; each byte after it asks for one frame, and its end ends this process. On stdout
goes a line of JSON for what was opened, for each frame, which lies in the shared file until the next is asked for, and
for the error that ends it.
"""

import json
import mmap
import os
import signal
import sys
import threading
from typing import Any, Callable, Dict, Optional

# Before OpenCV is loaded. Over TCP no frame is torn, low_delay has no decoder hold frames back, and without a look at
# the frame rate a stream opens in .4 s instead of 1.2 s. Not fflags;nobuffer: that drops the key frame it opened with.
os.environ.setdefault("OPENCV_FFMPEG_CAPTURE_OPTIONS", "rtsp_transport;tcp|flags;low_delay|fpsprobesize;0")
os.environ["OPENCV_FFMPEG_LOGLEVEL"] = "-8"  # its lines hold addresses with their passwords

import cv2
import numpy as np

from edge.contract.errors import EdgewiseError, SourceError
from edge.sources.opencv import frames_per_second, quiet_opencv
from edge.sources.source import monotonic_ns

_BAYER = {"BA81", "RGGB", "GRBG", "GBRG", "BYR2", "RG10", "BA10", "GB10", "BG10", "RG12", "BA12", "GB12", "BG12"}


class Slot:
    """The shared file, as large as the largest frame up to now."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._memory: Optional[mmap.mmap] = None
        self.image: Optional[np.ndarray] = None  # (H, W, 3) uint8 of the last frame's shape, in the shared file

    def put(self, image: np.ndarray) -> None:
        """Makes `image` what lies in the file; costs nothing if OpenCV wrote it there itself."""
        if self.image is None or self.image.shape != image.shape:
            self._map(image.nbytes)
            self.image = np.frombuffer(self._memory, np.uint8, image.nbytes).reshape(image.shape)
        if image.ctypes.data != self.image.ctypes.data:
            self.image[:] = image

    def _map(self, size: int) -> None:
        if self._memory is None or len(self._memory) < size:
            os.ftruncate(self._descriptor, size)
            self._memory = mmap.mmap(self._descriptor, size)


def open_capture(request: Dict[str, str]) -> Any:
    """A cv2.VideoCapture. Raises SourceError."""
    quiet_opencv()
    if "device" in request:
        capture = cv2.VideoCapture(int(request["device"].rpartition("video")[2]), cv2.CAP_V4L2)
        found = "the camera {} does not open".format(request["name"])
        expected, remedy = "a camera that no other program holds", "close the other program or try another number"
    elif "pipeline" in request:
        capture = cv2.VideoCapture(request["pipeline"], cv2.CAP_GSTREAMER)
        found = "the camera {} does not open".format(request["name"])
        expected, remedy = "a CSI camera that no other program holds", "check its ribbon, and nvargus-daemon"
    else:
        capture = cv2.VideoCapture(request["address"], cv2.CAP_FFMPEG)
        found = "{} gives no film".format(request["name"])
        expected, remedy = "a stream that FFmpeg can read", "check its path, user and password"
    if not capture.isOpened():
        raise SourceError(found, expected, remedy)
    return capture


def deliver(capture: Any, name: str, slot: Slot, asked: threading.Event, say: Callable[[Dict[str, Any]], None]) -> None:
    """Reads without end, so that no old frame waits in a driver, and says of the newest whenever one is asked for.

    A frame that does not decode (USB cameras send a torn JPEG now and then) is left out; its number is not used again.
    Raises SourceError when the camera delivers no more, or what is no picture.
    """
    sequence = 0
    while capture.grab():
        captured_ns = monotonic_ns()
        if asked.is_set():
            decoded, image = capture.retrieve(slot.image)
            if decoded:
                asked.clear()
                image = as_bgr(image, _code(capture), name)
                slot.put(image)
                say({"sequence": sequence, "captured_ns": captured_ns, "shape": image.shape})
        sequence += 1
    raise SourceError(
        "{} stopped after {} frames".format(name, sequence), "frames without end", "check its cable and power"
    )


def as_bgr(image: np.ndarray, code: str, name: str) -> np.ndarray:
    """(H, W, 3) uint8 of what a camera gave in the format `code`. Raises SourceError for what is no picture."""
    if code in _BAYER:
        raise SourceError(
            "{} gives raw {} pixels".format(name, code), "a picture", "name a Jetson's CSI camera csi:N instead"
        )
    if image.dtype == np.uint8 and image.ndim == 3 and image.shape[2] == 3:
        return image
    if image.dtype == np.uint8 and (image.ndim == 2 or image.shape[2] == 1):
        return cv2.cvtColor(image, cv2.COLOR_GRAY2BGR)
    if image.dtype == np.uint8 and image.shape[2] == 4:
        return cv2.cvtColor(image, cv2.COLOR_BGRA2BGR)
    raise SourceError(
        "{} gives {} {} in the format {!r}".format(name, image.dtype, image.shape, code),
        "8 bits in grey or colour",
        "set another format, with v4l2-ctl for one",
    )


def _code(capture: Any) -> str:
    code = int(capture.get(cv2.CAP_PROP_FOURCC)) & 0xFFFFFFFF
    return bytes(code >> shift & 0xFF for shift in (0, 8, 16, 24)).decode("ascii", "replace")


def _listen(asked: threading.Event) -> None:
    """Whoever started this process is gone when stdin ends; a read that hangs must not outlive it."""
    while os.read(0, 1):
        asked.set()
    os.kill(os.getpid(), signal.SIGKILL)


def _first_line() -> bytes:
    line = b""
    while not line.endswith(b"\n"):
        byte = os.read(0, 1)
        if not byte:
            sys.exit(1)
        line += byte
    return line


def main(descriptor: int) -> int:
    out = os.dup(1)
    with open(os.devnull, "wb") as nowhere:
        os.dup2(nowhere.fileno(), 1)  # argus and drivers write there, too

    def say(words: Dict[str, Any]) -> None:
        os.write(out, json.dumps(words).encode("ascii") + b"\n")

    request = json.loads(_first_line().decode("ascii"))
    asked = threading.Event()
    threading.Thread(target=_listen, args=(asked,), daemon=True).start()
    try:
        capture = open_capture(request)
        say({"frames_per_second": frames_per_second(capture)})
        deliver(capture, request["name"], Slot(descriptor), asked, say)
    except EdgewiseError as error:
        say({"found": error.found, "expected": error.expected, "remedy": error.remedy})
    return 0


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1])))
