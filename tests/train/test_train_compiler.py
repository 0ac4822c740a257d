"""`edgewise train --compile`: the training that it is without, by torch.compile."""

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from edge.contract.errors import UsageError
from train.compiler import compiler_errors
from train.data import load_data
from train.loop import train
from train.recipe import load_recipe
from train.run_folder import load_run

RECIPE = replace(load_recipe("small"), network="compiled_soon:build", epochs=2, min_steps=0)
NETWORK_FILE = """
from torch import nn

class Tiny(nn.Module):
    def __init__(self, channels, classes):
        super().__init__()
        self.body = nn.Sequential(nn.Conv2d(channels, 8, 3, 2), nn.BatchNorm2d(8), nn.ReLU())
        self.classifier = nn.Linear(8, classes)

    def forward(self, pixels):
        features = self.body(pixels).mean((2, 3))
        return features, self.classifier(features)

def build(channels, classes): return Tiny(channels, classes)
"""


@pytest.fixture(autouse=True)
def fresh_cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", str(tmp_path / "compiled"))


@pytest.mark.slow
def test_a_compiled_training_comes_to_the_weights_of_a_plain_one_by_their_names(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "compiled_soon.py").write_text(NETWORK_FILE)
    monkeypatch.syspath_prepend(tmp_path)
    digits = load_data("digits", seed=0)
    steps = []
    for compiled in (False, True):
        torch._dynamo.utils.counters.clear()
        train(digits, RECIPE, tmp_path / str(compiled), compiled=compiled)
        steps.append(torch._dynamo.utils.counters["stats"]["unique_graphs"])
    assert steps[0] == 0 and steps[1] > 0
    plain, other = (load_run(tmp_path / name).network.state_dict() for name in ("False", "True"))
    assert plain.keys() == other.keys()
    assert all(torch.allclose(plain[name], other[name], atol=1e-3) for name in plain)


def test_a_machine_without_a_compiler_is_told_so_in_a_line(tmp_path: Path) -> None:
    (tmp_path / "compiled_soon.py").write_text(NETWORK_FILE)
    command = (sys.executable, "-m", "edgewise", "train", "digits", "--network", "compiled_soon:build", "--compile")
    environment = {**os.environ, "CXX": "/no/such/compiler", "PYTHONPATH": str(Path(__file__).parents[2])}
    found = subprocess.run(
        (*command, "--out", "run"), cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
    )
    assert found.returncode == UsageError.exit_code
    assert "torch.compile failed (" in found.stderr and "; train without --compile" in found.stderr
    assert "Traceback" not in found.stderr and not (tmp_path / "run" / "model.safetensors").exists()


def test_other_errors_pass_as_they_are() -> None:
    with pytest.raises(ValueError, match="not the compiler's"), compiler_errors():
        raise ValueError("not the compiler's")
