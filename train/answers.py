"""answers.safetensors: what a trained network says of every val and test picture, for the report and for `compare`."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from edge.contract.errors import FormatError
from train.tensors import read_tensors, write_tensors

ANSWERS = "answers.safetensors"
_PARTS = ("val", "test")


@dataclass(frozen=True)
class Answers:
    targets: NDArray[np.int64]  # (N,), indices into the labels
    logits: NDArray[np.float32]  # (N, classes)

    @property
    def chosen(self) -> NDArray[np.int64]:
        """(N,), indices into the labels."""
        return np.asarray(self.logits.argmax(1))

    @property
    def right(self) -> NDArray[np.bool_]:
        """(N,)"""
        return np.asarray(self.chosen == self.targets)

    @property
    def accuracy(self) -> float:
        """The share of right ones, 0 to 1."""
        return float(self.right.mean())

    @property
    def probabilities(self) -> NDArray[np.float64]:
        """(N, classes), the softmax of the logits."""
        powers = np.exp(self.logits - self.logits.max(1, keepdims=True).astype(np.float64))
        return np.asarray(powers / powers.sum(1, keepdims=True))


def write_answers(folder: Path, answers: Mapping[str, Answers]) -> None:
    """answers: by part, val and test."""
    tensors = {}
    for part in _PARTS:
        tensors[f"{part}.targets"] = torch.from_numpy(answers[part].targets.copy())  # two parts may share memory
        tensors[f"{part}.logits"] = torch.from_numpy(answers[part].logits)
    write_tensors(folder / ANSWERS, tensors)


def read_answers(folder: Path, classes: int) -> dict[str, Answers]:
    """What `write_answers` wrote, by part. Raises FormatError for a file that is missing, damaged or another's."""
    found, _ = read_tensors(folder / ANSWERS)
    try:
        answers = {p: Answers(found[f"{p}.targets"].numpy(), found[f"{p}.logits"].numpy()) for p in _PARTS}
        fits = all(_fits(its, classes) for its in answers.values())
    except KeyError:
        fits = False
    if not fits:
        expected = f"a target and {classes} logits for each val and test picture"
        raise FormatError(f"{folder / ANSWERS} is damaged", expected, "run `edgewise train --resume` on that folder")
    return answers


def _fits(answers: Answers, classes: int) -> bool:
    targets, logits = answers.targets, answers.logits
    if targets.dtype != np.int64 or logits.dtype != np.float32 or targets.ndim != 1 or not len(targets):
        return False
    in_range = targets.min() >= 0 and targets.max() < classes
    return bool(logits.shape == (len(targets), classes) and in_range and np.isfinite(logits).all())
