"""How a network is trained: one record that refuses nonsense, and the YAML files that hold it."""

import math
from collections.abc import Callable, Mapping
from dataclasses import MISSING, asdict, dataclass, fields, replace
from pathlib import Path
from typing import Annotated, Any

import yaml

from edge.contract.errors import UsageError
from train.augment import Augmentation
from train.network import EXPECTED_NAMES, NETWORKS
from train.pretrained import SOURCES

_FOLDER = Path(__file__).parent / "recipes"
_SHRUNK_EPOCHS = 0.75  # of all, at most
_STRIDE = 32  # pixels: all strides of a network together
_PRETRAINED = ", ".join(SOURCES)


@dataclass(frozen=True)
class Recipe:
    """The learning rate rises in a straight line for `warmup` of all steps, then falls to 0 along a cosine.

    Each field is a flag of `edgewise train`, too, with what is said of it here.

    Raises UsageError for a field of another type or out of bounds.
    """

    network: Annotated[str, "One of train/network.py, or your own as package.module:function."]
    pretrained: Annotated[bool, "Begin with ImageNet's weights."]
    frozen_share: Annotated[float, "Of the layers with weights, from the input on: they do not train."]
    frozen_norms: Annotated[bool, "Every batch norm keeps the statistics that it begins with."]
    height: Annotated[int, "Pixels."]
    width: Annotated[int, "Pixels."]
    epochs: Annotated[int, "At least so many; a small set gets more, for min_steps. As a flag just so many."]
    min_steps: Annotated[int, "Steps at least."]
    batch: Annotated[int, "Pictures a step."]
    optimizer: Annotated[str, "sgd (Nesterov) or adamw."]
    learning_rate: Annotated[float, "The highest."]
    momentum: Annotated[float, "sgd's, or adamw's first beta."]
    weight_decay: Annotated[float, "Not on biases and batch normalisation."]
    warmup: Annotated[float, "Of all steps."]
    label_smoothing: Annotated[float, "Of a target, spread over all classes."]
    ema_share: Annotated[float, "Of all steps: over how many the result's weights are averaged; 0 for the last alone."]
    augmentation: Augmentation
    seed: Annotated[int, "Of the split, the weights and the order."]
    amp: Annotated[bool, "bfloat16 where the GPU has it, else float16 where it has tensor cores; never on a CPU."]
    linear_probe: Annotated[
        bool, "Begin with the classifier that logistic regression fits to the pretrained features."
    ] = False
    mixup: Annotated[float, "Blend pictures of a batch in pairs: both parameters of the shares' Beta."] = 0.0
    cutmix: Annotated[float, "Put rectangles of one into another, likewise; with both, a batch has one of the two."] = (
        0.0
    )
    shrink: Annotated[
        float,
        "Of a side, at most: so much smaller, by steps of 32 pixels, are pictures before the last quarter of epochs.",
    ] = 0.0
    layer_decay: Annotated[float, "Of a layer's learning rate, what the layer before it gets; 1 for one rate."] = 1.0
    patience: Annotated[int, "Stop after so many epochs without a lower loss on val; 0 for all epochs."] = 0

    def __post_init__(self) -> None:
        _check(self, "augmentation", Augmentation, lambda v: True, "strengths by name")
        _check(self, "network", str, lambda v: v in NETWORKS or ":" in v, EXPECTED_NAMES)
        _check(self, "pretrained", bool, lambda v: not v or self.network in SOURCES, "true only for " + _PRETRAINED)
        _check(self, "frozen_norms", bool, lambda v: True, "true or false")
        _check(self, "linear_probe", bool, lambda v: not v or self.pretrained, "true only with pretrained weights")
        _check(self, "optimizer", str, lambda v: v in ("sgd", "adamw"), "sgd or adamw")
        for side in ("height", "width"):
            _check(self, side, int, lambda v: 32 <= v <= 512, "32 to 512")
        _check(self, "shrink", float, lambda v: 0 <= v <= 0.5, "0 to 0.5")
        _check(self, "epochs", int, lambda v: 1 <= v <= 10_000, "1 to 10000")
        _check(self, "min_steps", int, lambda v: 0 <= v <= 1_000_000, "0 to 1000000")
        _check(self, "batch", int, lambda v: 2 <= v <= 65_536, "2 to 65536")
        _check(self, "seed", int, lambda v: 0 <= v < 1 << 32, "0 to 4294967295")
        _check(self, "learning_rate", float, lambda v: 0 < v <= 10, "above 0, at most 10")
        for share in ("frozen_share", "momentum", "warmup", "label_smoothing", "ema_share"):
            _check(self, share, float, lambda v: 0 <= v < 1, "0 to below 1")
        for mixed in ("mixup", "cutmix"):
            _check(self, mixed, float, lambda v: 0 <= v <= 10, "0 to 10")
        _check(self, "layer_decay", float, lambda v: 0 < v <= 1, "above 0, at most 1")
        _check(self, "patience", int, lambda v: 0 <= v <= 10_000, "0 to 10000")
        _check(self, "weight_decay", float, lambda v: 0 <= v <= 1, "0 to 1")
        _check(self, "amp", bool, lambda v: True, "true or false")

    def train_size(self, size: tuple[int, int], epoch: int, epochs: int) -> tuple[int, int]:
        """(height, width) of the pictures that an epoch's steps take, of those of `size`. epoch: from 0 on.

        Smaller ones save time, if the last epochs have the size that is to come (arXiv 1906.06423). They are smaller by
        whole strides of a network, so that its "SAME" padding stays as it is (train/efficientnet.py).
        """
        if epoch + 1 > _SHRUNK_EPOCHS * epochs:
            return size
        height, width = (side - _STRIDE * int(self.shrink * side / _STRIDE) for side in size)
        return height, width

    def epochs_for(self, pictures: int) -> int:
        """Epochs on a training set of so many pictures."""
        return max(self.epochs, math.ceil(self.min_steps / self.steps_per_epoch(pictures)))

    def steps_per_epoch(self, pictures: int) -> int:
        """Whole batches only, of a new order each epoch; a set smaller than a batch is one."""
        return max(1, pictures // self.batch)


def override(recipe: Recipe, given: Mapping[str, Any]) -> Recipe:
    """The recipe with the fields of it and of its augmentation that are in `given`, but for those that are None.

    Epochs are then as many as are named, and a network without ImageNet weights trains all of it, from scratch, unless
    `given` says otherwise. Raises UsageError.
    """
    told = {name: value for name, value in given.items() if value is not None}
    if "epochs" in told:
        told = {"min_steps": 0, **told}
    if "network" in told and told["network"] not in SOURCES:
        told = {"pretrained": False, "frozen_share": 0.0, "frozen_norms": False, "linear_probe": False, **told}
    strengths = {field.name: told.pop(field.name) for field in fields(Augmentation) if field.name in told}
    return replace(recipe, augmentation=replace(recipe.augmentation, **strengths), **told)


def load_recipe(name_or_path: str) -> Recipe:
    """The recipe of that name in train/recipes, or the YAML file at that path. Raises UsageError."""
    known = sorted(path.stem for path in _FOLDER.glob("*.yaml"))
    path = _FOLDER / f"{name_or_path}.yaml" if name_or_path in known else Path(name_or_path)
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        expected = "a readable YAML file, or one of " + ", ".join(known)
        raise UsageError(f"there is no recipe {name_or_path!r}", expected, "check the name") from None
    return parse_recipe(text, str(path))


def parse_recipe(text: str, source: str) -> Recipe:
    """The recipe in a YAML `text` that has every field without a default, and no unknown one. Raises UsageError."""
    try:
        found = yaml.safe_load(text)
    except yaml.YAMLError as error:
        line = str(error).splitlines()[0]
        raise UsageError(f"{source} is no YAML ({line})", "the fields of a recipe", "correct it") from None
    values = _known_fields(found, Recipe, source)
    values["augmentation"] = Augmentation(
        **_known_fields(values["augmentation"], Augmentation, f"{source}: augmentation")
    )
    return Recipe(**values)


def recipe_text(recipe: Recipe) -> str:
    """The YAML form, which `parse_recipe` reads back to an equal recipe."""
    return yaml.safe_dump(asdict(recipe), sort_keys=False)


def _known_fields(found: Any, record: type, source: str) -> dict[str, Any]:
    names = [field.name for field in fields(record)]
    needed = [field.name for field in fields(record) if field.default is MISSING]
    if not isinstance(found, dict):
        raise UsageError(f"{source} is no list of fields", ", ".join(names), "write `name: value` lines")
    unknown = [str(name) for name in found if name not in names]
    missing = [name for name in needed if name not in found]
    if unknown or missing:
        what = f"has the unknown field {unknown[0]!r}" if unknown else f"has no field {missing[0]!r}"
        raise UsageError(f"{source} {what}", ", ".join(names), "correct it")
    return dict(found)


def _check(recipe: Recipe, name: str, kind: type, fits: Callable[[Any], bool], expected: str) -> None:
    value = getattr(recipe, name)
    right_type = type(value) in (int, float) if kind is float else type(value) is kind
    if not right_type or not fits(value):
        raise UsageError(f"the recipe's {name} is {value!r}", f"{name} {expected}", "correct the recipe")
