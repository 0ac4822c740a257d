"""How a network is quantized: one record that refuses nonsense, and the YAML files that hold it."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import yaml

from edge.contract.errors import UsageError
from quantize.ptq import PtqRecipe

_FOLDER = Path(__file__).parent / "recipes"
_SMALL_SIDE = 64  # pixels; networks for larger pictures get the recipe `photos`


@dataclass(frozen=True)
class QatRecipe:
    """Quantization-aware training."""

    epochs: int  # of fine-tuning, at least so many
    min_steps: int  # and as many more as make this number of steps
    max_steps: int  # but no more
    batch: int
    learning_rate: float  # in steps of the grids, at the start; it falls to 0 as a cosine
    scale_unit: float  # part of itself that a scale moves where a weight moves a step
    freeze_scales_at: float  # part of the steps after which no scale moves
    ema_share: float  # of all steps: over how many the weights are averaged that are the result; 0 for the last alone
    seed: int

    def __post_init__(self) -> None:
        ranges = {
            "epochs": (1, 10**4),
            "min_steps": (1, 10**7),
            "max_steps": (1, 10**7),
            "batch": (1, 65536),
            "learning_rate": (0, 10),
            "scale_unit": (0, 1),
            "freeze_scales_at": (0, 1),
            "ema_share": (0, 1),
            "seed": (0, 2**31),
        }
        _check(self, ranges)

    def steps_for(self, pictures: int) -> int:
        """Steps on a training set of so many pictures."""
        return min(self.max_steps, max(self.min_steps, self.epochs * math.ceil(pictures / self.batch)))


@dataclass(frozen=True)
class Gates:
    """What is good enough, in percent of the pictures or points of accuracy."""

    val_pictures: int  # that agreement after each stage is measured on, at most
    enough_agreement: float  # of calibration alone with FP32, the interval's lower end: then no training follows
    max_drop_points: float  # accuracy that INT8 may lose against FP32 on the test pictures
    min_agreement: float  # with FP32 on test pictures without labels

    def __post_init__(self) -> None:
        percents = dict.fromkeys(("enough_agreement", "max_drop_points", "min_agreement"), (0, 100))
        _check(self, {"val_pictures": (1, 10**6), **percents})


@dataclass(frozen=True)
class Recipe:
    ptq: PtqRecipe
    qat: QatRecipe
    gates: Gates


def load_recipe(path: Path | None, height: int, width: int) -> Recipe:
    """The recipe in `path`, or that which edgewise comes with for pictures of this size. Raises UsageError."""
    name = "small" if max(height, width) <= _SMALL_SIDE else "photos"
    path = path or _FOLDER / f"{name}.yaml"
    try:
        settings = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise UsageError(f"{path}: {error}".replace("\n", " "), "a YAML file of settings", "correct it") from None
    parts = _exact(settings, Recipe, str(path))
    return Recipe(
        PtqRecipe(**_exact(parts["ptq"], PtqRecipe, f"{path}: ptq")),
        QatRecipe(**_exact(parts["qat"], QatRecipe, f"{path}: qat")),
        Gates(**_exact(parts["gates"], Gates, f"{path}: gates")),
    )


def _exact(settings: Any, record: type, where: str) -> dict[str, Any]:
    names = {field.name for field in fields(record)}
    if not isinstance(settings, dict) or set(settings) != names:
        odd = sorted(map(str, set(settings) ^ names)) if isinstance(settings, dict) else []
        raise UsageError(
            f"{where} has missing or unknown settings: {', '.join(odd) or 'all'}",
            ", ".join(sorted(names)),
            "correct it",
        )
    return settings


def _check(recipe: object, ranges: Mapping[str, tuple[float, float]]) -> None:
    for name, (low, high) in ranges.items():
        value = getattr(recipe, name)
        if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high:
            raise UsageError(
                f"{name}: {value!r} in a quantization recipe", f"a number from {low} to {high}", "correct it"
            )
