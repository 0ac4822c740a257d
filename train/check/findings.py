"""What is to be looked at in a data set before it is trained on."""

import itertools
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from train.check.features import Features
from train.check.sideways import WAYS, Sideways, sideways
from train.check.survey import Seen, Survey, survey
from train.check.suspects import Suspect, suspects
from train.check.twins import groups
from train.raw import RawData

FEW = 10  # pictures of a class for training: below it nothing can be learnt safely
UNEVEN = 10.0  # times as many pictures of one class as of another
_MOST_VIEWED = 5000  # pictures, spread over all, whose four views are compared: each takes as long as its label does
_TURNED_SIDE = 128  # pixels: four views at it cost as much as one at 224, and tell as well which way is up

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
    sideways: tuple[Sideways, ...]  # by row of survey.pictures
    viewed: int  # of how many pictures it was asked which way up they are
    judged_by: str  # what made the features that suspects rest on, and what lies on its side

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
    features, views = Features(), Features(_TURNED_SIDE, WAYS)
    every = -(-sum(len(part.targets) for part in raw.parts.values()) // _MOST_VIEWED)
    numbers = itertools.count()

    def see(pixels: NDArray[np.uint8]) -> None:
        features.see(pixels)
        if next(numbers) % every == 0:
            views.see(pixels)

    found = survey(raw, see, lambda done, of: progress("pictures", done, of))
    lying = sideways(views.all(), lambda done, of: progress("upright", done, of))
    targets = np.array([seen.target for seen in found.pictures], np.int64)
    groups_found = [tuple(found.pictures[i] for i in group) for group in groups(found.pictures)]
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
        suspects=tuple(suspects(features.all(), targets)),
        sideways=tuple(replace(each, picture=each.picture * every) for each in lying),
        viewed=len(range(0, len(found.pictures), every)),
        judged_by=features.made_by,
    )


def _counts(pictures: tuple[Seen, ...], part: str, labels: int) -> NDArray[np.int64]:
    return np.bincount([seen.target for seen in pictures if seen.part == part], minlength=labels).astype(np.int64)
