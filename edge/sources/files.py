"""Films, folders of pictures and single pictures: sources that wait until their next frame is wanted."""

import os
from typing import Any, Callable, Iterator, List

import cv2

from edge.contract.errors import InputError
from edge.preprocess import decode_picture
from edge.sources.opencv import frames_per_second, quiet_opencv
from edge.sources.source import Frame, Source

PICTURE_ENDINGS = (".bmp", ".jpeg", ".jpg", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp")
_PICTURES_PER_SECOND = 2.0  # of pictures made into a film: long enough to read a label
_TEXT_CODEC = cv2.VideoWriter_fourcc(*"ansi")  # FFmpeg shows any .txt as a film of a terminal


def open_files(path: str, clock_ns: Callable[[], int]) -> Source:
    """The film, picture or folder of pictures at `path`. Raises InputError."""
    if os.path.isdir(path):
        names = sorted(name for name in os.listdir(path) if name.lower().endswith(PICTURE_ENDINGS))
        return _open_pictures(path, names, clock_ns)
    if not os.path.isfile(path):
        raise InputError(
            "there is no file or folder {}".format(path),
            "a camera's number, an address, a film, a picture or a folder of pictures",
            "check the path",
        )
    if path.lower().endswith(PICTURE_ENDINGS):
        return _open_pictures(os.path.dirname(path), [os.path.basename(path)], clock_ns)
    return _open_film(path, clock_ns)


def _open_film(path: str, clock_ns: Callable[[], int]) -> Source:
    quiet_opencv()
    capture = _capture(path)
    if not capture.isOpened() or int(capture.get(cv2.CAP_PROP_FOURCC)) == _TEXT_CODEC:
        capture.release()
        raise InputError(
            "{} does not open as a film".format(path),
            "a whole film that OpenCV's FFmpeg can read",
            "play it elsewhere to see whether it is damaged, or convert it to MP4",
        )
    remarks: List[str] = []
    frames = _film_frames(capture, path, remarks, clock_ns)
    return Source(frames, capture.release, False, frames_per_second(capture), remarks)


def _capture(path: str) -> cv2.VideoCapture:
    """With two threads to decode, where OpenCV can be told: FFmpeg's many take cores and memory from the network.

    One would be this thread, which at 1920 x 1080 then takes longer for a frame than the network does.
    """
    if hasattr(cv2, "CAP_PROP_N_THREADS"):  # 4.6
        capture = cv2.VideoCapture(path, cv2.CAP_FFMPEG, [cv2.CAP_PROP_N_THREADS, 2])
        if capture.isOpened():
            return capture
    return cv2.VideoCapture(path)


def _film_frames(capture: Any, path: str, remarks: List[str], clock_ns: Callable[[], int]) -> Iterator[Frame]:
    announced = int(capture.get(cv2.CAP_PROP_FRAME_COUNT))
    sequence = 0
    while True:
        captured_ns = clock_ns()
        decoded, image = capture.read()
        if not decoded:
            break
        yield Frame(sequence, captured_ns, image, os.path.basename(path))
        sequence += 1
    if sequence == 0:
        raise InputError("{} holds no frame".format(path), "at least one", "check the film")
    if sequence < announced - 1:  # some containers only estimate their length, a frame too long
        remarks.append("{} ended after {} of the {} frames that it announces".format(path, sequence, announced))


def _open_pictures(folder: str, names: List[str], clock_ns: Callable[[], int]) -> Source:
    remarks: List[str] = []
    frames = _picture_frames(folder, names, remarks, clock_ns)
    return Source(frames, frames.close, False, _PICTURES_PER_SECOND, remarks)


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
        if sequence == 0:
            raise InputError(
                "{} holds no picture that can be read".format(folder or "."),
                "files that end in {}".format(" ".join(PICTURE_ENDINGS)),
                "check the path",
            )
    finally:
        if skipped:
            remarks.append(
                "skipped {} unreadable of {} pictures: {}".format(len(skipped), len(names), _listed(skipped))
            )


def _listed(names: List[str]) -> str:
    more = len(names) - 5
    return ", ".join(names[:5]) + (" and {} more".format(more) if more > 0 else "")
