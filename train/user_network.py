"""A user's own network, by the name `package.module:function`: imported, built and checked before it is used.

The function gets (channels, classes) and gives an nn.Module whose forward maps (N, channels, H, W) float32 to
(features (N, D), logits (N, classes)), both float32. Naming it runs its code, as a run folder that names it does.
"""

import importlib
import sys
from pathlib import Path

import torch
from torch import Tensor, nn

from edge.contract.errors import UsageError

MAX_FEATURES = 8192  # edge.contract.spec's bound
_EXPECTED = "package.module:function, which gives an nn.Module for (channels, classes)"


def build(name: str, channels: int, classes: int, size: tuple[int, int]) -> nn.Module:
    """The network, which has taken a batch of zeros of `size` (height, width). Raises UsageError that names the fault.

    Modules are looked for where Python does, and in the current folder.
    """
    module, _, function = name.partition(":")
    here = str(Path.cwd())
    sys.path.append(here)
    try:
        network = getattr(importlib.import_module(module), function)(channels, classes)
    except Exception as error:  # noqa: BLE001 # it is the user's code, and may raise anything
        raise _refusal(name, f"does not give a network ({_reason(error)})") from None
    finally:
        sys.path.remove(here)
    if not isinstance(network, nn.Module):
        raise _refusal(name, f"gives {type(network).__name__}, no nn.Module")
    _check_form(name, network, channels, classes, size)
    return network


def _check_form(name: str, network: nn.Module, channels: int, classes: int, size: tuple[int, int]) -> None:
    was_training = network.training
    try:
        with torch.no_grad():
            outputs = network.eval()(torch.zeros(2, channels, *size))
    except Exception as error:  # noqa: BLE001 # it is the user's code, and may raise anything
        raise _refusal(name, f"fails on a batch of shape {(2, channels, *size)} ({_reason(error)})") from None
    network.train(was_training)
    if not isinstance(outputs, tuple) or len(outputs) != 2 or not all(isinstance(v, Tensor) for v in outputs):
        raise _refusal(name, "gives something else than two tensors, (features, logits)")
    shapes = [tuple(v.shape) for v in outputs]
    fits = len(shapes[0]) == 2 and shapes[0][0] == 2 and 1 <= shapes[0][1] <= MAX_FEATURES and shapes[1] == (2, classes)
    if not fits or any(v.dtype != torch.float32 for v in outputs):
        wanted = f"features (2, 1 to {MAX_FEATURES}) and logits (2, {classes}), float32"
        raise _refusal(name, f"gives {shapes[0]} and {shapes[1]} for two pictures, not {wanted}")


def _reason(error: Exception) -> str:
    lines = str(error).splitlines()
    return f"{type(error).__name__}: {lines[0]}" if lines else type(error).__name__


def _refusal(name: str, what: str) -> UsageError:
    return UsageError(f"the network {name!r} {what}", _EXPECTED, "check the name and the function")
