"""What answers are worth: class by class, and against what they claim of themselves."""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from edge.enough import wilson
from train.answers import Answers

_BINS = 15  # of probability, as Guo et al. have them


@dataclass(frozen=True)
class Share:
    hits: int
    of: int  # may be 0, and then nothing is known

    @property
    def share(self) -> float:
        return self.hits / self.of if self.of else float("nan")

    @property
    def interval(self) -> tuple[float, float]:
        """Wilson's, 95 %."""
        return wilson(self.hits, self.of) if self.of else (0.0, 1.0)

    def __str__(self) -> str:
        """In percent."""
        if not self.of:
            return "none"
        low, high = self.interval
        return f"{100 * self.share:.1f} % ({100 * low:.1f} to {100 * high:.1f})"


class ClassScore(NamedTuple):
    recall: Share  # of the pictures of the class, those that are called so
    precision: Share  # of the pictures that are called so, those of the class


class Bin(NamedTuple):
    low: float  # of the probability of the answer; the interval's end belongs to it
    high: float
    pictures: int
    probability: float  # the mean of the answers'
    accuracy: float  # the share of right ones


@dataclass(frozen=True)
class Calibration:
    """Whether answers are right as often as their probability says (Guo et al. 2017, arXiv 1706.04599)."""

    error: float  # the expected calibration error: |probability - accuracy| of the bins, weighted by their pictures
    bins: tuple[Bin, ...]  # those that have pictures
    probability: float  # the mean of the answers'
    accuracy: float


def class_scores(answers: Answers) -> list[ClassScore]:
    """One a class, in the order of the labels."""
    classes = answers.logits.shape[1]
    targets, chosen = (np.bincount(found, minlength=classes) for found in (answers.targets, answers.chosen))
    right = np.bincount(answers.targets[answers.right], minlength=classes)
    rows = zip(right.tolist(), targets.tolist(), chosen.tolist(), strict=True)
    return [ClassScore(Share(hits, pictures), Share(hits, called)) for hits, pictures, called in rows]


def calibration(answers: Answers) -> Calibration:
    probability, right = answers.probabilities.max(1), answers.right
    edges = np.linspace(0, 1, _BINS + 1)
    where = np.clip(np.digitize(probability, edges, right=True) - 1, 0, _BINS - 1)
    bins = []
    for i in range(_BINS):
        its = where == i
        if its.any():
            means = float(probability[its].mean()), float(right[its].mean())
            bins.append(Bin(float(edges[i]), float(edges[i + 1]), int(its.sum()), *means))
    error = sum(b.pictures * abs(b.probability - b.accuracy) for b in bins) / len(right)
    return Calibration(error, tuple(bins), float(probability.mean()), float(right.mean()))
