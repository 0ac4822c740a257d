"""Several processes: the same weights as one, each picture seen once, and a killed one that costs an epoch at most."""

import json
import signal
import socket
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from edge.contract.errors import EdgewiseError, UsageError
from train.augment import Augmentation
from train.data import load_data
from train.group import ALONE, Group
from train.loop import train
from train.recipe import load_recipe, recipe_text

ROOT = Path(__file__).resolve().parents[2]
RECIPE = replace(
    load_recipe("small"),
    network="mortal:build",
    epochs=3,
    min_steps=0,
    batch=30,
    augmentation=Augmentation(),  # each process draws its own
)
TRAIN = ["-m", "edgewise", "train", "digits.npz", "--recipe", "recipe.yaml", "--resume"]
ENVIRONMENT = {"PYTHONPATH": str(ROOT), "PATH": "/usr/bin:/bin", "OMP_NUM_THREADS": "1"}
NETWORK = """
import os, signal
from train.resnet import ResidualNetwork

class Mortal(ResidualNetwork):
    steps = 0

    def forward(self, x):
        self.steps += self.training
        first_life = os.environ.get("TORCHELASTIC_RESTART_COUNT") == "0"
        if self.steps == int(os.environ.get("DIES_AT", -1)) and os.environ.get("RANK") == "1" and first_life:
            os.kill(os.getpid(), signal.SIGKILL)
        return super().forward(x)

def build(channels, classes):
    return Mortal(channels, classes)
"""


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with pictures of digits, a recipe and a network that can be killed, all in reach of a process."""
    digits = load_data("digits", seed=0)
    arrays = {"x_train": digits.train.pixels[:130], "y_train": digits.train.targets[:130]}
    held_out = {"x_test": digits.test.pixels[:41], "y_test": digits.test.targets[:41]}
    np.savez(tmp_path / "digits.npz", **arrays, **held_out)
    (tmp_path / "mortal.py").write_text(NETWORK)
    monkeypatch.chdir(tmp_path)
    monkeypatch.delitem(sys.modules, "mortal", raising=False)
    return tmp_path


def torchrun(here: Path, recipe: object, out: str, *options: str, **environment: str) -> tuple[str, str]:
    """What `edgewise train` says, run in two processes, and its log, which is in the error, too."""
    (here / "recipe.yaml").write_text(recipe_text(recipe))
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", *options]
    command += [*TRAIN, "--out", out]
    found = {**ENVIRONMENT, **environment}
    done = subprocess.run(command, cwd=here, env=found, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr
    return done.stdout, done.stderr


def close(one: Path, other: Path) -> bool:
    ours, theirs = (load_file(folder / "model.safetensors") for folder in (one, other))
    return all(torch.allclose(ours[name], theirs[name], rtol=1e-3, atol=1e-4) for name in ours.keys() | theirs.keys())


@pytest.mark.slow
def test_two_processes_come_to_the_weights_and_metrics_of_one(here: Path) -> None:
    recipe = replace(RECIPE, frozen_norms=True, learning_rate=0.01)
    data = load_data("digits.npz", recipe.seed)
    train(data, recipe, here / "one")
    told, _ = torchrun(here, recipe, "two")
    assert "by 2 processes" in told and told.count("FP32 accuracy") == 1
    assert json.loads((here / "two/train.json").read_text())["processes"] == 2
    assert close(here / "one", here / "two")
    lines = [(here / run / "metrics.jsonl").read_text().splitlines() for run in ("one", "two")]
    for one, two in zip(*(map(json.loads, its) for its in lines), strict=True):
        for name in ("loss", "train_loss", "val_loss", "train_accuracy", "val_accuracy"):
            assert one[name] == pytest.approx(two[name], rel=1e-3)


@pytest.mark.slow
def test_a_killed_process_is_restarted_and_all_go_on_from_the_last_whole_epoch_to_the_same_weights(here: Path) -> None:
    torchrun(here, RECIPE, "whole")
    died = 2 * 3 + 2  # in the third epoch, of three steps each
    _, log = torchrun(here, RECIPE, "killed", "--max-restarts", "1", DIES_AT=str(died))
    assert "fault of edgewise" not in log
    report = json.loads((here / "killed/train.json").read_text())
    assert (report["epochs"], report["steps"]) == (3, 9)
    assert (here / "killed/model.safetensors").read_bytes() == (here / "whole/model.safetensors").read_bytes()


@pytest.mark.slow
def test_a_process_whose_partner_is_killed_says_so_in_one_line_and_ends(here: Path) -> None:
    """Started as torchrun would, but without it: it ends the one that is left, now and then before that speaks."""
    (here / "recipe.yaml").write_text(recipe_text(RECIPE))
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    told = {"TORCHELASTIC_RUN_ID": "ours", "TORCHELASTIC_RESTART_COUNT": "0", "WORLD_SIZE": "2", "DIES_AT": "2"}
    told |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    first, second = (
        subprocess.Popen(
            [sys.executable, *TRAIN, "--out", "pair"],
            cwd=here,
            env={**ENVIRONMENT, **told, "RANK": rank, "LOCAL_RANK": rank},
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in ("0", "1")
    )
    _, log = first.communicate(timeout=300)
    second.communicate(timeout=300)
    assert second.returncode == -signal.SIGKILL
    assert first.returncode == EdgewiseError.exit_code
    assert "edgewise: process 0 of 2 lost its connection to another one; expected all of them to the end" in log
    assert "Traceback" not in log


def test_the_shares_of_all_processes_are_the_whole_batch_and_each_draws_for_itself() -> None:
    batch = np.random.default_rng(0).permutation(31)
    groups = [Group(rank, 4) for rank in range(4)]
    assert sorted(np.concatenate([group.share(batch) for group in groups])) == list(range(31))
    assert (ALONE.share(batch) == batch).all()
    seeds = [group.own_seed(7) for group in groups]
    assert seeds[0] == ALONE.own_seed(7) == 7 and len(set(seeds)) == 4


@pytest.mark.parametrize(("pieces", "size"), [(16, 1), (1, 16), (4, 4)])
def test_a_batch_too_small_for_its_pieces_and_processes_is_one_clear_line(
    tmp_path: Path, pieces: int, size: int
) -> None:
    recipe = replace(RECIPE, network="resnet-s")
    with pytest.raises(UsageError, match=f"30 pictures for {size} processes, in {pieces} pieces"):
        train(load_data("digits", 0), recipe, tmp_path / "run", pieces=pieces, group=Group(0, size))
    assert not (tmp_path / "run").exists()


def test_a_trace_names_the_stages_of_a_step(tmp_path: Path) -> None:
    digits = load_data("digits", 0)
    digits = replace(digits, train=digits.train.take(np.arange(90)), test=digits.val)
    train(digits, replace(RECIPE, network="resnet-s", batch=10, epochs=1), tmp_path / "run", profile=True)
    events = json.loads((tmp_path / "run/trace.json").read_text())["traceEvents"]
    assert {"data", "forward", "backward", "update"} <= {event.get("name") for event in events}


def test_a_run_says_how_fast_it_was_and_what_data_cost(tmp_path: Path) -> None:
    digits = load_data("digits", 0)
    digits = replace(digits, train=digits.train.take(np.arange(40)), test=digits.val)
    report = train(digits, replace(RECIPE, network="resnet-s", batch=10, epochs=1), tmp_path / "run")
    assert report.images_per_second > 0 and 0 < report.data_share < 1 and report.first_step_seconds > 0
    line = json.loads((tmp_path / "run/metrics.jsonl").read_text())
    assert line["images_per_second"] == pytest.approx(report.images_per_second, abs=1e-4)
