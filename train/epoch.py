"""One pass over the training pictures, and what the weights are worth after it.

All randomness comes from the seed and the count of epochs and steps, never from a running generator, so a resumed run
goes on with the same pictures in the same order without any generator's state.
"""

import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from train.augment import make_augment
from train.checkpoint import EpochMetrics, State
from train.data import DataSet, Pictures, Progress
from train.freeze import set_training
from train.group import ALONE, Group, keep_gradients
from train.mix import mix
from train.network import to_input
from train.one_ahead import one_ahead
from train.precision import choose_precision
from train.predict import predict
from train.recipe import Recipe
from train.stages import stage

Batch = tuple[Tensor, Tensor, float]  # pixels (N, H, W, C) uint8, targets (N,), and the weight of their mean loss

_COMPARED = 256  # training pictures at most that the averaged weights are measured on, to see the gap to val
_RUNAWAY = 10  # times the loss of a guess: an epoch's mean loss above it is no state to go back to


class Diverged(Exception):
    """The loss, or a weight, is no longer finite, or the loss is far above that of a guess. Its text says where."""


@dataclass(frozen=True)
class _Taken:
    """What is known of an epoch's steps."""

    loss: float  # their mean
    learning_rate: float  # of the last
    images_per_second: float
    data_share: float  # of their time


def train_epoch(
    state: State,
    data: DataSet,
    recipe: Recipe,
    epochs: int,
    stop: Callable[[], bool],
    progress: Progress | None = None,
    group: Group = ALONE,
) -> EpochMetrics | None:
    """Takes an epoch's steps, which change `state`, and measures the averaged weights. None if `stop` cut it short.

    epochs: of the whole training. stop is asked before every step. group: the processes that take the same steps, each
    on its share of the pictures; all come to the same weights and metrics. Raises Diverged, or torch.OutOfMemoryError
    of a GPU: the state is then good for nothing.
    """
    started = time.monotonic()
    taken = _take_steps(state, data, recipe, epochs, stop, progress, group)
    modules = (state.network, state.average)
    group.average(b for module in modules for b in module.buffers() if b.is_floating_point())
    if taken is None:
        return None
    if not all(tensor.isfinite().all() for tensor in state.tensors().values()):
        raise Diverged(f"a weight became infinite in epoch {state.epoch + 1}")
    guess = math.log(len(data.labels))
    if taken.loss > _RUNAWAY * guess:
        raise Diverged(f"the loss became {taken.loss:.3g} in epoch {state.epoch + 1}, where a guess has {guess:.3g}")
    trained_on = _measure(state, _sample(data.train), group)
    held_out = _measure(state, data.val, group)
    seconds = state.seconds + time.monotonic() - started
    speed = (taken.images_per_second, taken.data_share)
    return EpochMetrics(state.epoch + 1, taken.loss, taken.learning_rate, *trained_on, *held_out, seconds, *speed)


def _take_steps(
    state: State,
    data: DataSet,
    recipe: Recipe,
    epochs: int,
    stop: Callable[[], bool],
    progress: Progress | None,
    group: Group,
) -> _Taken | None:
    started = time.monotonic()
    device = next(state.network.parameters()).device
    pictures = len(data.train.targets)
    per_epoch = recipe.steps_per_epoch(pictures)
    losses = rate = data_seconds = 0.0
    set_training(state.network, recipe.frozen_norms)
    batches = _batches(state, data, recipe, epochs, device, group)
    with _seeded(group.own_seed(recipe.seed), state.epoch, device):
        for _ in range(per_epoch):
            if group.any(stop()):
                return None
            rate = state.rate * learning_rate(recipe, state.steps, epochs * per_epoch)
            for settings in state.optimizer.param_groups:
                settings["lr"] = rate * settings["share"]
            before = time.monotonic()
            with stage("data"):
                batch = next(batches)
            data_seconds += time.monotonic() - before
            losses += group.total(_step(state, recipe, *batch)) / group.size
            if not math.isfinite(losses):
                raise Diverged(f"the loss became {losses} in epoch {state.epoch + 1}, step {state.steps}")
            if not state.first_step_seconds:
                state.first_step_seconds = time.monotonic() - state.began
            if progress:
                progress(state.steps, epochs * per_epoch)
    seconds = time.monotonic() - started
    images = min(recipe.batch, pictures) * per_epoch
    return _Taken(losses / per_epoch, rate, images / seconds, data_seconds / seconds)


def _step(state: State, recipe: Recipe, pixels: Tensor, targets: Tensor, weight: float) -> float:
    """One step of the optimizer and of the average. Returns the loss before it.

    The batch goes through the network in `state.pieces`, whose gradients add up to those of the whole. weight: times
    the loss.
    """
    device = pixels.device
    precision = choose_precision(device, recipe.amp)
    autocast = torch.autocast(device.type, precision, enabled=precision != torch.float32)
    state.optimizer.zero_grad()
    value = 0.0
    pieces = list(zip(pixels.chunk(state.pieces), targets.chunk(state.pieces), strict=True))
    for number, (part, wanted) in enumerate(pieces, 1):
        with keep_gradients(state.wrapped, last=number == len(pieces)):
            with stage("forward"), autocast:
                _, logits = state.wrapped(to_input(part))
                loss = cross_entropy(logits, wanted, label_smoothing=recipe.label_smoothing)
            with stage("backward"):
                loss = loss * (weight * len(wanted) / len(targets))
                state.scaler.scale(loss).backward()  # type: ignore[no-untyped-call]
        value += loss.item()
    with stage("update"):
        state.scaler.step(state.optimizer)
        state.scaler.update()
        state.average.update_parameters(state.network)
    state.steps += 1
    return value


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


def _batches(
    state: State, data: DataSet, recipe: Recipe, epochs: int, device: torch.device, group: Group
) -> Iterator[Batch]:
    """What this process takes of every step of an epoch. Targets are (N, classes) where pictures are mixed."""
    size = recipe.train_size(data.train.pixels.shape[1:3], state.epoch, epochs)
    augment = make_augment(recipe.augmentation, group.own_seed(recipe.seed), state.steps, size)
    for pixels, targets, weight in one_ahead(_picked(data.train, recipe, state.epoch, device, group)):
        changed = augment(pixels.to(device, non_blocking=True))
        wanted = targets.to(device, non_blocking=True)
        yield *mix(changed, wanted, recipe.mixup, recipe.cutmix, len(data.labels)), weight


def _picked(pictures: Pictures, recipe: Recipe, epoch: int, device: torch.device, group: Group) -> Iterator[Batch]:
    """The pictures of each step as they are, from where a GPU copies them beside its work.

    The order is a new one each epoch and the same in every process; the rest after whole batches is left out. By their
    weights the processes' losses have the mean of the whole batch, also where it has no equal shares.
    """
    count = len(pictures.targets)
    order = np.random.default_rng((recipe.seed, epoch)).permutation(count)
    for step in range(recipe.steps_per_epoch(count)):
        chosen = order[step * recipe.batch : (step + 1) * recipe.batch]
        mine = group.share(chosen)
        pixels, targets = torch.from_numpy(pictures.pixels[mine]), torch.from_numpy(pictures.targets[mine])
        if device.type == "cuda":
            pixels, targets = pixels.pin_memory(), targets.pin_memory()
        yield pixels, targets, len(mine) * group.size / len(chosen)


def _sample(pictures: Pictures) -> Pictures:
    """Pictures evenly spaced over all of them."""
    count = len(pictures.targets)
    return pictures.take(np.linspace(0, count - 1, min(_COMPARED, count)).astype(np.int64))


def _measure(state: State, pictures: Pictures, group: Group) -> tuple[float, float]:
    """Cross-entropy in nats and accuracy, 0 to 1, of the averaged weights on pictures as they are."""
    mine = group.share(np.arange(len(pictures.targets)))
    targets = pictures.targets[mine]
    _, logits = predict(state.average, pictures.pixels[mine])
    loss = cross_entropy(torch.from_numpy(logits), torch.from_numpy(targets), reduction="sum").item()
    right = float((logits.argmax(1) == targets).sum())
    return group.total(loss) / len(pictures.targets), group.total(right) / len(pictures.targets)
