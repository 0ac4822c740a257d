"""Tensors on disk: whole safetensors files, never pickle, and nothing loaded that does not fit exactly."""

from collections.abc import Mapping
from pathlib import Path

import safetensors
import safetensors.torch
from torch import Tensor

from edge.contract.errors import FormatError
from edge.contract.files import write_whole


def write_tensors(path: Path, tensors: Mapping[str, Tensor], metadata: Mapping[str, str] | None = None) -> None:
    dense = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    write_whole(str(path), safetensors.torch.save(dense, dict(metadata) if metadata else None))


def read_tensors(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    """The tensors by name, and the metadata. Raises FormatError if the file is missing or no safetensors file."""
    try:
        with safetensors.safe_open(str(path), framework="pt") as file:
            return {name: file.get_tensor(name) for name in file.keys()}, dict(file.metadata() or {})  # noqa: SIM118
    except (OSError, safetensors.SafetensorError) as error:
        reason = "is missing" if isinstance(error, FileNotFoundError) else f"cannot be read ({error})"
        raise FormatError(f"{path} {reason}", "the file that `edgewise train` wrote", "train again") from None


def check_tensors(found: Mapping[str, Tensor], expected: Mapping[str, Tensor], path: Path) -> None:
    """Raises FormatError unless names, shapes and types are the same and every number is finite."""
    if set(found) != set(expected):
        odd = sorted(set(found) ^ set(expected))[0]
        what = "lacks" if odd in expected else "has a foreign"
        raise FormatError(f"{path} {what} tensor {odd!r}", f"the {len(expected)} of its network", "train again")
    for name, tensor in expected.items():
        if found[name].shape != tensor.shape or found[name].dtype != tensor.dtype:
            raise FormatError(
                f"{path}: {name} is {found[name].dtype} {tuple(found[name].shape)}",
                f"{tensor.dtype} {tuple(tensor.shape)}",
                "train again",
            )
        if not found[name].isfinite().all():
            raise FormatError(f"{path}: {name} has a number that is not finite", "finite weights", "train again")
