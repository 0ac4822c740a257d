"""Quantization-aware training: the FP32 network teaches its own quantized copy. No label is needed."""

import math
from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from edge.contract.errors import GateError
from quantize.fake import FakeQuant
from quantize.grid_adam import GridAdam
from quantize.plan import Plan, float_logits
from quantize.recipe import QatRecipe
from train.network import to_input


def fine_tune(
    model: FakeQuant,
    teacher: Plan,
    pixels: NDArray[np.uint8],
    recipe: QatRecipe,
    augment: Callable[[Tensor], Tensor],
    progress: Callable[[int, int, float], None],
) -> None:
    """Trains `model`, calibrated, to answer as the float `teacher` does; what it ends with are averaged weights.

    pixels: (N, H, W, C) uint8 pictures. `augment` takes and gives uint8 (N, H, W, C). `progress` gets the step, their
    number and the loss. Raises GateError if the loss stops being a number.
    """
    generator = torch.Generator().manual_seed(recipe.seed)
    model.train()
    model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # 0.8 of the time of a step on a CPU
    everything, steps = torch.from_numpy(pixels), recipe.steps_for(len(pixels))
    scales, weights = model.scale_parameters(), model.weight_parameters()
    optimizer = GridAdam([*weights, *scales], [*model.weight_units(), *(s * recipe.scale_unit for s in scales)])
    average = Average(weights, recipe.ema_share * steps)
    freeze_at = int(recipe.freeze_scales_at * steps)
    for step in range(steps):
        if step == freeze_at:
            for scale in scales:
                scale.requires_grad_(False)
                scale.grad = None
            average.restart()
        chosen = torch.randint(len(everything), (recipe.batch,), generator=generator)
        loss = distance(teacher, model, to_input(augment(everything[chosen])))
        if not math.isfinite(loss.item()):
            raise GateError(f"the loss of QAT is {loss.item()} at step {step}", "a number", "lower learning_rate")
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step(recipe.learning_rate * (1 + math.cos(math.pi * step / steps)) / 2)
        if step < freeze_at:
            model.bound_scales()
        average.update()
        progress(step + 1, steps, loss.item())
    average.apply()
    model.eval()


def distance(teacher: Plan, model: FakeQuant, batch: Tensor) -> Tensor:
    """Kullback-Leibler divergence of the quantized copy's answers from the teacher's."""
    target = F.log_softmax(float_logits(teacher, batch), 1).clone()
    return F.kl_div(F.log_softmax(model(batch)[1], 1), target, log_target=True, reduction="batchmean")


class Average:
    """An exponential moving average of parameters over about so many steps: a rounding that the last step tipped over
    by chance tips back."""

    def __init__(self, parameters: list[nn.Parameter], steps: float) -> None:
        self.parameters, self.steps = parameters, steps
        self.restart()

    def restart(self) -> None:
        self.values = [parameter.detach().clone() for parameter in self.parameters]
        self.seen = 0

    @torch.no_grad()
    def update(self) -> None:
        self.seen += 1
        share = 1 / max(1.0, min(self.seen, self.steps))
        torch._foreach_lerp_(self.values, [p.detach() for p in self.parameters], share)

    @torch.no_grad()
    def apply(self) -> None:
        for parameter, value in zip(self.parameters, self.values, strict=True):
            parameter.copy_(value)
