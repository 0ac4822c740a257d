"""What is said to OpenCV about films and cameras, in any process that reads them."""

from typing import Any

import cv2

from edge.sources.source import ASSUMED_FRAMES_PER_SECOND


def quiet_opencv() -> None:
    """Stops OpenCV's own lines on stderr, for the whole process. FFmpeg's follow OPENCV_FFMPEG_LOGLEVEL alone."""
    if hasattr(cv2, "setLogLevel"):  # 4.x
        cv2.setLogLevel(0)
    elif hasattr(cv2, "utils") and hasattr(cv2.utils, "logging"):  # 5.x
        cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)


def frames_per_second(capture: Any) -> float:
    """capture: an open cv2.VideoCapture."""
    announced = float(capture.get(cv2.CAP_PROP_FPS))
    return announced if 0.1 <= announced <= 1000 else ASSUMED_FRAMES_PER_SECOND
