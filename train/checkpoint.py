"""The state of a training after an epoch, and the one file from which it is resumed."""

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.swa_utils import AveragedModel

from edge.contract.errors import FormatError
from train.tensors import check_tensors, read_tensors, write_tensors

_COUNTS = {"steps": int, "rate": float, "pieces": int, "first_step_seconds": float}  # of a State


@dataclass(frozen=True)
class EpochMetrics:
    """A line of metrics.jsonl."""

    epoch: int  # from 1
    loss: float  # mean over the epoch's steps: what is minimised, on changed pictures, with the weights of each step
    learning_rate: float  # of the last step
    # of the averaged weights, on pictures as they are: cross-entropy in nats, and accuracy, 0 to 1
    train_loss: float  # on a sample of the training pictures
    train_accuracy: float
    val_loss: float
    val_accuracy: float
    seconds: float  # of training so far, interruptions left out
    images_per_second: float  # of the epoch's steps, measuring left out
    data_share: float  # of the time of these steps, 0 to 1: picking, changing and sending pictures


@dataclass
class State:
    network: nn.Module
    average: AveragedModel
    optimizer: Optimizer
    scaler: torch.amp.GradScaler  # of the loss, for gradients in float16
    wrapped: nn.Module  # what a step runs: the network, or what shares its gradients with other processes
    began: float  # time.monotonic() when this process began
    metrics: list[EpochMetrics] = field(default_factory=list)
    steps: int = 0  # taken, those of an epoch that is not done among them
    rate: float = 1.0  # times the recipe's learning rate: halved whenever the training diverged
    pieces: int = 1  # in which a batch goes through the network: doubled whenever GPU memory ran out
    first_step_seconds: float = 0.0  # from the beginning to the end of the first step, 0 before it

    @property
    def epoch(self) -> int:
        """Epochs done."""
        return len(self.metrics)

    @property
    def seconds(self) -> float:
        return self.metrics[-1].seconds if self.metrics else 0.0

    def stalled(self, patience: int) -> bool:
        """Whether the loss on val has been no lower than before for so many epochs; never for 0."""
        losses = [metrics.val_loss for metrics in self.metrics]
        return bool(patience and losses and self.epoch - 1 - losses.index(min(losses)) >= patience)

    def tensors(self) -> dict[str, Tensor]:
        """Weights and buffers of the network and of its average."""
        modules = {"network": self.network, "average": self.average}
        return {f"{part}.{name}": t for part, module in modules.items() for name, t in module.state_dict().items()}


def write_checkpoint(path: Path, state: State) -> None:
    """After a whole epoch."""
    history = json.dumps([asdict(metrics) for metrics in state.metrics])
    counts = json.dumps({name: getattr(state, name) for name in _COUNTS})
    tensors = state.tensors() | _optimizer_tensors(state.optimizer)
    write_tensors(path, tensors, {"metrics": history, "counts": counts})


def read_checkpoint(path: Path, state: State) -> None:
    """Puts what `write_checkpoint` wrote into a fresh state. Raises FormatError if it does not fit."""
    found, metadata = read_tensors(path)
    weights = state.tensors()
    check_tensors(found, weights | _expected_optimizer_tensors(state), path)
    try:
        state.metrics = [EpochMetrics(**line) for line in json.loads(metadata["metrics"])]
        counts = json.loads(metadata["counts"])
        for name, kind in _COUNTS.items():
            setattr(state, name, kind(counts[name]))
        if [metrics.epoch for metrics in state.metrics] != list(range(1, state.epoch + 1)):
            raise ValueError("epochs out of order")
    except (KeyError, TypeError, ValueError):
        raise FormatError(f"{path} lacks its metrics", "the file that `edgewise train` wrote", "train again") from None
    with torch.no_grad():
        for name, tensor in weights.items():
            tensor.copy_(found[name])
    moments: dict[int, dict[str, Tensor]] = {}
    for name in found.keys() - weights.keys():
        _, index, key = name.split(".")
        moments.setdefault(int(index), {})[key] = found[name]
    groups = state.optimizer.state_dict()["param_groups"]
    state.optimizer.load_state_dict({"state": moments, "param_groups": groups})


def _optimizer_tensors(optimizer: Optimizer) -> dict[str, Tensor]:
    state = optimizer.state_dict()["state"]
    return {f"optimizer.{i}.{key}": tensor for i, moments in state.items() for key, tensor in moments.items()}


def _expected_optimizer_tensors(state: State) -> dict[str, Tensor]:
    """What `_optimizer_tensors` gives once the optimizer has taken a step: names, shapes and types."""
    expected: dict[str, Tensor] = {}
    index = 0
    for group in state.optimizer.param_groups:
        for parameter in group["params"]:
            if isinstance(state.optimizer, torch.optim.AdamW):
                moments = {"step": torch.tensor(0.0), "exp_avg": parameter, "exp_avg_sq": parameter}
            else:
                moments = {"momentum_buffer": parameter} if group["momentum"] else {}
            expected.update({f"optimizer.{index}.{key}": tensor for key, tensor in moments.items()})
            index += 1
    return expected
