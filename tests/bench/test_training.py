"""The training bench: rows of what runs are worth, and what is planted for `check`."""

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from bench.planted_pictures import count_found, plant, turn
from bench.trained import Claim, trained_rows
from bench.training import TrainingBench
from edge.contract.errors import InputError, UsageError
from train.check.findings import look_through
from train.data import load_data, open_data
from train.loop import train
from train.recipe import load_recipe
from train.run_folder import REPORT, load_run, load_run_data

CLAIM = Claim("digits", "small", least=99.9, least_seed=0.0, most_minutes=5.0)


def test_a_run_is_measured_again_and_says_how_its_recipe_differs(tmp_path: Path) -> None:
    recipe = replace(load_recipe("small"), epochs=1, min_steps=0)
    train(load_data("digits", 0), recipe, tmp_path / "digits-0", device="cpu")
    run = load_run(tmp_path / "digits-0")
    claimed = tmp_path / "digits-0" / REPORT
    claimed.write_text(claimed.read_text().replace('"test_accuracy": 0.', '"test_accuracy": 1.'))
    top1, time = trained_rows(CLAIM, tmp_path, 3, "bench", lambda step, steps: None)
    tests = len(load_run_data(run).test.targets)
    assert 0 < float(top1.value) < 100
    assert top1.unit == f"% of {tests} test pictures (1 seed; recipe small but epochs 1, min_steps 0)"
    assert (top1.must, top1.holds) == (">= 99.9, no seed < 0", False)
    assert (time.must, time.holds, top1.peers) == ("<= 5", True, {})


def test_without_a_finished_run_or_with_an_unknown_group_it_says_so(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no finished digits-0"):
        trained_rows(CLAIM, tmp_path, 3, "bench", lambda step, steps: None)
    bench = TrainingBench(tmp_path, tmp_path, tmp_path / "out", 1, "bench", lambda stage, step, steps: None)
    with pytest.raises(UsageError, match="the group 'nope'; expected trashnet, animals, mnist, check"):
        bench.measure("nope")
    for group, missing in (("check", "animals_photo.zip"), ("speed", "trashnet_256.zip")):
        with pytest.raises(InputError, match=f"{missing} is missing"):
            bench.measure(group)


def test_what_is_planted_is_counted_where_check_finds_it(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    for label in ("a", "b", "c"):
        for part, count in (("train", 40), ("test", 2), ("val", 2)):
            (tmp_path / part / label).mkdir(parents=True)
            for i in range(count):
                noise = cv2.resize(
                    random.integers(0, 256, (8, 8, 3), np.uint8), (64, 64), interpolation=cv2.INTER_CUBIC
                )
                cv2.imwrite(str(tmp_path / part / label / f"{i}.jpg"), noise)
    planted = plant(tmp_path, random)
    assert [len(planted.broken), len(planted.copies), len(planted.leaks), len(planted.flipped)] == [20, 30, 10, 30]
    assert all((tmp_path / name).exists() for name in planted.flipped)
    with open_data(str(tmp_path)) as raw:
        broken, copies, leaks, _ = count_found(planted, look_through(raw, lambda stage, step, steps: None))
    assert broken == 20
    assert 15 < copies <= 30  # cut by three pixels, a picture of 64 is another one
    assert 5 < leaks <= 10


def test_what_is_turned_is_upright_again_after_the_turn_that_is_told(tmp_path: Path) -> None:
    (tmp_path / "train/a").mkdir(parents=True)
    upright = np.zeros((40, 60, 3), np.uint8)
    upright[:10] = 255  # a white sky
    for i in range(20):
        cv2.imwrite(str(tmp_path / f"train/a/{i}.jpg"), upright)
    for name, degrees in turn(tmp_path, np.random.default_rng(0)).items():
        picture = np.rot90(cv2.imread(str(tmp_path / name)), -degrees // 90)  # clockwise
        assert picture.shape == upright.shape and picture[:8].min() > 200 > 50 > picture[12:].max()
