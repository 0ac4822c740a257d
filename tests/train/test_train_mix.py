"""Mixup and CutMix: pictures and targets in the same shares, drawn by the seed, and a training resumed with them."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from train.checkpoint import EpochMetrics
from train.data import DataSet, Pictures
from train.loop import train
from train.mix import mix
from train.recipe import load_recipe
from train.run_folder import load_run

PIXELS = torch.stack([torch.zeros(8, 8, 1, dtype=torch.uint8), torch.full((8, 8, 1), 200, dtype=torch.uint8)])
TARGETS = torch.tensor([0, 1])


def test_without_a_strength_nothing_changes_and_nothing_is_drawn() -> None:
    before = torch.get_rng_state()
    pixels, targets = mix(PIXELS, TARGETS, 0.0, 0.0, 3)
    assert pixels is PIXELS
    assert targets is TARGETS
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize("strengths", [(1.0, 0.0), (0.0, 1.0)])
def test_a_picture_holds_as_much_of_another_as_its_target_says(strengths: tuple[float, float]) -> None:
    with torch.random.fork_rng():
        torch.manual_seed(3)
        pixels, shares = mix(PIXELS, TARGETS, *strengths, 3)
    assert (pixels.shape, pixels.dtype, shares.shape) == (PIXELS.shape, torch.uint8, (2, 3))
    assert torch.allclose(pixels.float().mean((1, 2, 3)) / 200, shares[:, 1], atol=0.005)
    assert torch.allclose(shares.sum(1), torch.ones(2))
    assert 0 < float(shares[0, 1]) < 1


def test_a_training_with_mixed_pictures_resumes_to_the_same_weights(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    part = Pictures(random.integers(0, 256, (24, 32, 32, 1), np.uint8), np.arange(24) % 3)
    data = DataSet(part, part, part, ("a", "b", "c"), "made", 0, ())
    recipe = replace(load_recipe("small"), epochs=2, min_steps=0, batch=8, mixup=0.2, cutmix=1.0)

    def interrupt(metrics: EpochMetrics) -> None:
        raise KeyboardInterrupt

    train(data, recipe, tmp_path / "whole", device="cpu")
    with pytest.raises(KeyboardInterrupt):
        train(data, recipe, tmp_path / "cut", device="cpu", on_epoch=interrupt)
    train(data, recipe, tmp_path / "cut", resume=True, device="cpu")
    plain = replace(recipe, mixup=0.0, cutmix=0.0)
    train(data, plain, tmp_path / "plain", device="cpu")
    whole, cut, other = (load_run(tmp_path / name).network.state_dict() for name in ("whole", "cut", "plain"))
    assert all(torch.equal(whole[name], cut[name]) for name in whole)
    assert not all(torch.equal(whole[name], other[name]) for name in whole)
