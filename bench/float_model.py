"""What every peer is given: the same FP32 weights as a float ONNX file, and the same calibration pictures."""

import warnings
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from train.network import to_input

_OPSET = 13  # as our own files


class LogitsOnly(nn.Module):
    """A network of ours without its features output."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, pixels: Tensor) -> Tensor:
        logits: Tensor = self.network(pixels)[1]
        return logits


def export_float(network: nn.Module, shape: tuple[int, int, int], path: Path) -> None:
    """Writes `network` as ONNX: `pixels` (n, C, H, W) float32, (byte - 128) / 128 -> `logits`. shape: (C, H, W)."""
    batch = {0: "n"}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # this exporter calls itself deprecated, several times a call
        torch.onnx.export(
            LogitsOnly(network).eval(),
            (torch.zeros(1, *shape),),
            str(path),
            dynamo=False,  # the dynamo exporter gives opset 18 at least
            opset_version=_OPSET,
            input_names=["pixels"],
            output_names=["logits"],
            dynamic_axes={"pixels": batch, "logits": batch},
        )


def float_input(pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
    """(N, H, W, C) uint8 -> (N, C, H, W) float32, contiguous."""
    values: NDArray[np.float32] = to_input(torch.from_numpy(pixels)).contiguous().numpy()
    return values


def write_calibration(pixels: NDArray[np.uint8], count: int, seed: int, path: Path) -> None:
    """Saves `count` training pictures (fewer if there are no more), drawn by `seed`, as the float network sees them."""
    chosen = np.random.default_rng(seed).permutation(len(pixels))[:count]
    np.save(path, float_input(pixels[chosen]))
