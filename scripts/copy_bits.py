"""How many copies of pictures are found, and their bits: PYTHONPATH=. python scripts/copy_bits.py DATA

DATA is a folder of pictures. Every second one of its part train is copied in each way that the bench of check has,
and compared with its copy alone.
"""

import sys
from collections import Counter

import cv2
import numpy as np
from numpy.typing import NDArray

from bench.planted_pictures import WAYS_TO_COPY
from edge.preprocess import decode_bytes
from train.check.survey import Seen, describe
from train.check.twins import groups
from train.data import open_data


def main() -> None:
    with open_data(sys.argv[1]) as raw:
        part = raw.parts["train"]
        pictures = [part.read(i) for i in range(0, len(part.targets), 2)]
    for number, way in enumerate(WAYS_TO_COPY, 1):
        bits: Counter[int] = Counter()
        missed = 0
        for picture in pictures:
            pair = look(picture), look(compressed(np.asarray(way(picture), np.uint8)))
            bits[(pair[0].hash ^ pair[1].hash).bit_count()] += 1
            missed += not groups(pair)
        print(f"way {number}: {missed} of {len(pictures)} not found; bits: {dict(sorted(bits.items()))}", flush=True)


def compressed(picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
    _, data = cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, 80])
    return decode_bytes(data.tobytes(), "a copy")


def look(picture: NDArray[np.uint8]) -> Seen:
    return describe(picture, "", "train", 0, 0)


if __name__ == "__main__":
    main()
