"""How to fine-tune with quantization: the settings in qat.yaml, checked when they are made."""

import math
from dataclasses import dataclass, fields
from pathlib import Path

import yaml

from edge.contract.errors import UsageError


@dataclass(frozen=True)
class QatRecipe:
    epochs: int  # of fine-tuning, at least so many
    min_steps: int  # and as many more as make this number of steps
    batch: int
    learning_rate: float  # at the start; it falls to 0 as a cosine
    momentum: float
    freeze_scales_at: float  # part of the steps after which no scale moves
    calibration_pictures: int  # training pictures that the first scales are fitted to
    max_drop_points: float  # accuracy that INT8 may lose against FP32 on the test pictures
    seed: int

    def __post_init__(self) -> None:
        ranges = {
            "epochs": (1, 10**4),
            "min_steps": (1, 10**7),
            "batch": (1, 65536),
            "learning_rate": (0, 10),
            "momentum": (0, 1),
            "freeze_scales_at": (0, 1),
            "calibration_pictures": (1, 10**6),
            "max_drop_points": (0, 100),
            "seed": (0, 2**31),
        }
        for name, (low, high) in ranges.items():
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high:
                raise UsageError(f"{name}: {value!r} in a QAT recipe", f"a number from {low} to {high}", "correct it")

    def steps_for(self, pictures: int) -> int:
        """Steps on a training set of so many pictures."""
        return max(self.min_steps, self.epochs * math.ceil(pictures / self.batch))


def load_qat_recipe(path: Path | None = None) -> QatRecipe:
    """The recipe in `path`, or the one that edgewise comes with. Raises UsageError."""
    path = path or Path(__file__).with_name("qat.yaml")
    try:
        settings = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise UsageError(f"{path}: {error}".replace("\n", " "), "a YAML file of settings", "correct it") from None
    names = {field.name for field in fields(QatRecipe)}
    if not isinstance(settings, dict) or set(settings) != names:
        odd = sorted(map(str, set(settings) ^ names)) if isinstance(settings, dict) else []
        raise UsageError(
            f"{path} has missing or unknown settings: {', '.join(odd) or 'all'}", ", ".join(sorted(names)), "correct it"
        )
    return QatRecipe(**settings)
