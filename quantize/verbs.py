"""`edgewise quantize`, as a person types it."""

from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from edge.contract.results import Outcome
from quantize.recipe import load_qat_recipe
from quantize.run import Progress
from quantize.run import quantize as run_quantize


def quantize(
    run: Annotated[Path, typer.Argument(help="The folder that `edgewise train` wrote.")],
    progress: Progress,
    data: Annotated[str | None, typer.Option(help="The data set, if it is no longer where it was.")] = None,
    recipe: Annotated[Path | None, typer.Option(help="A QAT recipe in YAML instead of the built-in one.")] = None,
    seed: Annotated[int | None, typer.Option(help="Seed of QAT.")] = None,
) -> Outcome:
    """Turn a trained run into INT8 by quantization-aware training, and prove the match.

    Writes RUN/int8: three ONNX files from one set of integers, golden vectors, the base of learning, and report.json.
    Refuses to if one planned layer would run in float or one feature differs from the integer reference.

    Example: edgewise quantize runs/digits
    """
    settings = load_qat_recipe(recipe)
    if seed is not None:
        settings = replace(settings, seed=seed)
    done = run_quantize(run, settings, data, progress)
    report = done.report
    accuracy, layers = report["accuracy"], report["integer_layers"]
    agreement = report["agreement"]["u8"]
    lines = (
        f"accuracy on {report['test_count']} test pictures: "
        + ", ".join(f"{name} {value:.2f} %" for name, value in accuracy.items()),
        f"integer layers: {layers['fused']} of {sum(layers['planned'].values())} fused by onnxruntime",
        f"features bit-identical to the integer reference: {report['exact']['u8_pictures']} of {report['test_count']}",
        f"top-1 agreement of u8 with the QAT model: {agreement['percent']:.2f} % "
        f"(95 % interval {agreement['low']:.2f} to {agreement['high']:.2f})",
        f"written: {done.folder} in {done.seconds:.1f} s",
    )
    return Outcome(lines, {"folder": str(done.folder), **report})
