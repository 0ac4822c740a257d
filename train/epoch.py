"""One pass over the training pictures, and what the weights are worth after it.

All randomness comes from the seed and the count of epochs and steps, never from a running generator, so a resumed run
goes on with the same pictures in the same order without any generator's state.
"""

import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import cross_entropy

from train.augment import make_augment
from train.checkpoint import EpochMetrics, State
from train.data import DataSet, Pictures, Progress
from train.freeze import set_training
from train.mix import mix
from train.network import to_input
from train.predict import predict
from train.recipe import Recipe

_COMPARED = 256  # training pictures at most that the averaged weights are measured on, to see the gap to val


_RUNAWAY = 10  # times the loss of a guess: an epoch's mean loss above it is no state to go back to


class Diverged(Exception):
    """The loss, or a weight, is no longer finite, or the loss is far above that of a guess. Its text says where."""


def train_epoch(
    state: State,
    data: DataSet,
    recipe: Recipe,
    epochs: int,
    stop: Callable[[], bool],
    progress: Progress | None = None,
) -> EpochMetrics | None:
    """Takes an epoch's steps, which change `state`, and measures the averaged weights. None if `stop` cut it short.

    epochs: of the whole training. stop is asked before every step. Raises Diverged, or torch.OutOfMemoryError of a GPU:
    the state is then good for nothing.
    """
    started = time.monotonic()
    device = next(state.network.parameters()).device
    per_epoch = recipe.steps_per_epoch(len(data.train.targets))
    total = epochs * per_epoch
    augment = make_augment(recipe.augmentation, recipe.seed, state.steps)
    set_training(state.network, recipe.frozen_norms)
    losses = 0.0
    with _seeded(recipe.seed, state.epoch, device):
        for chosen in _batches(len(data.train.targets), recipe, state.epoch):
            if stop():
                return None
            rate = state.rate * learning_rate(recipe, state.steps, total)
            for group in state.optimizer.param_groups:
                group["lr"] = rate
            pixels = augment(torch.from_numpy(data.train.pixels[chosen]).to(device))
            targets = torch.from_numpy(data.train.targets[chosen]).to(device)
            mixed = mix(pixels, targets, recipe.mixup, recipe.cutmix, len(data.labels))
            losses += _step(state, recipe, *mixed)
            if progress:
                progress(state.steps, total)
    if not all(tensor.isfinite().all() for tensor in state.tensors().values()):
        raise Diverged(f"a weight became infinite in epoch {state.epoch + 1}")
    loss, guess = losses / per_epoch, math.log(len(data.labels))
    if loss > _RUNAWAY * guess:
        raise Diverged(f"the loss became {loss:.3g} in epoch {state.epoch + 1}, where a guess has {guess:.3g}")
    trained_on = _measure(state, _sample(data.train))
    held_out = _measure(state, data.val)
    seconds = state.seconds + time.monotonic() - started
    return EpochMetrics(state.epoch + 1, loss, rate, *trained_on, *held_out, seconds)


def _step(state: State, recipe: Recipe, pixels: Tensor, targets: Tensor) -> float:
    """One step of the optimizer and of the average. Returns the loss before it.

    targets: (N,), or (N, classes) shares. The batch goes through the network in `state.pieces`, whose gradients add up
    to those of the whole.
    """
    device = pixels.device
    autocast = torch.autocast(device.type, torch.bfloat16, enabled=recipe.amp and _has_bfloat16(device))
    state.optimizer.zero_grad()
    value = 0.0
    for part, wanted in zip(pixels.chunk(state.pieces), targets.chunk(state.pieces), strict=True):
        with autocast:
            _, logits = state.network(to_input(part))
            loss = cross_entropy(logits, wanted, label_smoothing=recipe.label_smoothing)
        loss = loss * (len(wanted) / len(targets))
        loss.backward()  # type: ignore[no-untyped-call]
        value += loss.item()
    if not math.isfinite(value):
        raise Diverged(f"the loss became {value} in epoch {state.epoch + 1}, step {state.steps + 1}")
    state.optimizer.step()
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


def _batches(pictures: int, recipe: Recipe, epoch: int) -> Iterator[NDArray[np.int64]]:
    """Indices of the pictures of every step of an epoch: a new order each, the rest after whole batches left out."""
    order = np.random.default_rng((recipe.seed, epoch)).permutation(pictures)
    for step in range(recipe.steps_per_epoch(pictures)):
        yield order[step * recipe.batch : (step + 1) * recipe.batch]


def _has_bfloat16(device: torch.device) -> bool:
    return device.type == "cuda" and torch.cuda.is_bf16_supported(including_emulation=False)


def _sample(pictures: Pictures) -> Pictures:
    """Pictures evenly spaced over all of them."""
    count = len(pictures.targets)
    return pictures.take(np.linspace(0, count - 1, min(_COMPARED, count)).astype(np.int64))


def _measure(state: State, pictures: Pictures) -> tuple[float, float]:
    """Cross-entropy in nats and accuracy, 0 to 1, of the averaged weights on pictures as they are."""
    _, logits = predict(state.average, pictures.pixels)
    loss = cross_entropy(torch.from_numpy(logits), torch.from_numpy(pictures.targets)).item()
    return loss, float((logits.argmax(1) == pictures.targets).mean())
