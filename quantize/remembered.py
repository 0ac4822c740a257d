"""What a board remembers of a run's pictures: the base of learning, of the u8 file's features."""

from pathlib import Path

import numpy as np

from edge.base import Base, Rows, make_base
from edge.engine import Engine, run_in_batches
from quantize.integers import Integers
from train.data import DataSet, Pictures
from train.run_folder import Run


def remembered_base(model: Path, integers: Integers, run: Run, data: DataSet) -> Base:
    """Of the file `model`, which holds `integers`. Raises what make_base raises."""
    engine = Engine(str(model))
    parts = remembered(run, data)
    train, choose, report = (Rows(run_in_batches(engine, part.pixels)[0], part.targets) for part in parts)
    return make_base(train, choose, report, integers.weight.T.copy(), integers.bias, run.seed)


def remembered(run: Run, data: DataSet) -> tuple[Pictures, Pictures, Pictures]:
    """Pictures to learn from, to choose by and to report on.

    A network that was trained on negatives knows pictures that are in no file. So does the board, or it would call all
    of them unknown: the negatives are among the first two (ADR 42). What is reported is of the pictures as they are.
    """
    if run.recipe.augmentation.invert:
        return _with_negatives(data.train), _with_negatives(data.val), data.test
    return data.train, data.val, data.test


def _with_negatives(part: Pictures) -> Pictures:
    return Pictures(np.concatenate([part.pixels, 255 - part.pixels]), np.tile(part.targets, 2))
