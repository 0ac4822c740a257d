"""What a training leaves: its weights, what they say of val and test, and train.json."""

import statistics
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path

import torch

from edge.contract.files import write_whole
from train.answers import Answers, write_answers
from train.checkpoint import State
from train.data import DataSet
from train.group import Group
from train.predict import predict
from train.recipe import Recipe
from train.run_folder import MODEL, REPORT, json_bytes
from train.tensors import write_tensors


@dataclass(frozen=True)
class TrainReport:
    """train.json. Accuracies are shares, 0 to 1, of the averaged weights in FP32."""

    val_accuracy: float
    test_accuracy: float
    epochs: int  # whole ones
    planned_epochs: int
    stalled: bool  # it stopped since the loss on val was no longer lower, if the recipe has `patience`
    steps: int
    rate: float  # times the recipe's learning rate, at the end: halved whenever the training diverged
    pieces: int  # in which a batch went through the network, at the end: doubled whenever GPU memory ran out
    seconds: float  # of whole epochs, interruptions left out
    first_step_seconds: float  # until the end of the first step, reading the pictures included
    images_per_second: float | None  # of the steps, measuring left out: the median epoch; None before a whole one
    data_share: float | None  # of the time of the steps, 0 to 1, for pictures: likewise
    processes: int  # that trained together, at the end
    device: str
    parameters: int
    counts: dict[str, int]  # pictures by part
    skipped: tuple[str, ...]
    border_error: float | None  # of pretrained weights, before training: in standard deviations of a feature


def finish(
    state: State,
    data: DataSet,
    recipe: Recipe,
    folder: Path,
    device: torch.device,
    error: float | None,
    group: Group,
) -> TrainReport:
    """Writes the averaged weights, then what they say of val and test, and the report.

    Measured on the CPU: what is said is what `load_run` gives.
    """
    network = state.average.module.cpu()
    write_tensors(folder / MODEL, network.state_dict())
    held_out = {"val": data.val, "test": data.test}
    answers = {name: Answers(part.targets, predict(network, part.pixels)[1]) for name, part in held_out.items()}
    write_answers(folder, answers)
    report = TrainReport(
        val_accuracy=answers["val"].accuracy,
        test_accuracy=answers["test"].accuracy,
        epochs=state.epoch,
        planned_epochs=recipe.epochs_for(len(data.train.targets)),
        stalled=state.stalled(recipe.patience),
        steps=state.steps,
        rate=state.rate,
        pieces=state.pieces,
        seconds=round(state.seconds, 3),
        first_step_seconds=round(state.first_step_seconds, 3),
        images_per_second=_median(line.images_per_second for line in state.metrics),
        data_share=_median(line.data_share for line in state.metrics),
        processes=group.size,
        device=torch.cuda.get_device_name(device) if device.type == "cuda" else "cpu",
        parameters=sum(p.numel() for p in network.parameters()),
        counts={name: len(part.targets) for name, part in data.parts.items()},
        skipped=data.skipped,
        border_error=error,
    )
    write_whole(str(folder / REPORT), json_bytes(asdict(report)))
    return report


def _median(values: Iterable[float]) -> float | None:
    found = list(values)
    return round(statistics.median(found), 4) if found else None
