"""`edgewise quantize` as a whole: which of calibration and training is kept."""

from dataclasses import replace
from pathlib import Path

from folders import SIDE, write_run

from quantize.recipe import Recipe, load_recipe
from quantize.run import quantize


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
