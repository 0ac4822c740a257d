"""The training loop: SGD or AdamW, averaged weights, resumable after every epoch; the same seed gives the same weights.

What goes wrong on the way is met by going back to the last whole epoch: with half the learning rate where the loss is
no longer finite, with half the pictures at a time where a GPU's memory is too small.

Several processes may take the same steps together, each on its share of every batch; the first one writes.
"""

import json
import logging
import time
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import asdict
from pathlib import Path

import torch
from torch import nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn
from torch.utils.tensorboard import SummaryWriter

from edge.contract.errors import GateError, UsageError
from edge.contract.files import write_whole
from edge.contract.spec import ModelSpec
from train.checkpoint import EpochMetrics, State, read_checkpoint, write_checkpoint
from train.data import DataSet, Progress
from train.epoch import Diverged, train_epoch
from train.freeze import freeze, layer_shares
from train.group import ALONE, Group
from train.memory import keep_freed_memory
from train.network import build_network, count_features
from train.precision import make_scaler
from train.pretrained import border_error, load_pretrained
from train.probe import fit_classifier
from train.recipe import Recipe
from train.result import TrainReport, finish
from train.run_folder import CHECKPOINT, METRICS, TENSORBOARD, TRACE, begin_run, check_same_run
from train.stages import traced

_BORDER_PICTURES = 32
_LOWEST_RATE = 1 / 32  # times the recipe's learning rate: what still diverges there has another cause
_FEWEST = 2  # pictures that go through a network at a time: batch normalisation needs more than one
_SCALARS = ("loss", "learning_rate", "train_loss", "train_accuracy", "val_loss", "val_accuracy")

_log = logging.getLogger("edgewise")


def train(
    data: DataSet,
    recipe: Recipe,
    folder: Path,
    resume: bool = False,
    device: str | None = None,
    progress: Progress | None = None,
    on_epoch: Callable[[EpochMetrics], None] | None = None,
    stop: Callable[[], bool] = lambda: False,
    pieces: int = 1,
    profile: bool = False,
    compiled: bool = False,
    began: float | None = None,
    group: Group = ALONE,
) -> TrainReport | None:
    """Trains on `data.train` and leaves the run in `folder`. The last step's averaged weights are the result.

    device: "cpu" or "cuda", by default the GPU if there is one. progress gets the step and the number of steps. stop is
    asked before every step: once it says yes, the run ends with what was learnt until then. pieces: in which a batch
    goes through the network. profile: also leaves a trace of a few steps. compiled: by torch.compile. began:
    time.monotonic() from which the time to the first step counts, by default now. group: the processes that train
    together, all with the same arguments and one folder; only the first returns a report. Raises UsageError for a
    folder that holds something else, a device that is not there, a GPU too small for two pictures or a batch too small
    for `pieces` and `group`, FormatError for a damaged checkpoint, GateError if the training diverges at every learning
    rate that is tried.
    """
    began = time.monotonic() if began is None else began
    where = _choose_device(device, group)
    _check_shares(recipe, len(data.train.targets), pieces, group)
    keep_freed_memory()
    error = _begin(data, recipe, folder, resume, group)
    epochs = recipe.epochs_for(len(data.train.targets))

    def start() -> State:
        state = _start(data, recipe, folder, where, began, pieces, group)
        if compiled:
            state.network.compile()  # at the first step; names of weights and copies of the network stay plain
        return state

    state = start()
    writer = SummaryWriter(str(folder / TENSORBOARD), purge_step=state.epoch + 1) if group.first else nullcontext()
    with writer as board, traced(folder / TRACE if profile and group.first else None) as step_done:

        def stepped(step: int, steps: int) -> None:
            step_done()
            if progress:
                progress(step, steps)

        def keep(state: State) -> None:
            if board:
                _keep_epoch(state, folder, board)
            if on_epoch:
                on_epoch(state.metrics[-1])

        state = _take_epochs(state, start, data, recipe, epochs, stop, stepped, keep, group)
    return finish(state, data, recipe, folder, where, error, group) if group.first else None


def _take_epochs(
    state: State,
    start: Callable[[], State],
    data: DataSet,
    recipe: Recipe,
    epochs: int,
    stop: Callable[[], bool],
    progress: Progress,
    keep: Callable[[State], None],
    group: Group,
) -> State:
    """To the planned end, or until `stop`. start: gives the state after the last whole epoch, which `keep` is given."""
    while state.epoch < epochs and not state.stalled(recipe.patience):
        milder = None
        try:
            metrics = train_epoch(state, data, recipe, epochs, stop, progress, group)
        except (Diverged, torch.OutOfMemoryError) as setback:
            milder = _milder(state, recipe, setback, group)
        if milder:  # not where the error still holds the tensors of the step that failed
            state = start()
            state.rate, state.pieces = milder
        elif metrics is None:
            if not state.steps:
                raise KeyboardInterrupt  # nothing was learnt yet
            break
        else:
            state.metrics.append(metrics)
            keep(state)
    return state


def _check_shares(recipe: Recipe, pictures: int, pieces: int, group: Group) -> None:
    batch = min(recipe.batch, pictures)
    if (group.size > 1 or pieces > 1) and batch // group.size // pieces < _FEWEST:
        raise UsageError(
            f"a batch of {batch} pictures for {group.size} processes, in {pieces} pieces",
            f"{_FEWEST} pictures or more at a time",
            "take fewer processes or pieces, or a recipe with a larger batch",
        )


def _begin(data: DataSet, recipe: Recipe, folder: Path, resume: bool, group: Group) -> float | None:
    """The first process begins the run folder; the others look whether it is theirs, too.

    Returns the border error of pretrained weights.
    """
    if not group.first:
        group.wait()
        check_same_run(folder, recipe, data)
        return None
    height, width, channels = data.train.pixels.shape[1:]
    network = begin_network(recipe, channels, len(data.labels), (height, width))
    error = border_error(network, data.val.pixels[:_BORDER_PICTURES]) if recipe.pretrained else None
    features = count_features(network, channels, (height, width))
    spec = ModelSpec(recipe.network, height, width, channels, features, len(data.labels))
    begin_run(folder, recipe, spec, data, resume)
    group.wait()
    return error


def _keep_epoch(state: State, folder: Path, board: SummaryWriter) -> None:
    write_checkpoint(folder / CHECKPOINT, state)
    lines = "".join(json.dumps(asdict(line)) + "\n" for line in state.metrics)
    write_whole(str(folder / METRICS), lines.encode())
    last = state.metrics[-1]
    for name in _SCALARS:
        board.add_scalar(name, getattr(last, name), last.epoch)


def _milder(state: State, recipe: Recipe, setback: Exception, group: Group) -> tuple[float, int]:
    """The share of the learning rate and the pieces of a batch to go on with after `setback`; the person is told."""
    back = f"goes back to the end of epoch {state.epoch}" if state.epoch else "begins again"
    if isinstance(setback, Diverged):
        rate = state.rate / 2
        if rate < _LOWEST_RATE:
            raise GateError(
                f"{setback}, at {state.rate:g} of the recipe's learning rate too",
                "a finite loss",
                "look through the pictures with `edgewise check`, or train with another recipe into a new folder",
            )
        _log.info("%s: %s, with %g of the recipe's learning rate", setback, back, rate)
        return rate, state.pieces
    pieces = state.pieces * 2
    if group.size > 1:  # the others wait for this one's gradients, and cannot be told
        raise UsageError(
            f"GPU memory ran out in process {group.rank} of {group.size}, with batches in {state.pieces} pieces",
            "room for a piece of this process's share",
            f"give the same command again with --resume --pieces {pieces}",
        )
    if recipe.batch // pieces < _FEWEST:
        raise UsageError(
            f"the GPU has too little memory for {recipe.batch // state.pieces} pictures of {recipe.network}",
            f"room for {_FEWEST} or more at a time",
            "train on smaller pictures (--size), a smaller network, or --device cpu",
        )
    told = "GPU memory ran out: %s, with %d pictures at a time instead of %d, and as many to a step as before"
    _log.info(told, back, recipe.batch // pieces, recipe.batch // state.pieces)
    return state.rate, pieces


def _choose_device(name: str | None, group: Group) -> torch.device:
    there = ["cuda", "cpu"] if torch.cuda.is_available() else ["cpu"]
    if name is not None and name not in there:
        raise UsageError(f"there is no device {name!r} here", " or ".join(there), "name another, or none")
    device = torch.device(name or there[0])
    if group.size == 1 or device.type == "cpu":
        return device
    if group.local_rank >= torch.cuda.device_count():
        found, wanted = torch.cuda.device_count(), group.local_rank + 1
        raise UsageError(
            f"{found} GPUs for {wanted} processes", "a GPU each", "give torchrun fewer processes a machine"
        )
    torch.cuda.set_device(group.local_rank)
    return torch.device("cuda", group.local_rank)


def begin_network(recipe: Recipe, channels: int, classes: int, size: tuple[int, int]) -> nn.Module:
    """The network before its first step, by the recipe's seed: fresh, or with ImageNet weights, and partly frozen."""
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(recipe.seed)
        network = build_network(recipe.network, channels, classes, size)
    if recipe.pretrained:
        load_pretrained(network, recipe.network)
    freeze(network, recipe.frozen_share)
    return network


def _start(
    data: DataSet, recipe: Recipe, folder: Path, device: torch.device, began: float, pieces: int, group: Group
) -> State:
    """As the last whole epoch in `folder` left it, or before the first step."""
    height, width, channels = data.train.pixels.shape[1:]
    network = begin_network(recipe, channels, len(data.labels), (height, width))
    # channels_last: a step took 0.7 of the time on a CPU, and tensor cores want it
    network.to(device=device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    begun = (folder / CHECKPOINT).exists()
    if recipe.linear_probe and not begun:
        fit_classifier(network, data.train)
    pictures = len(data.train.targets)
    steps = recipe.epochs_for(pictures) * recipe.steps_per_epoch(pictures)
    decay = 1 - 1 / max(1.0, recipe.ema_share * steps)
    average_by = get_ema_multi_avg_fn(decay)  # type: ignore[no-untyped-call]
    average = AveragedModel(network, multi_avg_fn=average_by, use_buffers=True)
    if group.size > 1 and device.type == "cuda":  # the average keeps plain norms: it is measured, never trained
        network = nn.SyncBatchNorm.convert_sync_batchnorm(network)  # type: ignore[no-untyped-call]
    scaler = make_scaler(device, recipe.amp)
    state = State(network, average, _make_optimizer(recipe, network), scaler, network, began)
    if begun:
        read_checkpoint(folder / CHECKPOINT, state)
    state.pieces = max(state.pieces, pieces)
    state.wrapped = group.wrap(network)
    return state


def _make_optimizer(recipe: Recipe, network: nn.Module) -> torch.optim.Optimizer:
    """Its groups have a `share`: of the learning rate, what their layer gets."""
    groups: dict[tuple[bool, float], list[nn.Parameter]] = {}
    for parameter, share in zip(network.parameters(), layer_shares(network, recipe.layer_decay), strict=True):
        if parameter.requires_grad:
            groups.setdefault((parameter.ndim > 1, share), []).append(parameter)
    settings = [  # biases and batch normalisation are not decayed
        {"params": parameters, "weight_decay": recipe.weight_decay if weights else 0.0, "share": share}
        for (weights, share), parameters in groups.items()
    ]
    if recipe.optimizer == "adamw":
        return torch.optim.AdamW(settings, recipe.learning_rate, (recipe.momentum, 0.999))
    return torch.optim.SGD(settings, recipe.learning_rate, recipe.momentum, nesterov=recipe.momentum > 0)
