"""`edgewise quantize` as a whole: which of calibration and training is kept."""

from dataclasses import replace
from pathlib import Path

from folders import SIDE, write_run

from edge.deep import FILES
from quantize.claims import Certified, deep_claim
from quantize.parse import parse_u8
from quantize.recipe import Recipe, load_recipe
from quantize.run import quantize
from train.run_folder import load_run


def _wrecking() -> Recipe:
    """A recipe whose training goes astray, and which is never content with calibration."""
    named = load_recipe(None, SIDE, SIDE)
    return replace(
        named,
        qat=replace(named.qat, epochs=1, min_steps=3, max_steps=3, batch=8, learning_rate=9.0),
        gates=replace(named.gates, enough_agreement=100.0, max_drop_points=100.0),
    )


def _silent(stage: str, step: int, steps: int) -> None:
    """No progress is drawn."""


def test_training_that_leads_away_from_fp32_is_not_kept(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run")
    found = quantize(run, _wrecking(), "auto", None, None, _silent).report["method"]
    assert found["val_divergence"]["ptq"] < found["val_divergence"]["qat"]
    assert (found["name"], found["steps"]) == ("ptq", 3)
    calibrated = (run / "int8" / "model.u8.onnx").read_bytes()
    quantize(run, _wrecking(), "ptq", None, None, _silent)
    assert (run / "int8" / "model.u8.onnx").read_bytes() == calibrated


def test_deeper_adds_the_boards_training_step_and_certifies_its_files(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run")
    found = quantize(run, _wrecking(), "ptq", None, None, _silent, deeper=True).report
    assert {name for name in found["files"] if "/" in name} == set(FILES)
    assert all((run / "int8" / name).is_file() for name in FILES)
    certified = Certified(run / "int8", found, load_run(run).spec, load_run(run).labels)
    assert deep_claim(certified, parse_u8(certified.model("u8"), certified.spec)).holds
