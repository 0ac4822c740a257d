"""`edgewise train`, as a person types it."""

from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Annotated

import typer

from edge.contract.results import Outcome
from train.data import load_data
from train.loop import train as run_training
from train.recipe import DEFAULT_RECIPE, load_recipe

Progress = Callable[[str, int, int], None]


def train(
    data: Annotated[str, typer.Argument(help="A folder, zip or .npz of pictures, or a name: digits, mnist, cifar10.")],
    out: Annotated[Path, typer.Option(help="The run folder to write.")],
    progress: Progress,
    recipe: Annotated[str, typer.Option(help="A recipe's name, or a YAML file.")] = DEFAULT_RECIPE,
    epochs: Annotated[int | None, typer.Option(help="Epochs, instead of the recipe's.")] = None,
    seed: Annotated[int | None, typer.Option(help="Seed of the split, the weights and the order.")] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with the run in --out.")] = False,
    device: Annotated[str | None, typer.Option(help="cpu or cuda: by default the GPU if there is one.")] = None,
) -> Outcome:
    """Train a network on a folder of pictures.

    DATA has a folder a class, or train/ val/ test/ with a folder a class each. Missing parts are cut by the seed. The
    same seed on the same CPU gives the same weights.

    Examples: edgewise train digits --out runs/digits; edgewise train photos/ --out runs/photos --epochs 30
    """
    settings = load_recipe(recipe)
    if seed is not None:
        settings = replace(settings, seed=seed)
    if epochs is not None:
        settings = replace(settings, epochs=epochs, min_steps=0)
    size = (settings.height, settings.width)
    pictures = load_data(data, settings.seed, size, progress=lambda done, of: progress("pictures", done, of))
    report = run_training(
        pictures, settings, out, resume, device, progress=lambda step, steps: progress("steps", step, steps)
    )
    counts = ", ".join(f"{count} {part}" for part, count in report.counts.items())
    lines = [
        f"{len(pictures.labels)} classes, pictures: {counts}",
        f"FP32 accuracy: {100 * report.test_accuracy:.2f} % on test, {100 * report.val_accuracy:.2f} % on val",
        f"written: {out} after {report.epochs} epochs, {report.seconds:.1f} s on {report.device}",
    ]
    if report.skipped:
        named = ", ".join(report.skipped[:3]) + (" ..." if len(report.skipped) > 3 else "")
        lines.append(f"skipped {len(report.skipped)} unreadable files: {named}")
    return Outcome(tuple(lines), {"folder": str(out), "labels": list(pictures.labels), **asdict(report)})
