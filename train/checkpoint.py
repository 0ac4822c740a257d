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


@dataclass(frozen=True)
class EpochMetrics:
    """A line of metrics.jsonl."""

    epoch: int  # from 1
    loss: float  # mean over the epoch's steps
    learning_rate: float  # of the last step
    val_accuracy: float  # 0 to 1, of the averaged weights
    seconds: float  # of training so far, interruptions left out


@dataclass
class State:
    network: nn.Module
    average: AveragedModel
    optimizer: Optimizer
    metrics: list[EpochMetrics] = field(default_factory=list)

    @property
    def epoch(self) -> int:
        """Epochs done."""
        return len(self.metrics)

    @property
    def seconds(self) -> float:
        return self.metrics[-1].seconds if self.metrics else 0.0


def write_checkpoint(path: Path, state: State) -> None:
    history = json.dumps([asdict(metrics) for metrics in state.metrics])
    write_tensors(path, _weights(state) | _optimizer_tensors(state.optimizer), {"metrics": history})


def read_checkpoint(path: Path, state: State) -> None:
    """Puts what `write_checkpoint` wrote into a fresh state. Raises FormatError if it does not fit."""
    found, metadata = read_tensors(path)
    weights = _weights(state)
    check_tensors(found, weights | _expected_optimizer_tensors(state), path)
    try:
        state.metrics = [EpochMetrics(**line) for line in json.loads(metadata["metrics"])]
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


def _weights(state: State) -> dict[str, Tensor]:
    modules = {"network": state.network, "average": state.average}
    return {f"{part}.{name}": t for part, module in modules.items() for name, t in module.state_dict().items()}


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
