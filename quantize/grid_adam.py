"""Adam (arXiv 1412.6980) whose steps are measured in steps of the grids.

Batch norms folded into convolutions leave weights of very different sizes, channel by channel, and a rate that one
channel needs throws another far off: with plain SGD at a rate of 0.005, EfficientNet-Lite0 lost all that it knew within
25 steps. Adam's update is of the size of its rate whatever the gradient's; so each parameter has a unit, and the rate
says how many units a step may move it.
"""

import torch
from torch import Tensor, nn

_BETAS = (0.9, 0.999)
_EPSILON = 1e-16  # gradients behind folded batch norms are small too


class GridAdam:
    """`units`: of each parameter, a tensor that broadcasts to it."""

    def __init__(self, parameters: list[nn.Parameter], units: list[Tensor]) -> None:
        self.parameters, self.units = parameters, [unit.detach().clone() for unit in units]
        self.means = [torch.zeros_like(p) for p in parameters]
        self.squares = [torch.zeros_like(p) for p in parameters]
        self.steps = 0

    def zero_grad(self) -> None:
        for parameter in self.parameters:
            parameter.grad = None

    @torch.no_grad()
    def step(self, rate: float) -> None:
        """Moves every parameter that has a gradient by about `rate` units."""
        self.steps += 1
        first, second = _BETAS
        correction = (1 - second**self.steps) ** 0.5 / (1 - first**self.steps)
        for parameter, unit, mean, square in zip(self.parameters, self.units, self.means, self.squares, strict=True):
            if parameter.grad is None:
                continue
            mean.lerp_(parameter.grad, 1 - first)
            square.lerp_(parameter.grad.square(), 1 - second)
            parameter.sub_(rate * correction * unit * mean / (square.sqrt() + _EPSILON))
