"""The training loop: SGD or AdamW, averaged weights, resumable after every epoch; the same seed gives the same weights.

All randomness comes from the seed and the count of epochs and steps, never from a running generator, so a resumed run
goes on with the same pictures in the same order without any generator's state.
"""

import json
import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn
from torch.utils.tensorboard import SummaryWriter

from edge.contract.errors import GateError, UsageError
from edge.contract.files import write_whole
from edge.contract.spec import ModelSpec
from train.augment import make_augment
from train.checkpoint import EpochMetrics, State, read_checkpoint, write_checkpoint
from train.data import DataSet, Progress
from train.freeze import freeze, set_training
from train.memory import keep_freed_memory
from train.network import build_network, count_features, to_input
from train.predict import evaluate
from train.pretrained import border_error, load_pretrained
from train.recipe import Recipe
from train.run_folder import CHECKPOINT, METRICS, MODEL, REPORT, TENSORBOARD, begin_run, json_bytes
from train.tensors import write_tensors

_BORDER_PICTURES = 32


@dataclass(frozen=True)
class TrainReport:
    """train.json. Accuracies are shares, 0 to 1, of the averaged weights in FP32."""

    val_accuracy: float
    test_accuracy: float
    epochs: int
    steps: int
    seconds: float  # of training, interruptions left out
    device: str
    parameters: int
    counts: dict[str, int]  # pictures by part
    skipped: tuple[str, ...]
    border_error: float | None  # of pretrained weights, before training: in standard deviations of a feature


def train(
    data: DataSet,
    recipe: Recipe,
    folder: Path,
    resume: bool = False,
    device: str | None = None,
    progress: Progress | None = None,
    on_epoch: Callable[[EpochMetrics], None] | None = None,
) -> TrainReport:
    """Trains on `data.train` and leaves the run in `folder`. The last epoch's averaged weights are the result.

    device: "cpu" or "cuda", by default the GPU if there is one. progress gets the step and the number of steps. Raises
    UsageError for a folder that holds something else or a device that is not there, FormatError for a damaged
    checkpoint, GateError if the loss is no longer finite.
    """
    height, width, channels = data.train.pixels.shape[1:]
    classes = len(data.labels)
    where = _choose_device(device)
    keep_freed_memory()
    network = begin_network(recipe, channels, classes, (height, width))
    features = count_features(network, channels, (height, width))
    error = border_error(network, data.val.pixels[:_BORDER_PICTURES]) if recipe.pretrained else None
    begin_run(folder, recipe, ModelSpec(recipe.network, height, width, channels, features, classes), data, resume)
    pictures = len(data.train.targets)
    epochs = recipe.epochs_for(pictures)
    state = _start(network, recipe, epochs * recipe.steps_per_epoch(pictures), where)
    if resume and (folder / CHECKPOINT).exists():
        read_checkpoint(folder / CHECKPOINT, state)
    with SummaryWriter(str(folder / TENSORBOARD), purge_step=state.epoch + 1) as board:
        while state.epoch < epochs:
            metrics = _train_epoch(state, data, recipe, epochs, progress)
            state.metrics.append(metrics)
            write_checkpoint(folder / CHECKPOINT, state)
            lines = "".join(json.dumps(asdict(line)) + "\n" for line in state.metrics)
            write_whole(str(folder / METRICS), lines.encode())
            for name in ("loss", "learning_rate", "val_accuracy"):
                board.add_scalar(name, getattr(metrics, name), metrics.epoch)
            if on_epoch:
                on_epoch(metrics)
    return _finish(state, data, recipe, folder, where, error)


def _choose_device(name: str | None) -> torch.device:
    there = ["cuda", "cpu"] if torch.cuda.is_available() else ["cpu"]
    if name is not None and name not in there:
        raise UsageError(f"there is no device {name!r} here", " or ".join(there), "name another, or none")
    return torch.device(name or there[0])


def begin_network(recipe: Recipe, channels: int, classes: int, size: tuple[int, int]) -> nn.Module:
    """The network before its first step, by the recipe's seed: fresh, or with ImageNet weights, and partly frozen."""
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(recipe.seed)
        network = build_network(recipe.network, channels, classes, size)
    if recipe.pretrained:
        load_pretrained(network, recipe.network)
    freeze(network, recipe.frozen_share)
    return network


def _start(network: nn.Module, recipe: Recipe, steps: int, device: torch.device) -> State:
    # channels_last: a step took 0.7 of the time on a CPU, and tensor cores want it
    network.to(device=device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    decay = 1 - 1 / max(1.0, recipe.ema_share * steps)
    average_by = get_ema_multi_avg_fn(decay)  # type: ignore[no-untyped-call]
    average = AveragedModel(network, multi_avg_fn=average_by, use_buffers=True)
    return State(network, average, _make_optimizer(recipe, network))


def _make_optimizer(recipe: Recipe, network: nn.Module) -> torch.optim.Optimizer:
    trained = [p for p in network.parameters() if p.requires_grad]
    weights = [p for p in trained if p.ndim > 1]
    rest = [p for p in trained if p.ndim <= 1]  # biases and batch normalisation, which are not decayed
    groups = [{"params": weights, "weight_decay": recipe.weight_decay}, {"params": rest, "weight_decay": 0.0}]
    if recipe.optimizer == "adamw":
        return torch.optim.AdamW(groups, recipe.learning_rate, (recipe.momentum, 0.999))
    return torch.optim.SGD(groups, recipe.learning_rate, recipe.momentum, nesterov=recipe.momentum > 0)


def _train_epoch(state: State, data: DataSet, recipe: Recipe, epochs: int, progress: Progress | None) -> EpochMetrics:
    started = time.monotonic()
    device = next(state.network.parameters()).device
    per_epoch = recipe.steps_per_epoch(len(data.train.targets))
    first, total = state.epoch * per_epoch, epochs * per_epoch
    augment = make_augment(recipe.augmentation, recipe.seed, first)
    autocast = torch.autocast(device.type, torch.bfloat16, enabled=recipe.amp and _has_bfloat16(device))
    set_training(state.network, recipe.frozen_norms)
    losses = 0.0
    with _seeded(recipe.seed, state.epoch, device):
        for step, chosen in enumerate(_batches(len(data.train.targets), recipe, state.epoch), first):
            rate = learning_rate(recipe, step, total)
            for group in state.optimizer.param_groups:
                group["lr"] = rate
            pixels = augment(torch.from_numpy(data.train.pixels[chosen]).to(device))
            targets = torch.from_numpy(data.train.targets[chosen]).to(device)
            with autocast:
                _, logits = state.network(to_input(pixels))
                loss = cross_entropy(logits, targets, label_smoothing=recipe.label_smoothing)
            losses += _finite(loss, state.epoch + 1, step)
            state.optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            state.optimizer.step()
            state.average.update_parameters(state.network)
            if progress:
                progress(step + 1, total)
    accuracy = evaluate(state.average, data.val)
    seconds = state.seconds + time.monotonic() - started
    return EpochMetrics(state.epoch + 1, losses / per_epoch, rate, accuracy, seconds)


@contextmanager
def _seeded(seed: int, epoch: int, device: torch.device) -> Iterator[None]:
    """An epoch's own random numbers, for dropout; the global generators are as before afterwards."""
    with torch.random.fork_rng(devices=[torch.cuda.current_device()] if device.type == "cuda" else []):
        torch.manual_seed(int(np.random.SeedSequence((seed, epoch)).generate_state(1)[0]))
        yield


def learning_rate(recipe: Recipe, step: int, total: int) -> float:
    """Of step 0 to total - 1: up in a straight line for the warm-up, then down along a cosine, never quite 0."""
    warmup = recipe.warmup * total
    if step + 1 < warmup:
        return recipe.learning_rate * (step + 1) / warmup
    return recipe.learning_rate * 0.5 * (1 + math.cos(math.pi * (step + 1 - warmup) / (total + 1 - warmup)))


def _batches(pictures: int, recipe: Recipe, epoch: int) -> Iterator[NDArray[np.int64]]:
    """Indices of the pictures of every step of an epoch: a new order each, the rest after whole batches left out."""
    order = np.random.default_rng((recipe.seed, epoch)).permutation(pictures)
    for step in range(recipe.steps_per_epoch(pictures)):
        yield order[step * recipe.batch : (step + 1) * recipe.batch]


def _finite(loss: Tensor, epoch: int, step: int) -> float:
    value = loss.item()
    if not math.isfinite(value):
        raise GateError(
            f"the loss became {value} in epoch {epoch}, step {step + 1}",
            "a finite loss",
            "lower the recipe's learning_rate and train into a new folder",
        )
    return value


def _has_bfloat16(device: torch.device) -> bool:
    return device.type == "cuda" and torch.cuda.is_bf16_supported(including_emulation=False)


def _finish(
    state: State, data: DataSet, recipe: Recipe, folder: Path, device: torch.device, error: float | None
) -> TrainReport:
    """Writes the averaged weights and the report. Measured on the CPU: what is said is what `load_run` gives."""
    network = state.average.module.cpu()
    parts = data.parts
    report = TrainReport(
        val_accuracy=evaluate(network, data.val),
        test_accuracy=evaluate(network, data.test),
        epochs=state.epoch,
        steps=state.epoch * recipe.steps_per_epoch(len(data.train.targets)),
        seconds=state.seconds,
        device=torch.cuda.get_device_name(device) if device.type == "cuda" else "cpu",
        parameters=sum(p.numel() for p in network.parameters()),
        counts={name: len(part.targets) for name, part in parts.items()},
        skipped=data.skipped,
        border_error=error,
    )
    write_tensors(folder / MODEL, network.state_dict())
    write_whole(str(folder / REPORT), json_bytes(asdict(report)))
    return report
