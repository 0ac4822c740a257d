"""A peer: mediapipe's ImageClassifier in video mode. FILM [MODEL.tflite]

Its wheel ships no model; https://ai.google.dev/edge/mediapipe/solutions/vision/image_classifier names one to download.
"""

import sys
import time

import cv2
import mediapipe as mp
from loop_time import first_frame, in_turn, report


def main(film: str, model: str = "efficientnet_lite0.tflite") -> None:
    options = mp.tasks.vision.ImageClassifierOptions(
        base_options=mp.tasks.BaseOptions(model_asset_path=model), running_mode=mp.tasks.vision.RunningMode.VIDEO
    )
    with mp.tasks.vision.ImageClassifier.create_from_options(options) as classifier:
        first = first_frame(film)

        def classify(image: "cv2.typing.MatLike") -> None:
            picture = mp.Image(mp.ImageFormat.SRGB, cv2.cvtColor(image, cv2.COLOR_BGR2RGB))
            classifier.classify_for_video(picture, time.monotonic_ns() // 1000)

        report("Lite0 in TFLite", 30, lambda: classify(first), lambda: in_turn(film, classify))


if __name__ == "__main__":
    main(*sys.argv[1:])
