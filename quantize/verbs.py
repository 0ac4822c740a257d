"""`edgewise quantize`, as a person types it."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import typer

from edge.contract.errors import UsageError
from edge.contract.results import Outcome
from quantize.recipe import load_recipe
from quantize.run import Method, Progress
from quantize.run import quantize as run_quantize
from train.run_folder import load_run


def quantize(
    run: Annotated[Path, typer.Argument(help="The folder that `edgewise train` or `edgewise import` wrote.")],
    progress: Progress,
    ptq: Annotated[bool, typer.Option("--ptq", help="Calibrate and round only, do not train.")] = False,
    qat: Annotated[bool, typer.Option("--qat", help="Train even where calibration alone is enough.")] = False,
    pictures: Annotated[
        str | None, typer.Option(help="Unlabelled pictures to tune on: a folder, a zip or a film.")
    ] = None,
    data: Annotated[str | None, typer.Option(help="The data set, if it is no longer where it was.")] = None,
    recipe: Annotated[Path | None, typer.Option(help="A recipe in YAML instead of the built-in one.")] = None,
    deeper: Annotated[
        bool, typer.Option("--deeper", help="Also write what a board needs to retrain the last blocks: some 20 MB.")
    ] = False,
    split_outliers: Annotated[
        float | None,
        typer.Option(
            min=0, max=1, help="Split the channels whose rounding costs most, for this share of multiply-adds more."
        ),
    ] = None,
    split_only: Annotated[
        list[str] | None, typer.Option(help="Split channels of this layer's output alone; may be given several times.")
    ] = None,
    sensitivity: Annotated[
        bool, typer.Option("--sensitivity", help="Also measure what each layer's rounding costs: a minute for photos.")
    ] = False,
    seed: Annotated[int | None, typer.Option(help="Seed of calibration and training.")] = None,
) -> Outcome:
    """Turn a trained run into INT8, and prove the match.

    Calibrates first, and trains with quantization where that alone does not answer as FP32 does, keeping the better.
    Writes RUN/int8: four ONNX files from one set of integers, golden vectors, the base of learning, report.json and
    report.html. Refuses to if one planned layer would run in float or one feature differs from the integer reference.

    Examples: edgewise quantize runs/digits; edgewise quantize runs/lite0 --pictures photos/
    """
    if ptq and qat:
        raise UsageError("--ptq and --qat", "one of them, or neither", "leave one out")
    if split_only and split_outliers is None:
        raise UsageError("--split-only", "--split-outliers beside it", "say how many channels more")
    spec = load_run(run).spec
    settings = load_recipe(recipe, spec.height, spec.width)
    if seed is not None:
        settings = replace(settings, ptq=replace(settings.ptq, seed=seed), qat=replace(settings.qat, seed=seed))
    if split_outliers is not None:
        part = replace(settings.ptq, split_outliers=split_outliers, split_only=split_only or [])
        settings = replace(settings, ptq=part)
    method: Method = "ptq" if ptq else "qat" if qat else "auto"
    done = run_quantize(run, settings, method, data, pictures, progress, deeper, sensitivity)
    lines = (*report_lines(done.report), f"written: {done.folder} in {done.seconds:.1f} s, report.html to look at")
    return Outcome(lines, {"folder": str(done.folder), **done.report})


def report_lines(report: dict[str, Any]) -> tuple[str, ...]:
    accuracy, layers, method = report["accuracy"], report["integer_layers"], report["method"]
    how = ", ".join(f"{value['percent']:.2f} % after {name.upper()}" for name, value in method["val_agreement"].items())
    end = "" if method["name"] == "qat" else ", so no training" if not method["steps"] else ", so training is not kept"
    lines = [f"agreement with FP32 on val pictures: {how}{end}"]
    if accuracy:
        values = ", ".join(f"{name} {value:.2f} %" for name, value in accuracy.items())
        lines.append(f"accuracy on {report['test_count']} test pictures: {values}")
    for found, teacher in (
        (report["agreement_with_fp32"]["u8"], "FP32"),
        (method["test_agreement"], "the quantized model as torch computes it"),
    ):
        lines.append(
            f"top-1 agreement of u8 with {teacher}: {found['percent']:.2f} % "
            f"(95 % interval {found['low']:.2f} to {found['high']:.2f})"
        )
    planned, adds = sum(layers["planned"].values()), report["multiply_adds"]
    share = 100 * adds["integer"] / (adds["integer"] + adds["float"])
    lines.append(
        f"integer layers: {layers['fused']} of {planned} fused by onnxruntime, {share:.2f} % of the multiply-adds; "
        "the classifier is float"
    )
    lines.append(
        f"features bit-identical to the integer reference: {report['exact']['u8_pictures']} of {report['test_count']}"
    )
    lines += _asked_lines(report)
    if report["dead_channels"]:
        dead = report["dead_channels"]
        most = max(dead, key=lambda name: int(dead[name]))
        lines.append(
            f"channels with no weight but 0: {sum(dead.values())} in {len(dead)} convolutions, {dead[most]} in {most}"
        )
    return tuple(lines)


def _asked_lines(report: dict[str, Any]) -> Iterator[str]:
    """Of what is there only if a flag asked for it."""
    if "splits" in report:
        splits, adds = report["splits"], report["multiply_adds"]["integer"]
        yield (
            f"channels split: {splits['channels']} in {len(splits['tensors'])} tensors, "
            f"{100 * splits['multiply_adds'] / (adds - splits['multiply_adds']):.1f} % more multiply-adds"
        )
    if "sensitivity" in report:
        found = report["sensitivity"]
        least = min(found["layers"], key=lambda layer: float(layer["divergence"]))
        yield (
            f"divergence from FP32 on {found['pictures']} val pictures: {found['divergence']:.5f}; "
            f"with {least['name']} in float {least['divergence']:.5f}, no layer costs more"
        )
