"""Quantization-aware training: the FP32 network teaches its own quantized copy."""

import math
from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from edge.contract.errors import GateError
from quantize.fake import FakeQuant
from quantize.plan import make_plan
from quantize.recipe import QatRecipe
from train.network import to_input


def fine_tune(
    network: nn.Module,
    pixels: NDArray[np.uint8],
    recipe: QatRecipe,
    augment: Callable[[Tensor], Tensor],
    progress: Callable[[int, int, float], None],
) -> FakeQuant:
    """The quantized copy of `network` after QAT by distillation: no label is needed.

    pixels: (N, H, W, C) uint8 training pictures. `augment` takes and gives uint8 (N, H, W, C). `progress` gets the
    step, their number and the loss. Raises GateError if the loss stops being a number.
    """
    generator = torch.Generator().manual_seed(recipe.seed)
    model = FakeQuant(make_plan(network))
    model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # 0.8 of the time of a step on a CPU
    everything, steps = torch.from_numpy(pixels), recipe.steps_for(len(pixels))
    sample = torch.randperm(len(everything), generator=generator)[: recipe.calibration_pictures]
    model.calibrate(to_input(everything[sample]))
    scales, weights = model.scale_parameters(), model.weight_parameters()
    model.scales[model.plan.layers[-1].name].requires_grad_(False)
    optimizer = torch.optim.SGD([*weights, *scales], recipe.learning_rate, recipe.momentum)
    freeze_at = int(recipe.freeze_scales_at * steps)
    for step in range(steps):
        if step == freeze_at:
            for scale in scales:
                scale.requires_grad_(False)
                scale.grad = None
        chosen = torch.randint(len(everything), (recipe.batch,), generator=generator)
        batch = to_input(augment(everything[chosen]))
        loss = _distance(network, model, batch)
        if not math.isfinite(loss.item()):
            raise GateError(f"the loss of QAT is {loss.item()} at step {step}", "a number", "lower learning_rate")
        optimizer.param_groups[0]["lr"] = recipe.learning_rate * (1 + math.cos(math.pi * step / steps)) / 2
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        if step < freeze_at:
            model.bound_scales()
        progress(step + 1, steps, loss.item())
    return model.eval()


def _distance(network: nn.Module, model: FakeQuant, batch: Tensor) -> Tensor:
    """Kullback-Leibler divergence of the quantized copy's answers from the network's."""
    with torch.no_grad():
        target = F.log_softmax(network(batch)[1], 1)
    return F.kl_div(F.log_softmax(model(batch)[1], 1), target, log_target=True, reduction="batchmean")
