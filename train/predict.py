"""Runs a network over pictures, in FP32."""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from train.data import Pictures
from train.network import to_input


def predict(
    network: nn.Module, pixels: NDArray[np.uint8], batch: int | None = None
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """(N, H, W, C) uint8 -> features (N, D) and logits (N, classes), both float32, in evaluation mode.

    batch: pictures at a time, by default 500, or as many large ones as have 2 million pixels: memory stays bounded.
    """
    height, width = pixels.shape[1:3]
    batch = batch or max(1, min(500, 2_000_000 // (height * width)))
    device = next(network.parameters()).device
    was_training = network.training
    network.eval()
    features, logits = [], []
    # TF32, cuDNN's default for convolutions, would change the answers
    with torch.inference_mode(), torch.backends.cudnn.flags(enabled=True, allow_tf32=False):
        for chunk in torch.split(torch.from_numpy(pixels), batch):
            f, y = network(to_input(chunk.to(device)))
            features.append(f.cpu().numpy())
            logits.append(y.cpu().numpy())
    network.train(was_training)
    return np.concatenate(features), np.concatenate(logits)


def evaluate(network: nn.Module, pictures: Pictures, batch: int | None = None) -> float:
    """The share of pictures, 0 to 1, whose highest logit is their target's."""
    _, logits = predict(network, pictures.pixels, batch)
    return float((logits.argmax(1) == pictures.targets).mean())
