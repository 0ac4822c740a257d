"""A peer: Hugging Face's image-classification pipeline, frames by OpenCV. FILM

A MobileNetV2 of its own without trained weights, as none can be downloaded: only its time is of interest.
"""

import sys

import cv2
import torch
from loop_time import in_turn, report
from PIL import Image

import train.vision  # noqa: F401  so that torchvision loads beside a CPU build of torch


def main(film: str) -> None:
    from transformers import MobileNetV2Config, MobileNetV2ForImageClassification, MobileNetV2ImageProcessor, pipeline

    torch.set_num_threads(1)
    model = MobileNetV2ForImageClassification(MobileNetV2Config(num_labels=5)).eval()
    processor = MobileNetV2ImageProcessor(size={"shortest_edge": 256}, crop_size={"height": 224, "width": 224})
    ask = pipeline("image-classification", model=model, image_processor=processor, device="cpu")
    pixels = torch.zeros(1, 3, 224, 224)

    def raw() -> None:
        with torch.inference_mode():
            model(pixels)

    def classify(image: "cv2.typing.MatLike") -> None:
        ask(Image.fromarray(cv2.cvtColor(image, cv2.COLOR_BGR2RGB)))

    raw()
    report("MobileNetV2 FP32 in torch", 30, raw, lambda: in_turn(film, classify))


if __name__ == "__main__":
    main(*sys.argv[1:])
