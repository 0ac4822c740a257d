"""Linear bottlenecks turned before they are quantized, so that rounding falls on all their channels alike.

Where nothing but convolutions and adds writes and reads a tensor, as between the blocks of MobileNetV2 and
EfficientNet-Lite, an orthogonal matrix may stand in front of what reads it and its inverse in what reads: the function
stays, and no multiply-add is added. Each channel is then a sum of all, so that none stands out and the answers depend
on all alike: one scale serves them better. The idea is QuaRot's (arXiv 2404.00456); the matrix is Hartley's, which
there is for every size, behind fixed random signs. No picture is needed for it, and none was seen.
"""

import random
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from quantize.channels import tie_channels
from quantize.plan import Add, Conv, Plan


def rotate_bottlenecks(plan: Plan) -> Plan:
    """The same function, with every tensor turned that can be; what is tied by adds alike."""
    for tensors, numbers in tie_channels(plan).spaces().items():
        if _is_linear(plan, tensors):
            plan = _rotated(plan, tensors, _orthogonal(len(numbers)))
    return plan


def _is_linear(plan: Plan, tensors: tuple[str, ...]) -> bool:
    """Whether only convolutions over all channels and adds write and read them, without activations."""
    writers = [layer for layer in plan.layers if layer.name in tensors]
    readers = [layer for layer in plan.layers if set(layer.sources) & set(tensors)]
    return all(layer.activation == "none" for layer in writers) and all(
        isinstance(layer, Add) or (isinstance(layer, Conv) and layer.geometry.groups == 1)
        for layer in (*writers, *readers)
    )


def _rotated(plan: Plan, tensors: tuple[str, ...], matrix: Tensor) -> Plan:
    """matrix: (C, C) float64, orthogonal."""

    def turned(layer: Conv) -> Conv:
        weight, bias = layer.weight.double(), layer.bias.double()
        if layer.name in tensors:
            weight, bias = torch.einsum("po,oihw->pihw", matrix, weight), matrix @ bias
        if layer.sources[0] in tensors:
            weight = torch.einsum("oihw,pi->ophw", weight, matrix)
        return replace(layer, weight=weight.float().contiguous(), bias=bias.float())

    return replace(plan, layers=tuple(turned(x) if isinstance(x, Conv) else x for x in plan.layers))


def _orthogonal(size: int) -> Tensor:
    """Hartley's matrix (Bracewell 1983) behind signs that follow from the size alone: the same wherever it is made."""
    drawn = random.Random(size)  # noqa: S311  no secret: it has to be the same again
    signs = np.array([1 if drawn.random() < 0.5 else -1 for _ in range(size)])
    angles = 2 * np.pi / size * np.outer(np.arange(size), np.arange(size))
    return torch.from_numpy((np.cos(angles) + np.sin(angles)) / np.sqrt(size) * signs)
