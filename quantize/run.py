"""`edgewise quantize RUN`: a trained run folder -> RUN/int8, proved and ready to pack."""

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge.base import make_base, write_base
from edge.contract.files import write_whole
from edge.contract.labels import labels_text
from edge.contract.spec import FORMS, spec_text
from edge.engine import Engine, run_in_batches
from quantize.certificate import Measured, certificate, measure
from quantize.emit import emit
from quantize.fake import FakeQuant
from quantize.folder import write_golden, write_report, writing
from quantize.gates import require_accuracy, require_exact, require_fused
from quantize.integers import Integers, extract
from quantize.qat import fine_tune
from quantize.recipe import QatRecipe
from train.augment import make_augment
from train.data import DataSet
from train.run_folder import Run, load_run, load_run_data


@dataclass(frozen=True)
class QuantizeReport:
    folder: Path
    report: dict[str, Any]  # what report.json says
    seconds: float


Progress = Callable[[str, int, int], None]


def quantize(run_folder: Path, recipe: QatRecipe, data: str | None, progress: Progress) -> QuantizeReport:
    """Quantizes the run, measures it on its test pictures and writes RUN/int8.

    `data` replaces the data set that the run remembers, should it have moved. `progress` gets the stage, the step and
    the number of steps. Raises GateError if a planned integer layer runs in float, if the u8 file is not bit-identical
    to the integer reference, or if accuracy fell too far; RUN/int8 is then as it was.
    """
    start = time.monotonic()
    run = load_run(run_folder)
    pictures = load_run_data(replace(run, source=data) if data else run)
    model = fine_tune(
        run.network,
        pictures.train.pixels,
        recipe,
        make_augment(run.recipe.augmentation, recipe.seed),
        lambda step, steps, _: progress("QAT", step, steps),
    )
    integers = extract(model)
    with writing(run_folder / "int8") as folder:
        for form in FORMS:
            emit(integers, run.spec, form, folder / f"model.{form}.onnx")
        test = pictures.test
        measured = measure(
            run.network, model, integers, folder, test.pixels, lambda step, steps: progress("proof", step, steps)
        )
        report = certificate(measured, model, integers, test)
        _require(folder / "model.u8.onnx", integers, measured, report, test.pixels, recipe)
        _write_rest(folder, run, pictures, model, integers)
        seconds = time.monotonic() - start
        report["seconds"] = round(seconds, 2)
        write_report(folder, report)
    return QuantizeReport(run_folder / "int8", report, seconds)


def _require(
    model: Path,
    integers: Integers,
    measured: Measured,
    report: dict[str, Any],
    pixels: NDArray[np.uint8],
    recipe: QatRecipe,
) -> None:
    require_fused(measured.fused)
    require_exact(model, integers, pixels, measured.reference, measured.features)
    require_accuracy(report["accuracy"]["fp32"], report["accuracy"]["u8"], recipe.max_drop_points)


def _write_rest(folder: Path, run: Run, pictures: DataSet, model: FakeQuant, integers: Integers) -> None:
    """labels.txt, spec.json, golden vectors, and the base of learning: features by the file that the board runs."""
    write_whole(str(folder / "labels.txt"), labels_text(run.labels).encode())
    write_whole(str(folder / "spec.json"), spec_text(run.spec).encode())
    write_golden(folder / "golden.npz", integers, run.spec, pictures.test.pixels)
    engine = Engine(str(folder / "model.u8.onnx"))
    train, val = (run_in_batches(engine, part.pixels)[0] for part in (pictures.train, pictures.val))
    weights = integers.weight.T.copy()
    base = make_base(train, pictures.train.targets, val, pictures.val.targets, weights, integers.bias, run.seed)
    write_base(str(folder / "head.npz"), base)
