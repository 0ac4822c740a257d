"""Whether anything moved: where nothing did, the answer is the one before, and the network can rest."""

from typing import Optional

import cv2
import numpy as np

_BLOCKS = 14  # a side: a thing of a fourteenth of the picture's width is seen to move
_LEAST_CHANGE = 4.0  # of 255, of one block's mean: above a sensor's noise, which a mean over a block evens out
_LONGEST_NS = 1000000000  # then it is looked at again, so that slow light is followed and a lesson counts


class Stillness:
    """Of one source: compares each picture with the last one that was classified."""

    def __init__(self) -> None:
        self._blocks: Optional[np.ndarray] = None
        self._at_ns = 0

    def is_still(self, pixels: np.ndarray, captured_ns: int) -> bool:
        """pixels: (H, W, C) uint8. False makes it the picture to compare with."""
        blocks = cv2.resize(pixels, (_BLOCKS, _BLOCKS), interpolation=cv2.INTER_AREA).astype(np.int16)
        if (
            self._blocks is not None
            and blocks.shape == self._blocks.shape
            and captured_ns - self._at_ns < _LONGEST_NS
            and np.abs(blocks - self._blocks).max() < _LEAST_CHANGE
        ):
            return True
        self._blocks, self._at_ns = blocks, captured_ns
        return False
