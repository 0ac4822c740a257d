"""What a board remembers of a run's pictures is what its network was trained on."""

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from folders import write_run

from edge.engine import Engine, run_in_batches
from edge.head import even
from edge.solve import solve
from edge.unknown import FALSE_ALARMS, threshold, unlikeness
from quantize.parse import parse_u8
from quantize.recipe import load_recipe as load_quantization
from quantize.remembered import remembered, remembered_base
from quantize.run import quantize
from quantize.verify import verify
from train.data import load_data
from train.loop import train
from train.recipe import load_recipe
from train.run_folder import load_run, load_run_data


def _silent(stage: str, step: int, steps: int) -> None:
    """No progress is drawn."""


def test_negatives_are_remembered_where_the_training_drew_them_and_never_reported_on(tmp_path: Path) -> None:
    run = load_run(write_run(tmp_path / "run"))
    data = load_run_data(run)
    plain = remembered(run, data)
    assert all(one is part for one, part in zip(plain, (data.train, data.val, data.test), strict=True))
    augmentation = replace(run.recipe.augmentation, invert=0.5)
    found = remembered(replace(run, recipe=replace(run.recipe, augmentation=augmentation)), data)
    for part, twice in zip((data.train, data.val), found, strict=False):
        assert np.array_equal(twice.pixels, np.concatenate([part.pixels, 255 - part.pixels]))
        assert np.array_equal(twice.targets, np.concatenate([part.targets, part.targets]))
    assert found[2] is data.test


@pytest.mark.slow
def test_a_board_calls_neither_digits_nor_their_negatives_unknown_but_what_is_neither(tmp_path: Path) -> None:
    data, folder = load_data("digits", 0), tmp_path / "run"
    train(data, replace(load_recipe("digits"), epochs=12, min_steps=0), folder)
    quantize(folder, load_quantization(None, 32, 32), "ptq", None, None, _silent)
    run = load_run(folder)
    model = folder / "int8" / "model.u8.onnx"
    base = remembered_base(model, parse_u8(model, run.spec), run, data)
    known = solve(base, run.labels, {}).unlikeness
    random = np.random.default_rng(0)
    blobs = [cv2.resize(random.integers(0, 256, (6, 6), dtype=np.uint8), (32, 32))[..., None] for _ in range(100)]
    engine, most = Engine(str(model)), threshold(known, FALSE_ALARMS)
    shares = [
        float((unlikeness(known, even(run_in_batches(engine, pixels)[0])) > most).mean())
        for pixels in (data.test.pixels, 255 - data.test.pixels, np.stack(blobs))
    ]
    assert shares[0] < 0.15 and shares[1] < 0.15 and shares[2] > 0.5
    assert verify(folder, _silent, deep=True).lines[-1].endswith("claims hold")
