"""What mixing pictures brings a small set: PYTHONPATH=. python scripts/mixing_gain.py FILE.npz [SEEDS]

FILE holds x_train and y_train of ten classes, as animal_silhouettes.npz and mnist.npz do. `small` is trained on 60
pictures of each, drawn by the seed, and measured on 3,000 training pictures that were not drawn.
"""

import sys
import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edge.contract.spec import ModelSpec
from edge.preprocess import prepare
from train.data import DataSet, Pictures
from train.loop import train
from train.recipe import load_recipe

A_CLASS, VAL, TEST, CLASSES = 60, 300, 3000, 10
FIRST_SEED = 500  # of the draws
SPEC = ModelSpec("resnet-s", 32, 32, 1, 1, CLASSES)
WAYS = {
    "as it is": {},
    "label smoothing 0.1": {"label_smoothing": 0.1},
    "mixup 0.2": {"mixup": 0.2},
    "cutmix 1": {"cutmix": 1.0},
    "both": {"mixup": 0.2, "cutmix": 1.0},
}


def main() -> None:
    with np.load(sys.argv[1]) as file:
        pixels, targets = file["x_train"], file["y_train"].astype(np.int64)
    for seed in range(int(sys.argv[2]) if len(sys.argv) > 2 else 1):
        data = draw(pixels, targets, np.random.default_rng(FIRST_SEED + seed))
        for name, told in WAYS.items():
            recipe = replace(load_recipe("small"), seed=seed, **told)
            with tempfile.TemporaryDirectory() as folder:
                report = train(data, recipe, Path(folder) / "run", device="cpu")
            print(f"seed {seed}, {name}: {100 * report.test_accuracy:.2f} %", flush=True)


def draw(pixels: NDArray[np.uint8], targets: NDArray[np.int64], random: np.random.Generator) -> DataSet:
    order = random.permutation(len(targets))
    drawn = np.concatenate([order[targets[order] == c][:A_CLASS] for c in range(CLASSES)])
    rest = order[~np.isin(order, drawn)]

    def part(rows: NDArray[np.int64]) -> Pictures:
        return Pictures(np.stack([prepare(pixels[i], SPEC) for i in rows]), targets[rows])

    labels = tuple(map(str, range(CLASSES)))
    return DataSet(part(drawn), part(rest[:VAL]), part(rest[VAL : VAL + TEST]), labels, "drawn", 0, ())


if __name__ == "__main__":
    main()
