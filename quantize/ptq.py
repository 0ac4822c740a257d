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
    seed: int

    def __post_init__(self) -> None:
        expected = {
            "calibration": get_args(Calibration),
            "pictures": range(1, 10**6 + 1),
            "seed": range(2**31),
        }
        for name, values in expected.items():
            value = getattr(self, name)
            if isinstance(value, bool) or value not in values:
                wanted = (
                    f"a whole number from {values[0]} to {values[-1]}"
                    if isinstance(values, range)
                    else f"one of {', '.join(values)}"
                )
                raise UsageError(f"{name}: {value!r} in a quantization recipe", wanted, "correct it")


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
