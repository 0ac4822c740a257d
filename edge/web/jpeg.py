"""A picture as small as the page shows it."""

import cv2
import numpy as np


def small_jpeg(image: np.ndarray, widest: int, quality: int = 75) -> bytes:
    """A JPEG at most `widest` pixels wide. image: (H, W, 3) BGR, (H, W, 1) or (H, W) grey, uint8."""
    height, width = image.shape[:2]
    if width > widest:
        size = (widest, max(1, round(height * widest / float(width))))
        image = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
    return cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, quality])[1].tobytes()
