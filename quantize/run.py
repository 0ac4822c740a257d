"""`edgewise quantize RUN`: a trained run folder -> RUN/int8, proved and ready to pack."""

import copy
import math
import resource
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray

from edge.base import write_base
from edge.contract.errors import InputError
from edge.contract.files import write_whole
from edge.contract.labels import labels_text
from edge.contract.spec import FORMS, spec_text
from quantize.certificate import Measured, agreement, certificate, divergence, measure
from quantize.claims import Certified, require_golden
from quantize.deep import write_deep
from quantize.emit import emit
from quantize.fake import FakeQuant
from quantize.folder import completed, write_report, writing
from quantize.gates import (
    require_accuracy,
    require_agreement,
    require_exact,
    require_fused,
    require_same_forms,
    require_trained,
)
from quantize.golden import write_golden
from quantize.html import PAGE, render_report
from quantize.integers import Integers, extract
from quantize.material import Material, load_material
from quantize.outliers import find_outliers
from quantize.plan import Plan
from quantize.ptq import PtqRecipe, ptq
from quantize.qat import fine_tune
from quantize.recipe import Recipe
from quantize.remembered import remembered, remembered_base
from quantize.sensitivity import sensitivity
from quantize.simulate import simulate
from quantize.split import Split, split_channels
from quantize.split_record import split_record
from quantize.trace import make_plan
from train.augment import make_augment
from train.memory import keep_freed_memory
from train.network import to_input
from train.predict import predict
from train.run_folder import Run, load_run

_LAYER_PICTURES = 16  # that each layer is compared with the trained one on
_SPLIT_PICTURES = 128  # that the channels to split are chosen by

Progress = Callable[[str, int, int], None]
Method = Literal["auto", "ptq", "qat"]


@dataclass(frozen=True)
class QuantizeReport:
    folder: Path
    report: dict[str, Any]  # what report.json says
    seconds: float


def quantize(
    run_folder: Path,
    recipe: Recipe,
    method: Method,
    data: str | None,
    pictures: str | None,
    progress: Progress,
    deeper: bool = False,
    with_sensitivity: bool = False,
) -> QuantizeReport:
    """Quantizes the run, measures it on its test pictures and writes RUN/int8.

    method: "ptq" calibrates and rounds, "qat" trains after that, "auto" trains only if that alone does not agree with
    FP32 as the recipe wants, and keeps the better of the two. `data` replaces the data set that the run remembers,
    `pictures` are unlabelled ones to tune on. `progress` gets the stage, the step and the number of steps. `deeper`
    adds deep/, what a board needs to retrain the last blocks, `with_sensitivity` what each layer's rounding costs on
    val pictures. Raises InputError where that is not possible, GateError if a layer's integers are not what was
    trained, if a planned integer layer runs in float, if the u8 file is not bit-identical to the integer reference, if
    it answers too differently from FP32, or if golden vectors would be refused by a board; RUN/int8 is then as it was.
    """
    start = time.monotonic()
    keep_freed_memory()
    run = load_run(run_folder)
    plan = make_plan(run.network)
    material = load_material(run, data, pictures, recipe.qat.seed, partial(progress, "pictures"))
    splits, model, history = _quantized(run, plan, material, recipe, method, progress)
    integers = extract(model)
    require_trained(model, integers, material.test[:_LAYER_PICTURES])
    with writing(run_folder / "int8") as folder:
        for form in FORMS:
            emit(integers, run.spec, form, folder / f"model.{form}.onnx")
        measured = measure(run.network, integers, run.spec, folder, material.test, partial(progress, "proof"))
        report = certificate(measured, model.plan, integers, material.test, material.targets)
        _require(folder / "model.u8.onnx", integers, measured, report, material, recipe)
        _write_rest(folder, run, material, integers)
        if deeper:
            _write_deep(folder, run, material, integers)
        require_golden(Certified(folder, report, run.spec, run.labels))
        seconds = time.monotonic() - start
        tuned_on = {"source": material.source, "labelled": pictures is None}
        answers = predict(model, material.test)[1].argmax(1)
        history["test_agreement"] = agreement(answers, measured.logits["u8"].argmax(1))
        if splits:
            report["splits"] = split_record(plan, splits, integers, material.test)
        if with_sensitivity:
            report["sensitivity"] = sensitivity(model.plan, integers, material.val, partial(progress, "sensitivity"))
        report |= {
            "method": history,
            "recipe": asdict(recipe),
            "network": run.spec.network,
            "pictures": {**tuned_on, "seed": recipe.qat.seed, "split_seed": run.seed},
            "seconds": round(seconds, 2),
            "peak_memory_bytes": _peak_memory_bytes(),
        }
        report = completed(folder, report)
        page = render_report(report, run.labels, material.targets, measured.logits, material.test, integers)
        write_whole(str(folder / PAGE), page.encode())
        report = completed(folder, report)
        write_report(folder, report)
    return QuantizeReport(run_folder / "int8", report, seconds)


def _quantized(
    run: Run, plan: Plan, material: Material, recipe: Recipe, method: Method, progress: Progress
) -> tuple[tuple[Split, ...], FakeQuant, dict[str, Any]]:
    """What was split, the quantized network, and how it came about: agreement with FP32 on val pictures by stage.

    To judge calibration, they are joined by pictures to tune on that it left: agreement needs no label, and few
    pictures prove little. Training sees those, so it is compared with calibration on the val pictures alone; if it was
    not asked for, it is kept only where it came closer to FP32 there.
    """
    order = np.random.default_rng(recipe.ptq.seed).permutation(len(material.tune))
    sample, rest = np.sort(order[: recipe.ptq.pictures]), order[recipe.ptq.pictures :]
    most = recipe.gates.val_pictures
    val = np.concatenate([material.val[:most], material.tune[np.sort(rest[:most])]])[:most]
    wanted = predict(run.network, val)[1]
    calibration = material.tune[sample]
    splits, model = _calibrated(plan, calibration, recipe.ptq, progress)
    given = simulate(extract(model), val)
    found = agreement(given.argmax(1), wanted.argmax(1))
    history: dict[str, Any] = {"name": "ptq", "val_agreement": {"ptq": found}, "steps": 0}
    history["val_divergence"] = {"ptq": divergence(wanted, given)}
    if method == "ptq" or (method == "auto" and found["low"] >= recipe.gates.enough_agreement):
        return splits, model, history
    calibrated = copy.deepcopy(model)
    started = time.monotonic()
    steps = recipe.qat.steps_for(len(material.tune))
    fine_tune(
        model,
        plan,
        material.tune,
        recipe.qat,
        make_augment(run.recipe.augmentation, recipe.qat.seed),
        lambda step, _, __: progress("QAT", step, steps),
    )
    history |= {"name": "qat", "steps": steps, "seconds_a_step": round((time.monotonic() - started) / steps, 4)}
    held = material.val[:most]
    wanted, given, trained = wanted[: len(held)], given[: len(held)], simulate(extract(model), held)
    stages = {"ptq": given, "qat": trained}
    history["val_agreement"] = {name: agreement(x.argmax(1), wanted.argmax(1)) for name, x in stages.items()}
    far = {name: divergence(wanted, x) for name, x in stages.items()}
    history["val_divergence"] = far
    if method == "auto" and far["ptq"] < far["qat"]:
        return splits, calibrated, history | {"name": "ptq"}
    return splits, model, history


def _calibrated(
    plan: Plan, calibration: NDArray[np.uint8], recipe: PtqRecipe, progress: Progress
) -> tuple[tuple[Split, ...], FakeQuant]:
    """What was split, if that was asked for, and the network on its grids."""
    model = ptq(plan, calibration, recipe, progress)
    if not recipe.split_outliers:
        return (), model
    some = to_input(torch.from_numpy(calibration[:: math.ceil(len(calibration) / _SPLIT_PICTURES)]))
    splits = find_outliers(model, some, recipe.split_outliers, recipe.split_only)
    return splits, ptq(split_channels(plan, splits), calibration, recipe, progress)


def _require(
    model: Path,
    integers: Integers,
    measured: Measured,
    report: dict[str, Any],
    material: Material,
    recipe: Recipe,
) -> None:
    require_fused(measured.fused)
    require_exact(model, integers, material.test, measured.reference, measured.features)
    require_same_forms(measured.unoptimized["u8"], measured.unoptimized["s8"])
    if material.targets is not None:
        require_accuracy(report["accuracy"]["fp32"], report["accuracy"]["u8"], recipe.gates.max_drop_points)
    else:
        require_agreement(report["agreement_with_fp32"]["u8"]["percent"], recipe.gates.min_agreement)


def _write_rest(folder: Path, run: Run, material: Material, integers: Integers) -> None:
    """labels.txt, spec.json, golden vectors, and the base of learning: features by the file that the board runs."""
    write_whole(str(folder / "labels.txt"), labels_text(run.labels).encode())
    write_whole(str(folder / "spec.json"), spec_text(run.spec).encode())
    write_golden(folder / "golden.npz", integers, run.spec, material.test)
    if material.labelled is None:
        return  # what is not known cannot be taught beside: pack says so
    base = remembered_base(folder / "model.u8.onnx", integers, run, material.labelled)
    write_base(str(folder / "head.npz"), base)


def _write_deep(folder: Path, run: Run, material: Material, integers: Integers) -> None:
    data = material.labelled
    if data is None:
        raise InputError("pictures without labels", "a data set for --deeper", "leave out --deeper")
    write_deep(folder, integers, run.spec, remembered(run, data), run.seed)


def _peak_memory_bytes() -> int:
    """Of this process so far: Linux counts in KiB, macOS in bytes."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else 1024 * peak
