"""Post-training quantization: scales and rounding fitted to calibration pictures, without labels or training."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import get_args

import numpy as np
import torch
from numpy.typing import NDArray

from edge.contract.errors import UsageError
from quantize.fake import Calibration, FakeQuant
from quantize.plan import Plan
from quantize.rounding import round_weights
from train.network import to_input


@dataclass(frozen=True)
class PtqRecipe:
    calibration: Calibration  # how activation scales are fitted
    pictures: int  # calibration pictures
    split_outliers: float  # share of multiply-adds more that splitting channels may cost: quantize/outliers.py
    split_only: list[str]  # the tensors that are split; empty for all
    seed: int

    def __post_init__(self) -> None:
        methods = get_args(Calibration)
        for name, allowed, expected in (
            ("calibration", methods, f"one of {', '.join(methods)}"),
            ("pictures", range(1, 10**6), "a whole number from 1 to 999999"),
            ("seed", range(2**31), f"a whole number from 0 to {2**31 - 1}"),
        ):
            value = getattr(self, name)
            if isinstance(value, bool) or value not in allowed:
                raise UsageError(f"{name}: {value!r} in a quantization recipe", expected, "correct it")
        share = self.split_outliers
        if isinstance(share, bool) or not isinstance(share, (int, float)) or not 0 <= share <= 1:
            found = f"split_outliers: {share!r} in a quantization recipe"
            raise UsageError(found, "a number from 0 to 1", "correct it")
        if not isinstance(self.split_only, list) or not all(isinstance(name, str) for name in self.split_only):
            found = f"split_only: {self.split_only!r} in a quantization recipe"
            raise UsageError(found, "a list of tensors' names", "correct it")


def ptq(
    plan: Plan, pixels: NDArray[np.uint8], recipe: PtqRecipe, progress: Callable[[str, int, int], None]
) -> FakeQuant:
    """The plan on its integer grids, its weights rounded and its biases fitted to the float layers' outputs.

    pixels: (N, H, W, C) uint8, the calibration pictures. `progress` gets the stage, the step and the number of steps.
    Raises what FakeQuant.calibrate raises.
    """
    values = to_input(torch.from_numpy(pixels))
    model = FakeQuant(plan)
    model.calibrate(values, recipe.calibration, partial(progress, "calibration"))
    round_weights(model, values, torch.Generator().manual_seed(recipe.seed), partial(progress, "rounding"))
    return model
