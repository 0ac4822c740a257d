"""Grad-CAM: where a network looked for its answer (Selvaraju et al. 2017, arXiv 1610.02391)."""

from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from train.network import to_input

_MOST_HEAT = 0.7  # share of the heat's colour in a drawing, where it is greatest


def grad_cam(network: nn.Module, pixels: NDArray[np.uint8], classes: NDArray[np.int64]) -> NDArray[np.float32] | None:
    """(N, H, W) float32, 0 to 1 in each picture: how much each place speaks for the class.

    pixels: (N, H, W, C) uint8; classes: (N,), one a picture. The network's last map that has more than one place is
    what is weighed, and enlarged to the pictures. None for a network without one.
    """
    maps: list[Tensor] = []

    def keep(module: nn.Module, inputs: Any, output: Any) -> None:
        if isinstance(output, Tensor) and output.ndim == 4 and output.shape[2] * output.shape[3] > 1:
            maps[:] = [output]

    hooks = [module.register_forward_hook(keep) for module in network.modules()]
    try:
        _, logits = network.eval()(to_input(torch.from_numpy(pixels)).requires_grad_())
    finally:
        for hook in hooks:
            hook.remove()
    if not maps:
        return None
    chosen = logits.gather(1, torch.from_numpy(classes)[:, None]).sum()
    (slopes,) = torch.autograd.grad(chosen, maps[0])
    heat = (slopes.mean((2, 3), keepdim=True) * maps[0]).sum(1).relu().detach().numpy()
    heat = heat / np.maximum(heat.max((1, 2), keepdims=True), 1e-12)
    height, width = pixels.shape[1:3]
    return np.stack([cv2.resize(one, (width, height), interpolation=cv2.INTER_LINEAR) for one in heat])


def draw_heat(picture: NDArray[np.uint8], heat: NDArray[np.float32]) -> NDArray[np.uint8]:
    """The picture, (H, W, C) grey or BGR, and beside it the picture under its heat (H, W): (H, 2W, 3) BGR."""
    plain = np.repeat(picture, 3, 2) if picture.shape[2] == 1 else picture
    colours = cv2.applyColorMap((255 * heat).astype(np.uint8), cv2.COLORMAP_INFERNO)
    share = _MOST_HEAT * heat[..., None]
    mixed = (1 - share) * plain + share * colours
    return np.concatenate([plain, mixed.round().astype(np.uint8)], 1)
