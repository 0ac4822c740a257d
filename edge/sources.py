"""Where frames come from: a camera, a film, a folder of pictures or one picture, all read in the same way."""

import glob
import os
import re
import threading
import time
from typing import Any, Callable, Iterator, List, NamedTuple, Optional, Tuple

import cv2
import numpy as np

from edge.contract.errors import InputError, SourceError
from edge.preprocess import decode_picture

PICTURE_ENDINGS = (".bmp", ".jpeg", ".jpg", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp")
_ASSUMED_FRAMES_PER_SECOND = 25.0  # of a camera or film that does not say
_PICTURES_PER_SECOND = 2.0  # of pictures made into a film: long enough to read a label
_CLOSE_WAIT_S = 1.0
_TEXT_CODEC = cv2.VideoWriter_fourcc(*"ansi")  # FFmpeg shows any .txt as a film of a terminal


class Frame(NamedTuple):
    sequence: int  # at its source, from 0
    captured_ns: int  # monotonic clock when it was there, before decoding
    image: np.ndarray  # (H, W, 3) uint8 BGR
    name: str  # file name or device


class Source:
    """An open source. `read` belongs to one thread at a time; `close` may come from another."""

    def __init__(
        self,
        frames: Iterator[Frame],
        release: Callable[[], Any],
        live: bool,
        frames_per_second: float,
        size: Tuple[int, int],
        remarks: Optional[List[str]] = None,
    ) -> None:
        """`frames` raises SourceError or InputError when they stop for a bad reason. `release` is called once."""
        self.live = live  # True: frames come in their own time, and an old one is worth nothing
        self.frames_per_second = frames_per_second  # at which a film of the frames shows them
        self.size = size  # (width, height) of the first frame
        self.remarks = [] if remarks is None else remarks  # lines for a person, complete once closed
        self._frames = frames
        self._release = release
        self._reading = threading.Lock()
        self._closing = False
        self._released = False

    def read(self) -> Optional[Frame]:
        """The next frame, or None at the end. Blocks as long as the camera does. Raises SourceError, InputError."""
        with self._reading:
            try:
                return None if self._closing else next(self._frames, None)
            finally:
                if self._closing:
                    self._release_once()

    @property
    def reading(self) -> bool:
        """Whether a read has not returned. True after close(): it is stuck, and holds the camera."""
        return self._reading.locked()

    def close(self) -> None:
        """Lets the camera or file go: at once, or after a stuck read, under which OpenCV would crash."""
        self._closing = True
        if self._reading.acquire(timeout=_CLOSE_WAIT_S):
            try:
                self._release_once()
            finally:
                self._reading.release()

    def _release_once(self) -> None:
        if not self._released:
            self._released = True
            self._release()

    def __enter__(self) -> "Source":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def monotonic_ns() -> int:
    """time.monotonic_ns, which Python 3.6 has not."""
    return int(time.monotonic() * 1e9)


def open_source(text: str, clock_ns: Callable[[], int] = monotonic_ns, devices: str = "/dev") -> Source:
    """The source that a person named.

    text: a whole number or /dev/videoN for a V4L2 camera, else the path of a film, a picture or a folder of pictures.
    Raises SourceError for a camera that does not open, InputError for anything else.
    """
    camera = re.fullmatch(r"(?:/dev/video)?([0-9]+)", text)
    if camera:
        return _open_camera(int(camera.group(1)), clock_ns, devices)
    if os.path.isdir(text):
        names = sorted(name for name in os.listdir(text) if name.lower().endswith(PICTURE_ENDINGS))
        return _open_pictures(text, names, clock_ns)
    if not os.path.isfile(text):
        raise InputError(
            "there is no file or folder {}".format(text),
            "a camera's number, a film, a picture or a folder of pictures",
            "check the path",
        )
    if text.lower().endswith(PICTURE_ENDINGS):
        return _open_pictures(os.path.dirname(text), [os.path.basename(text)], clock_ns)
    return _open_film(text, clock_ns)


def quiet_opencv() -> None:
    """Stops OpenCV's own lines on stderr, for the whole process. FFmpeg's follow OPENCV_FFMPEG_LOGLEVEL alone."""
    if hasattr(cv2, "setLogLevel"):  # 4.x
        cv2.setLogLevel(0)
    elif hasattr(cv2, "utils") and hasattr(cv2.utils, "logging"):  # 5.x
        cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)


def camera_frames(capture: Any, device: str, clock_ns: Callable[[], int]) -> Iterator[Frame]:
    """The frames of an open cv2.VideoCapture on a camera, without end. Raises SourceError when it delivers no more.

    A frame that does not decode (USB cameras send a torn JPEG now and then) is left out; its number is not used again.
    """
    sequence = 0
    while capture.grab():
        captured_ns = clock_ns()
        decoded, image = capture.retrieve()
        if decoded:
            yield Frame(sequence, captured_ns, image, device)
        sequence += 1
    raise SourceError(
        "the camera {} stopped after {} frames".format(device, sequence),
        "frames without end",
        "check its cable and power, then start again",
    )


def _open_camera(number: int, clock_ns: Callable[[], int], devices: str) -> Source:
    device = "{}/video{}".format(devices, number)
    present = sorted(glob.glob(os.path.join(glob.escape(devices), "video[0-9]*")))
    if device not in present:
        raise SourceError(
            "there is no camera {}".format(device),
            "one of {}".format(", ".join(present)) if present else "a V4L2 camera; none is there",
            "plug one in or name another source",
        )
    if not os.access(device, os.R_OK | os.W_OK):
        raise SourceError(
            "no permission for the camera {}".format(device),
            "a user in its group, on most systems `video`",
            "run `sudo usermod -aG video $USER` and log in again",
        )
    quiet_opencv()
    capture = cv2.VideoCapture(number, cv2.CAP_V4L2)
    if not capture.isOpened():
        raise SourceError(
            "the camera {} does not open".format(device),
            "a capture device that no other program holds (there are {})".format(", ".join(present)),
            "close the other program or try another number",
        )
    frames = camera_frames(capture, device, clock_ns)
    return Source(frames, capture.release, True, _frames_per_second(capture), _size(capture))


def _open_film(path: str, clock_ns: Callable[[], int]) -> Source:
    quiet_opencv()
    capture = cv2.VideoCapture(path)
    if not capture.isOpened() or int(capture.get(cv2.CAP_PROP_FOURCC)) == _TEXT_CODEC:
        capture.release()
        raise InputError(
            "{} does not open as a film".format(path),
            "a whole film that OpenCV's FFmpeg can read",
            "play it elsewhere to see whether it is damaged, or convert it to MP4",
        )
    remarks: List[str] = []
    frames = _film_frames(capture, path, remarks, clock_ns)
    return Source(frames, capture.release, False, _frames_per_second(capture), _size(capture), remarks)


def _film_frames(capture: Any, path: str, remarks: List[str], clock_ns: Callable[[], int]) -> Iterator[Frame]:
    announced = int(capture.get(cv2.CAP_PROP_FRAME_COUNT))
    sequence = 0
    while capture.grab():
        captured_ns = clock_ns()
        decoded, image = capture.retrieve()
        if not decoded:
            break
        yield Frame(sequence, captured_ns, image, os.path.basename(path))
        sequence += 1
    if sequence == 0:
        raise InputError("{} holds no frame".format(path), "at least one", "check the film")
    if sequence < announced - 1:  # some containers only estimate their length, a frame too long
        remarks.append("{} ended after {} of the {} frames that it announces".format(path, sequence, announced))


def _frames_per_second(capture: Any) -> float:
    announced = float(capture.get(cv2.CAP_PROP_FPS))
    return announced if 0.1 <= announced <= 1000 else _ASSUMED_FRAMES_PER_SECOND


def _size(capture: Any) -> Tuple[int, int]:
    return int(capture.get(cv2.CAP_PROP_FRAME_WIDTH)), int(capture.get(cv2.CAP_PROP_FRAME_HEIGHT))


def _open_pictures(folder: str, names: List[str], clock_ns: Callable[[], int]) -> Source:
    remarks: List[str] = []
    frames = _picture_frames(folder, names, remarks, clock_ns)
    return Source(frames, frames.close, False, _PICTURES_PER_SECOND, _first_size(folder, names), remarks)


def _picture_frames(folder: str, names: List[str], remarks: List[str], clock_ns: Callable[[], int]) -> Any:
    """Yields a Frame for each picture that can be read, and remarks on the others at the end."""
    sequence = 0
    skipped = []
    try:
        for name in names:
            captured_ns = clock_ns()
            try:
                image = decode_picture(os.path.join(folder, name))
            except InputError:
                skipped.append(name)
                continue
            yield Frame(sequence, captured_ns, image, name)
            sequence += 1
    finally:
        if skipped:
            remarks.append(
                "skipped {} unreadable of {} pictures: {}".format(len(skipped), len(names), _listed(skipped))
            )


def _listed(names: List[str]) -> str:
    more = len(names) - 5
    return ", ".join(names[:5]) + (" and {} more".format(more) if more > 0 else "")


def _first_size(folder: str, names: List[str]) -> Tuple[int, int]:
    """(width, height) of the first picture that can be read. Raises InputError if none can."""
    refused = InputError(
        "{} holds no picture".format(folder), "files that end in {}".format(" ".join(PICTURE_ENDINGS)), "check the path"
    )
    for name in names:
        try:
            height, width = decode_picture(os.path.join(folder, name)).shape[:2]
        except InputError as error:
            refused = error
        else:
            return width, height
    raise refused
