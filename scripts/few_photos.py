"""What suits few photos, by cross-validation over the training pictures alone.

PYTHONPATH=. .venv/bin/python scripts/few_photos.py PICTURES.zip [FOLDS]

PICTURES has train/ and test/; no test picture is read. Each fold trains on four fifths of train/, val cut as always,
and is measured on the last fifth, in every way below.
"""

import sys
import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edge.contract.spec import ModelSpec
from edge.preprocess import prepare
from train.data import DataSet, Pictures, open_data
from train.loop import train
from train.recipe import load_recipe
from train.split import cut_parts

FOLDS = 5
RATE = load_recipe("photos-few").learning_rate
WAYS = {
    "photos-few": {},
    "rate / 3": {"learning_rate": RATE / 3},
    "rate x 3": {"learning_rate": 3 * RATE},
    "rate x 3, layer decay 0.9": {"learning_rate": 3 * RATE, "layer_decay": 0.9},
}


def main() -> None:
    pictures, labels = read_training_pictures(sys.argv[1])
    order = np.random.default_rng(0).permutation(len(pictures.targets))
    right: dict[str, list[float]] = {name: [] for name in WAYS}
    for fold in range(int(sys.argv[2]) if len(sys.argv) > 2 else FOLDS):
        data = folded(pictures, labels, np.sort(order[fold::FOLDS]), fold)
        for name, told in WAYS.items():
            with tempfile.TemporaryDirectory() as folder:
                report = train(data, replace(load_recipe("photos-few"), seed=fold, **told), Path(folder) / "run")
            right[name].append(report.test_accuracy * len(data.test.targets))
            total = sum(len(order[f::FOLDS]) for f in range(fold + 1))
            print(f"fold {fold}, {name}: {100 * sum(right[name]) / total:.2f} % of {total} so far", flush=True)


def read_training_pictures(path: str) -> tuple[Pictures, tuple[str, ...]]:
    recipe = load_recipe("photos-few")
    with open_data(path) as raw:
        part = raw.parts["train"]
        spec = ModelSpec(recipe.network, recipe.height, recipe.width, 3, 1, len(raw.labels))
        pixels = np.stack([prepare(part.read(i), spec) for i in range(len(part.targets))])
        return Pictures(pixels, part.targets), raw.labels


def folded(pictures: Pictures, labels: tuple[str, ...], test: NDArray[np.int64], seed: int) -> DataSet:
    rest = np.setdiff1d(np.arange(len(pictures.targets)), test)
    cut = cut_parts(pictures.targets[rest], labels, ("val",), seed, "a fold")
    train_part, val = (pictures.take(rest[cut[name]]) for name in ("train", "val"))
    return DataSet(train_part, val, pictures.take(test), labels, "a fold", seed, ())


if __name__ == "__main__":
    main()
