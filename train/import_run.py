"""Weights trained elsewhere -> a run folder, without pictures: ImageNet's, or a safetensors file for any network."""

from dataclasses import replace
from pathlib import Path

from torch import nn

from edge.contract.errors import FormatError, InputError, UsageError
from edge.contract.spec import ModelSpec
from train.efficientnet import SCALINGS
from train.network import build_network, count_features
from train.pretrained import IMAGENET_CLASSES, SOURCES, load_pretrained
from train.raw import check_labels
from train.recipe import load_recipe, override
from train.run_folder import write_imported
from train.tensors import check_tensors, read_tensors
from train.vision import models

CHANNELS = 3
_RECIPE = "photos"  # what the run's recipe.yaml holds: its augmentation serves where the run is quantized


def import_run(
    network_name: str, folder: Path, weights: Path | None, labels_file: Path | None, size: int | None
) -> ModelSpec:
    """Writes `folder` as a finished run of `network_name` and returns what the model takes and gives.

    weights: a safetensors file of the network's state_dict, for (x - 128) / 128 of BGR bytes; None for ImageNet's own,
    adapted. labels_file: a class a line, in the order of the logits. size: pixels a side, by default what an
    EfficientNet-Lite was made for, else 224. Raises UsageError or InputError, and then nothing is written.
    """
    labels = _labels(network_name, weights, labels_file)
    scaling = SCALINGS.get(network_name)
    side = size or (scaling.size if scaling else None)
    recipe = override(load_recipe(_RECIPE), {"network": network_name, "height": side, "width": side})
    if weights is not None:
        recipe = replace(recipe, pretrained=False)
    shape = (recipe.height, recipe.width)
    network = build_network(network_name, CHANNELS, len(labels), shape)
    if weights is None:
        load_pretrained(network, network_name)
    else:
        _load(network, network_name, weights, len(labels))
    features = count_features(network, CHANNELS, shape)
    spec = ModelSpec(network_name, *shape, CHANNELS, features, len(labels))
    write_imported(folder, recipe, spec, labels, network)
    return spec


def imagenet_labels() -> tuple[str, ...]:
    """The 1000 names that torchvision gives ImageNet's classes, in the order of the logits; none comes twice."""
    return check_labels(list(models.ResNet18_Weights.IMAGENET1K_V1.meta["categories"]), "ImageNet")


def _labels(network_name: str, weights: Path | None, path: Path | None) -> tuple[str, ...]:
    if weights is None and network_name not in SOURCES:
        known = ", ".join(SOURCES)
        raise UsageError(
            f"there are no ImageNet weights for {network_name!r}", f"one of {known}", "name one, or give --weights"
        )
    if path is None:
        if weights is not None:
            raise UsageError(f"{weights} does not say what its classes are", "a class a line", "give --labels")
        return imagenet_labels()
    labels = _read_labels(path)
    if weights is None and len(labels) != IMAGENET_CLASSES:
        raise InputError(f"{path} has {len(labels)} labels", f"ImageNet's {IMAGENET_CLASSES}", "leave out --labels")
    return labels


def _read_labels(path: Path) -> tuple[str, ...]:
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError):
        raise InputError(f"{path} cannot be read", "a text file with a class a line", "check the path") from None
    return check_labels([line for line in lines if line.strip()], str(path))


def _load(network: nn.Module, name: str, path: Path, classes: int) -> None:
    try:
        found, _ = read_tensors(path)
        check_tensors(found, network.state_dict(), path)
    except FormatError as error:
        expected = f"{error.expected}: the state_dict of {name} for {classes} classes"
        raise InputError(error.found, expected, "save it with safetensors.torch.save_file") from None
    network.load_state_dict(found)
