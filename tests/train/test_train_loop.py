"""Training: repeatable, resumable bit for bit, refused where it must be, and a run folder that reads back."""

import json
import os
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from edge.contract.errors import FormatError, GateError, InputError, UsageError
from train.checkpoint import EpochMetrics
from train.data import DataSet, Pictures, load_data
from train.epoch import learning_rate
from train.loop import begin_network, train
from train.network import build_network
from train.predict import evaluate, predict
from train.recipe import Recipe, load_recipe
from train.run_folder import load_run, load_run_data

RECIPE = replace(load_recipe("small"), epochs=2, min_steps=0, batch=32, seed=0)


class Interrupted(Exception):
    pass


def interrupt(_: EpochMetrics) -> None:
    raise Interrupted


@pytest.fixture(scope="module")
def digits() -> DataSet:
    """As many of the digits as train in a second."""
    data = load_data("digits", seed=0)
    return replace(data, train=Pictures(data.train.pixels[:160], data.train.targets[:160]))


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory, digits: DataSet) -> Path:
    folder = tmp_path_factory.mktemp("runs") / "run"
    train(digits, RECIPE, folder)
    return folder


def weights(folder: Path, name: str = "model.safetensors") -> bytes:
    return (folder / name).read_bytes()


def copy(folder: Path, to: Path) -> Path:
    to.mkdir()
    for path in folder.iterdir():
        if path.is_file():
            (to / path.name).write_bytes(path.read_bytes())
    return to


def test_the_same_seed_gives_the_same_weights_and_another_seed_others(
    tmp_path: Path, digits: DataSet, finished: Path
) -> None:
    torch.rand(1)
    train(digits, RECIPE, tmp_path / "same")
    assert weights(tmp_path / "same") == weights(finished)
    train(digits, replace(RECIPE, seed=1), tmp_path / "other")
    assert weights(tmp_path / "other") != weights(finished)


@pytest.mark.parametrize(("optimizer", "momentum"), [("sgd", 0.9), ("sgd", 0.0), ("adamw", 0.9)])
def test_an_interrupted_training_resumes_bit_for_bit(
    tmp_path: Path, digits: DataSet, optimizer: str, momentum: float
) -> None:
    recipe = replace(RECIPE, optimizer=optimizer, momentum=momentum, learning_rate=0.01, ema_share=0.5)
    train(digits, recipe, tmp_path / "straight")
    with pytest.raises(Interrupted):
        train(digits, recipe, tmp_path / "resumed", on_epoch=interrupt)
    train(digits, recipe, tmp_path / "resumed", resume=True)
    assert weights(tmp_path / "resumed") == weights(tmp_path / "straight")
    straight, resumed = (load_file(tmp_path / run / "checkpoint.safetensors") for run in ("straight", "resumed"))
    assert all(torch.equal(straight[name], resumed[name]) for name in straight.keys() | resumed.keys())


def test_a_partly_frozen_network_with_dropout_on_shrunk_pictures_resumes_bit_for_bit_and_keeps_its_frozen_layers(
    tmp_path: Path, digits: DataSet
) -> None:
    recipe = replace(RECIPE, network="mobilenet-v3-small", frozen_share=0.5, frozen_norms=True, learning_rate=0.01)
    recipe = replace(recipe, height=64, width=64, shrink=0.5)
    few = Pictures(digits.train.pixels[:64].repeat(2, axis=1).repeat(2, axis=2), digits.train.targets[:64])
    digits = replace(digits, train=few, val=few, test=few)
    train(digits, recipe, tmp_path / "straight")
    with pytest.raises(Interrupted):
        train(digits, recipe, tmp_path / "resumed", on_epoch=interrupt)
    train(digits, recipe, tmp_path / "resumed", resume=True)
    assert weights(tmp_path / "resumed") == weights(tmp_path / "straight")
    trained = load_run(tmp_path / "straight").network.state_dict()
    fresh = begin_network(recipe, 1, 10, (64, 64)).state_dict()
    changed = [name for name in fresh if not torch.equal(trained[name], fresh[name])]
    assert "classifier.weight" in changed and "body.12.0.weight" in changed
    assert not [name for name in changed if name.startswith("body.0.") or "running" in name]
    optimizer = [n for n in load_file(tmp_path / "straight" / "checkpoint.safetensors") if n.startswith("optimizer.")]
    assert len(optimizer) < len(list(build_network(recipe.network, 1, 10, (32, 32)).parameters()))


def metrics(folder: Path) -> list[dict]:
    return [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]


def test_a_run_folder_holds_metrics_report_and_scalars(finished: Path, digits: DataSet) -> None:
    lines = metrics(finished)
    assert [line["epoch"] for line in lines] == [1, 2]
    report = json.loads((finished / "train.json").read_text())
    assert report["counts"] == {"train": 160, "val": 179, "test": 359}
    assert report["steps"] == 10 and 0 <= report["test_accuracy"] <= 1
    assert any(path.name.startswith("events.") for path in (finished / "tb").iterdir())
    assert not [path for path in finished.iterdir() if path.name.startswith(".")]


def test_after_each_epoch_the_averaged_weights_are_measured_on_pictures_as_they_are(
    finished: Path, digits: DataSet
) -> None:
    last, network = metrics(finished)[-1], load_run(finished).network
    assert last["val_accuracy"] == evaluate(network, digits.val)
    assert last["train_accuracy"] == evaluate(network, digits.train)
    _, logits = predict(network, digits.val.pixels)
    wanted = torch.nn.functional.cross_entropy(torch.from_numpy(logits), torch.from_numpy(digits.val.targets))
    assert last["val_loss"] == pytest.approx(float(wanted), rel=1e-4)


def test_a_run_reads_back_as_the_network_that_was_measured(finished: Path, digits: DataSet) -> None:
    run = load_run(finished)
    assert not run.network.training
    assert (run.spec.channels, run.spec.classes, run.labels) == (1, 10, digits.labels)
    assert (run.recipe, run.source, run.seed) == (RECIPE, "digits", 0)
    report = json.loads((finished / "train.json").read_text())
    assert evaluate(run.network, digits.test) == report["test_accuracy"]
    features, logits = predict(run.network, digits.test.pixels, batch=100)
    assert features.shape == (359, run.spec.features) and logits.shape == (359, 10)
    assert features.dtype == logits.dtype == np.float32


def test_a_folder_in_use_is_refused_without_resume_and_left_as_it_was(finished: Path, digits: DataSet) -> None:
    before = {path.name: path.stat().st_mtime_ns for path in finished.iterdir()}
    with pytest.raises(UsageError, match=r"is in use.*--resume"):
        train(digits, RECIPE, finished)
    assert {path.name: path.stat().st_mtime_ns for path in finished.iterdir()} == before


def test_resuming_a_finished_run_gives_its_report_again(tmp_path: Path, finished: Path, digits: DataSet) -> None:
    folder = copy(finished, tmp_path / "run")
    report = train(digits, RECIPE, folder, resume=True)
    assert weights(folder) == weights(finished)
    assert (folder / "train.json").read_bytes() == (finished / "train.json").read_bytes()
    assert report.epochs == 2


def test_a_resumed_run_must_have_the_same_recipe_and_pictures(tmp_path: Path, finished: Path, digits: DataSet) -> None:
    folder = copy(finished, tmp_path / "run")
    with pytest.raises(UsageError, match="was begun with epochs 2, not 3"):
        train(digits, replace(RECIPE, epochs=3), folder, resume=True)
    fewer = replace(digits, train=Pictures(digits.train.pixels[1:], digits.train.targets[1:]))
    with pytest.raises(UsageError, match="was begun with other pictures"):
        train(fewer, RECIPE, folder, resume=True)
    assert weights(folder) == weights(finished)


def test_a_device_that_is_not_there_is_refused_before_anything_is_written(tmp_path: Path, digits: DataSet) -> None:
    with pytest.raises(UsageError, match="there is no device 'tpu' here"):
        train(digits, RECIPE, tmp_path / "run", device="tpu")
    assert not (tmp_path / "run").exists()


def test_a_training_that_diverges_goes_back_with_half_the_rate_and_says_so(
    tmp_path: Path, digits: DataSet, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "edgewise")
    report = train(digits, wild(RECIPE), tmp_path / "run")
    assert report.rate < 1 and report.epochs == 3
    assert len(caplog.messages) == -np.log2(report.rate)
    assert "begins again, with 0.5 of the recipe's learning rate" in caplog.messages[0]
    assert load_run(tmp_path / "run").network


def test_a_loss_that_is_not_finite_goes_back_to_the_end_of_the_last_epoch(
    tmp_path: Path, digits: DataSet, networks: None, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "edgewise")
    report = train(digits, replace(RECIPE, network="small_networks:Once"), tmp_path / "run")
    assert (report.rate, report.epochs, report.steps) == (0.5, 2, 10)
    found = "the loss became nan in epoch 2, step 7: goes back to the end of epoch 1, with 0.5 of the recipe's"
    assert caplog.messages[0].startswith(found)


def test_a_run_that_was_interrupted_after_it_diverged_resumes_bit_for_bit(tmp_path: Path, digits: DataSet) -> None:
    train(digits, wild(RECIPE), tmp_path / "straight")
    seen = []

    def interrupt_late(line: EpochMetrics) -> None:
        seen.append(line)
        if len(seen) == 2:
            raise Interrupted

    with pytest.raises(Interrupted):
        train(digits, wild(RECIPE), tmp_path / "resumed", on_epoch=interrupt_late)
    train(digits, wild(RECIPE), tmp_path / "resumed", resume=True)
    assert weights(tmp_path / "resumed") == weights(tmp_path / "straight")
    assert json.loads((tmp_path / "resumed/train.json").read_text())["rate"] < 1


def wild(recipe: Recipe) -> Recipe:
    return replace(recipe, learning_rate=10.0, momentum=0.99, warmup=0.0, epochs=3)


NETWORKS = """
import torch
from torch import nn

class Plain(nn.Module):
    def __init__(self, channels, classes):
        super().__init__()
        self.convolution = nn.Conv2d(channels, 8, 3, 4)
        self.relu = nn.ReLU()
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.classifier = nn.Linear(8, classes)

    def forward(self, x):
        features = torch.flatten(self.pool(self.relu(self.convolution(x))), 1)
        return features, self.classifier(features)

class Small(Plain):
    def forward(self, x):
        if self.training and len(x) > 8:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return super().forward(x)

class Tiny(Plain):
    def forward(self, x):
        if self.training and len(x) > 1:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return super().forward(x)

class Once(Plain):
    steps = 0

    def forward(self, x):
        features, logits = super().forward(x)
        Once.steps += self.training and len(x) == 32
        return features, logits / 0 if self.training and Once.steps == 7 else logits

class Endless(Plain):
    def forward(self, x):
        features, logits = super().forward(x)
        return features, logits / 0 if self.training and len(x) == 32 else logits
"""


@pytest.fixture
def networks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`small_networks`, with networks of a user's own that fail in training as a GPU or a bad picture makes them."""
    (tmp_path / "small_networks.py").write_text(NETWORKS)
    monkeypatch.chdir(tmp_path)
    monkeypatch.delitem(sys.modules, "small_networks", raising=False)


def test_a_loss_that_is_never_finite_ends_with_one_line_and_no_model(
    tmp_path: Path, digits: DataSet, networks: None
) -> None:
    with pytest.raises(GateError, match=r"the loss became nan in epoch 1, step 1, at 0.03125 of the rec") as refusal:
        train(digits, replace(RECIPE, network="small_networks:Endless"), tmp_path / "run")
    assert "\n" not in str(refusal.value)
    with pytest.raises(FormatError, match="holds an unfinished run"):
        load_run(tmp_path / "run")


def test_a_gpu_without_room_for_a_batch_takes_it_in_pieces_to_the_same_weights(
    tmp_path: Path, digits: DataSet, networks: None, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "edgewise")
    whole = train(digits, replace(RECIPE, network="small_networks:Plain"), tmp_path / "whole")
    pieces = train(digits, replace(RECIPE, network="small_networks:Small"), tmp_path / "pieces")
    assert (whole.pieces, pieces.pieces, pieces.steps) == (1, 4, whole.steps)
    assert "with 16 pictures at a time instead of 32" in caplog.text
    one, other = (load_file(tmp_path / run / "model.safetensors") for run in ("whole", "pieces"))
    assert all(torch.allclose(one[name], other[name], atol=1e-5) for name in one)


def test_a_gpu_without_room_for_two_pictures_is_one_clear_line(tmp_path: Path, digits: DataSet, networks: None) -> None:
    with pytest.raises(UsageError, match="too little memory for 2 pictures"):
        train(digits, replace(RECIPE, network="small_networks:Tiny"), tmp_path / "run")


@pytest.mark.parametrize("steps", [2, 5, 7])
def test_a_training_that_is_stopped_leaves_a_run_and_resumes_bit_for_bit(
    tmp_path: Path, digits: DataSet, finished: Path, steps: int
) -> None:
    asked = iter(range(100))
    report = train(digits, RECIPE, tmp_path / "run", stop=lambda: next(asked) >= steps)
    assert (report.steps, report.epochs, report.planned_epochs) == (steps, steps // 5, 2)
    run = load_run(tmp_path / "run")
    assert evaluate(run.network, digits.test) == report.test_accuracy
    report = train(digits, RECIPE, tmp_path / "run", resume=True)
    assert (report.steps, report.epochs) == (10, 2)
    assert weights(tmp_path / "run") == weights(finished)


@pytest.mark.parametrize("name", ["spec.json", "labels.txt", "recipe.yaml", "data.json", "model.safetensors"])
def test_a_missing_or_damaged_file_is_one_clear_line(tmp_path: Path, finished: Path, name: str) -> None:
    folder = copy(finished, tmp_path / "run")
    whole = (folder / name).read_bytes()
    for content in (None, b"", b"\xff\xfe{", whole[: len(whole) // 2]):
        if content is None:
            os.unlink(folder / name)
        else:
            (folder / name).write_bytes(content)
        with pytest.raises(FormatError) as refusal:
            load_run(folder)
        assert "\n" not in str(refusal.value)


def test_weights_of_another_network_are_refused_by_the_tensor(tmp_path: Path, finished: Path) -> None:
    folder = copy(finished, tmp_path / "run")
    good = load_file(finished / "model.safetensors")
    bias = good["classifier.bias"]
    for changes, message in (
        ({"classifier.bias": bias[:5].clone()}, r"classifier.bias is torch.float32 \(5,\)"),
        ({"classifier.bias": bias.double()}, "classifier.bias is torch.float64"),
        ({"classifier.bias": bias * float("nan")}, "not finite"),
        ({"extra": bias.clone()}, "foreign tensor 'extra'"),
    ):
        save_file(good | changes, folder / "model.safetensors")
        with pytest.raises(FormatError, match=message):
            load_run(folder)
    del good["classifier.bias"]
    save_file(good, folder / "model.safetensors")
    with pytest.raises(FormatError, match=r"lacks tensor 'classifier.bias'"):
        load_run(folder)


def test_a_damaged_checkpoint_is_one_clear_line(tmp_path: Path, digits: DataSet, finished: Path) -> None:
    folder = copy(finished, tmp_path / "run")
    for content in (b"", weights(finished), weights(finished, "checkpoint.safetensors")[:-100]):
        (folder / "checkpoint.safetensors").write_bytes(content)
        with pytest.raises(FormatError, match=r"checkpoint\.safetensors"):
            train(digits, RECIPE, folder, resume=True)


def test_the_pictures_of_a_run_are_refused_once_they_have_changed(tmp_path: Path, digits: DataSet) -> None:
    path = tmp_path / "a.npz"
    names = {"x_train": digits.train.pixels[..., 0], "y_train": digits.train.targets}
    test = {"x_test": digits.test.pixels[..., 0], "y_test": digits.test.targets}
    np.savez(path, **names, **test)
    train(load_data(str(path), seed=0), replace(RECIPE, epochs=1), tmp_path / "run")
    run = load_run(tmp_path / "run")
    assert len(load_run_data(run).test.targets) == 359
    np.savez(path, x_train=names["x_train"] ^ 1, y_train=names["y_train"], **test)
    with pytest.raises(InputError, match="has changed since"):
        load_run_data(run)


def test_the_learning_rate_rises_to_its_height_and_ends_near_nothing() -> None:
    rates = [learning_rate(replace(RECIPE, warmup=0.2, learning_rate=1.0), step, 100) for step in range(100)]
    assert rates[0] == pytest.approx(0.05) and max(rates) == pytest.approx(1.0)
    assert rates.index(max(rates)) == 19
    assert 0 < rates[-1] < 0.001
    assert rates[20:] == sorted(rates[20:], reverse=True)


@pytest.mark.slow
def test_the_default_recipe_reads_98_percent_of_the_handwriting_of_others(tmp_path: Path) -> None:
    report = train(load_data("digits", seed=0), load_recipe("small"), tmp_path / "run")
    assert report.test_accuracy > 0.98


def test_earlier_layers_learn_less_where_the_recipe_says_so_and_resume_bit_for_bit(
    tmp_path: Path, digits: DataSet
) -> None:
    recipe = replace(RECIPE, optimizer="adamw", learning_rate=0.001, layer_decay=0.5)
    train(digits, recipe, tmp_path / "straight")
    with pytest.raises(Interrupted):
        train(digits, recipe, tmp_path / "resumed", on_epoch=interrupt)
    train(digits, recipe, tmp_path / "resumed", resume=True)
    assert weights(tmp_path / "resumed") == weights(tmp_path / "straight")

    before = begin_network(recipe, 1, 10, (32, 32)).state_dict()
    after = load_run(tmp_path / "straight").network.state_dict()
    moved = [float((after[name] - tensor).abs().mean()) for name, tensor in before.items() if tensor.ndim > 1]
    assert 2 * moved[-3] < moved[-1]
    assert 2 * moved[0] < moved[-3]


def test_a_training_that_no_longer_gains_on_val_stops_early_says_so_and_has_nothing_to_resume(
    tmp_path: Path, digits: DataSet
) -> None:
    chance = np.random.default_rng(0).permutation(digits.train.targets)
    hopeless = replace(digits, train=Pictures(digits.train.pixels, chance))
    recipe = replace(RECIPE, epochs=40, patience=2)
    report = train(hopeless, recipe, tmp_path / "run")
    assert report is not None
    assert report.stalled
    assert 3 <= report.epochs < report.planned_epochs == 40
    assert train(hopeless, recipe, tmp_path / "run", resume=True) == report


def test_gradients_in_float16_are_scaled_and_the_network_learns_as_it_does_in_float32(
    tmp_path: Path, digits: DataSet, finished: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in ("train.precision", "train.epoch"):
        monkeypatch.setattr(f"{module}.choose_precision", lambda device, amp: torch.float16)
    report = train(digits, replace(RECIPE, epochs=3), tmp_path / "half")
    assert report is not None
    assert report.rate == 1
    losses = [json.loads(line)["loss"] for line in (tmp_path / "half" / "metrics.jsonl").read_text().splitlines()]
    full = [json.loads(line)["loss"] for line in (finished / "metrics.jsonl").read_text().splitlines()]
    assert losses[0] == pytest.approx(full[0], rel=0.1)
    assert losses[-1] < losses[0]
