"""A peer: OpenCV's own sample for classification, samples/dnn/classification.py. FILM FLOAT.onnx"""

import sys

import cv2
import numpy as np
from loop_time import report


def main(film: str, model: str) -> None:
    cv2.setNumThreads(1)
    net = cv2.dnn.readNet(model)

    def infer(blob: np.ndarray) -> int:
        net.setInput(blob)
        return int(np.argmax(net.forward("logits")))

    def blob_of(image: np.ndarray) -> np.ndarray:
        return cv2.dnn.blobFromImage(image, 1.0, (224, 224), (128, 128, 128))

    def loop() -> int:
        capture, count = cv2.VideoCapture(film), 0
        while True:
            there, image = capture.read()
            if not there:
                return count
            infer(blob_of(image))
            count += 1

    blob = blob_of(cv2.VideoCapture(film).read()[1])
    infer(blob)
    report("Lite0 FP32 in cv2.dnn", 20, lambda: infer(blob), loop)


if __name__ == "__main__":
    main(*sys.argv[1:])
