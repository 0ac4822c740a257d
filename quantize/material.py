"""The pictures that quantization works with: to tune on, to choose by, and to be measured on."""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from edge.contract.errors import InputError
from train.data import DataSet
from train.run_folder import Run, load_run_data
from train.unlabelled import load_unlabelled

MOST_PICTURES = 20_000  # of an unlabelled source
_TEST_SHARE, _VAL_SHARE = 0.2, 0.1
_LEAST = 40  # unlabelled pictures: 8 to choose by would already be a coarse ruler


@dataclass(frozen=True)
class Material:
    """Pixels are (N, H, W, C) uint8. No picture is in two of tune, val and test."""

    tune: NDArray[np.uint8]  # calibrated and trained on; no label is needed
    val: NDArray[np.uint8]  # choices rest on it
    test: NDArray[np.uint8]  # no choice touches it
    targets: NDArray[np.int64] | None  # of test, if they are known
    labelled: DataSet | None  # what the base of learning is made from, if there is one
    source: str  # of tune


def load_material(
    run: Run, data: str | None, pictures: str | None, seed: int, progress: Callable[[int, int], None]
) -> Material:
    """The run's own pictures, or the unlabelled ones of `pictures` (a folder, a zip or a film) to tune on.

    `data` replaces the data set that the run remembers, should it have moved. A run without data is measured on a part
    of `pictures` that is set aside. Raises InputError.
    """
    source = data or run.source
    labelled = load_run_data(replace(run, source=source), progress) if source is not None else None
    if pictures is None:
        if labelled is None:
            raise InputError(
                f"{run.folder} was made without data", "pictures to tune on", "add --pictures with a folder or a film"
            )
        part = labelled
        return Material(
            part.train.pixels, part.val.pixels, part.test.pixels, part.test.targets, labelled, labelled.source
        )
    pixels = load_unlabelled(pictures, run.spec, MOST_PICTURES, seed, progress)
    if len(pixels) < _LEAST:
        raise InputError(f"{len(pixels)} pictures in {pictures}", f"at least {_LEAST}", "add more like the camera's")
    order = np.random.default_rng(seed).permutation(len(pixels))
    test_count = 0 if labelled is not None else int(_TEST_SHARE * len(pixels))
    val_count = int(_VAL_SHARE * len(pixels))
    test, val, tune = np.split(pixels[order], [test_count, test_count + val_count])
    if labelled is not None:
        return Material(tune, val, labelled.test.pixels, labelled.test.targets, labelled, pictures)
    return Material(tune, val, test, None, None, pictures)
