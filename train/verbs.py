"""`edgewise train` and `edgewise import`, as a person types them."""

import time
from collections.abc import Callable
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer

from edge.contract.results import Outcome
from train.choose import Choice, choose_recipe
from train.compiler import compiler_errors
from train.data import open_data, prepare_data
from train.group import joined
from train.import_run import import_run
from train.interrupt import until_interrupted
from train.loop import train as run_training
from train.recipe import load_recipe, override
from train.recipe_flags import with_recipe_flags
from train.result import TrainReport
from train.run_folder import PAGE, disk_errors
from train.run_page import write_run_page

Progress = Callable[[str, int, int], None]


@with_recipe_flags
def train(
    data: Annotated[str, typer.Argument(help="A folder, zip or .npz of pictures, or a name: digits, mnist, cifar10.")],
    out: Annotated[Path, typer.Option(help="The run folder to write.")],
    progress: Progress,
    command: str,
    recipe: Annotated[
        str | None,
        typer.Option(
            help="small, digits, photos, photos-few, photos-large or a YAML file: by default what suits the pictures."
        ),
    ] = None,
    size: Annotated[int | None, typer.Option(help="Pixels a side, instead of the recipe's: 32 to 512.")] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with the run in --out.")] = False,
    device: Annotated[str | None, typer.Option(help="cpu or cuda: by default the GPU if there is one.")] = None,
    pieces: Annotated[int, typer.Option(help="In which a batch goes through the network, to save memory.", min=1)] = 1,
    profile: Annotated[bool, typer.Option("--profile", help="Leave a trace of a few steps, too.")] = False,
    compiled: Annotated[
        bool,
        typer.Option("--compile", help="By torch.compile: a minute more, which a long training on a GPU may repay."),
    ] = False,
    **given: Any,
) -> Outcome:
    """Train a network on a folder of pictures.

    DATA has a folder a class, or train/ val/ test/ with a folder a class each. Missing parts are cut by the seed. The
    same seed on the same CPU gives the same weights. Ctrl-C keeps what was learnt, and --resume goes on from the last
    whole epoch. RUN/report.html says what the network is worth. Several processes share the work under torchrun. Every
    field of the recipe is a flag.

    Examples: edgewise train digits --out runs/digits; edgewise train photos/ --out runs/photos --epochs 3
    --learning-rate 0.001
    """
    began = time.monotonic()
    with open_data(data) as raw:
        chosen = Choice(recipe, "") if recipe else choose_recipe(raw, given["network"])
        named = load_recipe(chosen.recipe)
        settings = override(override(named, {"height": size, "width": size}), given)
        sides = (settings.height, settings.width)
        pictures = prepare_data(raw, settings.seed, sides, progress=lambda done, of: progress("pictures", done, of))
    with joined() as group, until_interrupted() as stop, disk_errors(out), compiler_errors():
        report = run_training(
            pictures,
            settings,
            out,
            resume,
            device,
            partial(progress, "steps"),
            stop=stop,
            pieces=pieces,
            profile=profile,
            compiled=compiled,
            began=began,
            group=group,
        )
        if report is None:
            return Outcome((), {"process": group.rank})  # the first one says it all
        write_run_page(out, pictures, command)
    counts = ", ".join(f"{count} {part}" for part, count in report.counts.items())
    lines = [
        f"recipe {chosen.recipe}" + (f": {chosen.why}" if chosen.why else ""),
        f"{len(pictures.labels)} classes, pictures: {counts}",
        *_report_lines(report, out),
    ]
    if named.pretrained and not settings.pretrained:
        lines.append(f"{settings.network} was trained from scratch: there are no ImageNet weights for it")
    fields = {"folder": str(out), "recipe": chosen.recipe, "labels": list(pictures.labels), **asdict(report)}
    return Outcome(tuple(lines), fields)


def _report_lines(report: TrainReport, out: Path) -> list[str]:
    lines = [
        f"FP32 accuracy: {100 * report.test_accuracy:.2f} % on test, {100 * report.val_accuracy:.2f} % on val",
        f"written: {out} after {report.epochs} epochs, {report.seconds:.1f} s on {report.device}; {PAGE} to look at",
    ]
    if report.images_per_second is not None and report.data_share is not None:
        speed = f"{report.images_per_second:.1f} pictures a second, {100 * report.data_share:.1f} % of it lost to data"
        together = f" by {report.processes} processes" if report.processes > 1 else ""
        lines.append(f"{speed}{together}; the first step was done after {report.first_step_seconds:.1f} s")
    if report.epochs < report.planned_epochs:
        whole = f"stopped after {report.epochs} of {report.planned_epochs} epochs, {report.steps} steps"
        stalled, told = "the loss on val fell no longer", "what was learnt can be quantized, and --resume goes on"
        lines.append(f"{whole}: {stalled if report.stalled else told}")
    if report.rate < 1:
        lines.append(f"it diverged, and went on with {report.rate:g} of the recipe's learning rate")
    if report.pieces > 1:
        lines.append(f"batches went through the network in {report.pieces} pieces")
    if report.border_error is not None:
        lines.append(f"ImageNet weights, adapted to bytes: off by {report.border_error:.3f} deviations at the border")
    if report.skipped:
        first = ", ".join(report.skipped[:3]) + (" ..." if len(report.skipped) > 3 else "")
        lines.append(f"skipped {len(report.skipped)} unreadable files: {first}")
    return lines


def import_weights(
    network: Annotated[str, typer.Argument(help="A network's name, or your own as package.module:function.")],
    out: Annotated[Path, typer.Option(help="The run folder to write.")],
    weights: Annotated[Path | None, typer.Option(help="A safetensors file, instead of ImageNet's weights.")] = None,
    labels: Annotated[Path | None, typer.Option(help="A text file with a class a line.")] = None,
    size: Annotated[int | None, typer.Option(help="Pixels a side: by default what the network was made for.")] = None,
) -> Outcome:
    """Make a run of weights trained elsewhere, without pictures.

    ImageNet's weights are there for efficientnet-lite0 to -lite2 and are adapted to a camera's bytes. Other weights
    are a network's state_dict, trained on BGR as (x - 128) / 128.

    Examples: edgewise import efficientnet-lite0 --out runs/imagenet; edgewise import mine.net:build --weights
    mine.safetensors --labels classes.txt --size 96 --out runs/mine
    """
    spec = import_run(network, out, weights, labels, size)
    shape = f"{spec.width} x {spec.height} pixels, {spec.classes} classes, {spec.features} features"
    return Outcome((f"{network}: {shape}", f"written: {out}"), {"folder": str(out), **spec._asdict()})
