"""What is to be looked at in a data set before it is trained on."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from edge.contract.spec import ModelSpec
from edge.preprocess import prepare
from train.check.survey import Seen, Survey, survey
from train.check.suspects import Suspect, suspects
from train.check.twins import groups
from train.network import build_network, to_input
from train.pretrained import has_weights, load_pretrained
from train.raw import RawData

FEW = 10  # pictures of a class for training: below it nothing can be learnt safely
UNEVEN = 10.0  # times as many pictures of one class as of another
_NETWORK, _SIDE, _BATCH = "efficientnet-lite0", 224, 16
_PLAIN_SIDE = 32  # of the pixels that stand for features where there are no ImageNet weights

Progress = Callable[[str, int, int], None]


@dataclass(frozen=True)
class Findings:
    source: str
    labels: tuple[str, ...]
    counts: dict[str, NDArray[np.int64]]  # by part: readable pictures of each label
    survey: Survey
    copies: tuple[tuple[Seen, ...], ...]  # groups within one part and one class
    leaks: tuple[tuple[Seen, ...], ...]  # groups in more than one part
    contradictions: tuple[tuple[Seen, ...], ...]  # groups with more than one label
    suspects: tuple[Suspect, ...]  # by row of survey.pictures
    judged_by: str  # what made the features that suspects rest on

    @property
    def thin(self) -> tuple[str, ...]:
        """Labels with fewer than FEW pictures to train on."""
        return tuple(label for label, n in zip(self.labels, self.counts["train"], strict=True) if n < FEW)

    @property
    def unevenness(self) -> float:
        """How many times as many training pictures the largest class has as the smallest."""
        counts = self.counts["train"]
        return float(counts.max() / max(1, counts.min()))


def look_through(raw: RawData, progress: Progress) -> Findings:
    """Reads all pictures, finds copies and puts every picture through a network to find labels that do not fit."""
    found = survey(raw, lambda done, of: progress("pictures", done, of))
    targets = np.array([seen.target for seen in found.pictures], np.int64)
    groups_found = [tuple(found.pictures[i] for i in group) for group in groups(found.pictures)]
    features, judged_by = _features(raw, found.pictures, lambda done, of: progress("labels", done, of))
    leaks = [group for group in groups_found if len({seen.part for seen in group}) > 1]
    contradictions = [group for group in groups_found if len({seen.target for seen in group}) > 1]
    return Findings(
        source=raw.source,
        labels=raw.labels,
        counts={part: _counts(found.pictures, part, len(raw.labels)) for part in raw.parts},
        survey=found,
        copies=tuple(group for group in groups_found if group not in leaks and group not in contradictions),
        leaks=tuple(leaks),
        contradictions=tuple(contradictions),
        suspects=tuple(suspects(features, targets)),
        judged_by=judged_by,
    )


def _counts(pictures: tuple[Seen, ...], part: str, labels: int) -> NDArray[np.int64]:
    return np.bincount([seen.target for seen in pictures if seen.part == part], minlength=labels).astype(np.int64)


@torch.no_grad()
def _features(
    raw: RawData, pictures: tuple[Seen, ...], progress: Callable[[int, int], None]
) -> tuple[NDArray[np.float32], str]:
    """(N, D) of every picture, and what made them: ImageNet's network, or the pixels where its weights are missing."""
    has_network = has_weights(_NETWORK)
    side = _SIDE if has_network else _PLAIN_SIDE
    spec = ModelSpec("", side, side, 3, 1, len(raw.labels))
    network = build_network(_NETWORK, 3, 1000, (side, side)) if has_network else None
    if network is not None:
        load_pretrained(network, _NETWORK)
        network.eval()
    parts = []
    for start in range(0, len(pictures), _BATCH):
        batch = pictures[start : start + _BATCH]
        pixels = np.stack([prepare(raw.parts[seen.part].read(seen.index), spec) for seen in batch])
        values = to_input(torch.from_numpy(pixels))
        parts.append((network(values)[0] if network is not None else values.flatten(1)).numpy())
        progress(start + len(batch), len(pictures))
    judged_by = f"{_NETWORK} with ImageNet's weights" if has_network else "plain pixels"
    return np.concatenate(parts) if parts else np.empty((0, 1), np.float32), judged_by
