"""A peer: Ultralytics' predict() over a film. FILM

A YOLO classifier without trained weights, as none can be downloaded: only its time is of interest.
"""

import sys

import torch
from loop_time import report
from ultralytics import YOLO

import train.vision  # noqa: F401  so that torchvision loads beside a CPU build of torch


def main(film: str) -> None:
    torch.set_num_threads(1)
    yolo = YOLO("yolo11n-cls.yaml", verbose=False)
    pixels = torch.zeros(1, 3, 224, 224)

    def loop() -> int:
        return sum(1 for _ in yolo.predict(film, stream=True, imgsz=224, device="cpu", verbose=False))

    def raw() -> None:
        with torch.inference_mode():
            yolo.model(pixels)

    loop()
    report("YOLO11n-cls FP32 in torch", 30, raw, loop)


if __name__ == "__main__":
    main(*sys.argv[1:])
