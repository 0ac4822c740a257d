"""A peer: OpenCV's own sample for classification, samples/dnn/classification.py. FILM FLOAT.onnx"""

import sys
from functools import partial

import cv2
import numpy as np
from loop_time import first_frame, in_turn, report


def main(film: str, model: str) -> None:
    cv2.setNumThreads(1)
    net = cv2.dnn.readNet(model)

    def infer(blob: np.ndarray) -> int:
        net.setInput(blob)
        return int(np.argmax(net.forward("logits")))

    def blob_of(image: np.ndarray) -> np.ndarray:
        return cv2.dnn.blobFromImage(image, 1.0, (224, 224), (128, 128, 128))

    blob = blob_of(first_frame(film))
    infer(blob)
    loop = partial(in_turn, film, lambda image: infer(blob_of(image)))
    report("Lite0 FP32 in cv2.dnn", 20, partial(infer, blob), loop)


if __name__ == "__main__":
    main(*sys.argv[1:])
