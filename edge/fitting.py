"""Which look suits a camera's pictures: the one in force, unless another is clearly better.

With labels, their likelihood decides. Without, the mutual information of picture and answer does, among the looks that
make the pictures ordinary: a wrong one can scatter the pictures of one class and so seem to tell much.
"""

from typing import Callable, List, NamedTuple, Optional

import numpy as np

from edge.backbone import Backbone, features_of, strangeness
from edge.base import base_head
from edge.head import probabilities
from edge.look import Look, apply_table, beside, candidates, identity

FEWEST_UNLABELLED = 8
# Shares of the most that the pictures can tell, log(classes): what pictures of one class do not reach, and what chance
# does not bring
_LEAST_TOLD, _MORE_TOLD = 0.35, 0.05
_STRANGER = 1.3  # times as strange as the most ordinary look makes the pictures: a look that is none of theirs
_LEAST_GAIN = 0.05  # nats a labelled picture
_SURPRISE = 1e-3  # one picture that is certainly wrong shall not outweigh all others
_APART = 4.0  # times as strange as the others: pictures that another look is for


class Answers(NamedTuple):
    """What the network makes of N pictures."""

    probabilities: np.ndarray  # (N, C)
    strangeness: np.ndarray  # (N,): about 1 for pictures like those of the training


class LookChoice(NamedTuple):
    """Scores are in nats a picture: the log likelihood of labels or, without labels, the mutual information."""

    look: Look
    changed: bool
    score: float
    present_score: float  # of the look that was in force
    why: str  # for a person


class _Tried(NamedTuple):
    look: Look
    answers: Answers
    score: float


def answers_of(backbone: Backbone) -> Callable[[np.ndarray], Answers]:
    """What the release's own network answers to pixels (N, H, W, channels) uint8 as a table gives them."""
    head, unchanged = base_head(backbone.base, backbone.labels), identity(backbone.spec.channels)

    def answer(seen: np.ndarray) -> Answers:
        features = features_of(backbone, seen, unchanged)
        return Answers(probabilities(head, features), strangeness(backbone, features))

    return answer


def fit_look(
    pixels: np.ndarray,
    targets: Optional[np.ndarray],
    answer: Callable[[np.ndarray], Answers],
    present: Look,
    progress: Callable[[int, int], None],
) -> LookChoice:
    """The look that suits pixels (N, H, W, channels) uint8, N at least 1: `present` unless another is clearly better.

    targets: (N,) whole numbers, columns of the probabilities that `answer` gives for pixels, or None. `progress` hears
    how many tables of how many were tried. Where the pictures fall apart into ordinary and strange ones, no one table
    suits them all, and the first in force stays, with another beside it.
    """
    own = [Look(present.name, table[np.newaxis]) for table in present.tables]
    answers = [answer(apply_table(pixels, present.tables[0]))]
    odd = _odd_ones(answers[0].strangeness)
    looks = _distinct(own + candidates(pixels) + (candidates(pixels[odd]) if odd.any() else []))
    for look in looks[1:]:
        answers.append(answer(apply_table(pixels, look.tables[0])))
        progress(len(answers), len(looks))
    alone = [_tried(look, each, targets) for look, each in zip(looks, answers)]
    before = alone[0] if len(own) == 1 else _side_by_side(alone[0], alone[1], targets)._replace(look=present)
    rivals = [_side_by_side(alone[0], other, targets) for other in alone[1:]] if odd.any() else alone
    best = _best(rivals + [before], targets is not None)
    refusal = _refusal(best, before, len(looks), targets is not None)
    why = "{}: {:.2f} nats a picture, {}: {:.2f}".format(best.look.name, best.score, present.name, before.score)
    if refusal:
        return LookChoice(present, False, before.score, before.score, "{}; {}".format(why, refusal))
    return LookChoice(best.look, True, best.score, before.score, why)


def _odd_ones(strangeness: np.ndarray) -> np.ndarray:
    """(N,): which pictures are so much stranger than the others that they are of another look; none, mostly."""
    odd = strangeness > (strangeness.min() + strangeness.max()) / 2
    return odd & (strangeness[odd].mean() > _APART * strangeness[~odd].mean()) if odd.any() else odd


def _distinct(looks: List[Look]) -> List[Look]:
    seen = {look.tables.tobytes(): look for look in reversed(looks)}  # the first of equal ones stays
    return [look for look in looks if seen[look.tables.tobytes()] is look]


def _tried(look: Look, answers: Answers, targets: Optional[np.ndarray]) -> _Tried:
    score = _information(answers.probabilities) if targets is None else _likelihood(answers.probabilities, targets)
    return _Tried(look, answers, score)


def _side_by_side(one: _Tried, other: _Tried, targets: Optional[np.ndarray]) -> _Tried:
    """Both tables, each for the pictures that it makes more ordinary, as edge.backbone sees them."""
    swap = other.answers.strangeness < one.answers.strangeness
    answers = Answers(
        np.where(swap[:, np.newaxis], other.answers.probabilities, one.answers.probabilities),
        np.where(swap, other.answers.strangeness, one.answers.strangeness),
    )
    return _tried(beside(one.look, other.look), answers, targets)


def _likelihood(probabilities: np.ndarray, targets: np.ndarray) -> float:
    """probabilities: (N, C), targets: (N,). Returns the mean log likelihood of the labels."""
    picked = probabilities[np.arange(len(targets)), targets].astype(np.float64)
    return float(np.log(np.maximum(picked, _SURPRISE)).mean())


def _information(probabilities: np.ndarray) -> float:
    """probabilities: (N, C). Returns H(mean p) - mean H(p): high for answers that are sure, and differ."""
    found = probabilities.astype(np.float64)
    return float(_entropy(found.mean(axis=0)) - _entropy(found).mean())


def _entropy(probabilities: np.ndarray) -> np.ndarray:
    return -(probabilities * np.log(np.maximum(probabilities, 1e-12))).sum(axis=-1)


def _best(rivals: List[_Tried], labelled: bool) -> _Tried:
    if not labelled:
        strange = [tried.answers.strangeness.mean() for tried in rivals]
        rivals = [tried for tried, its in zip(rivals, strange) if its <= _STRANGER * min(strange)]
    return max(rivals, key=lambda tried: tried.score)


def _refusal(best: _Tried, now: _Tried, tried: int, labelled: bool) -> str:
    """Why the pictures do not prove that the best of so many is better than what there is, or nothing."""
    if best.score <= now.score:
        return "no other look is better"
    count, classes = best.answers.probabilities.shape
    gain = best.score - now.score
    if labelled:
        if gain < _LEAST_GAIN or gain * count < np.log(tried) + 2:  # the best of many is lucky by their log
            return "{} labelled pictures do not prove so small a gain".format(count)
        return ""
    if count < FEWEST_UNLABELLED:
        return "{} unlabelled pictures are too few, {} are needed".format(count, FEWEST_UNLABELLED)
    most = np.log(min(count, classes))
    if best.score < _LEAST_TOLD * most:
        return "the answers are too alike or too unsure: show pictures of more classes, or give labels"
    if gain < _MORE_TOLD * most:
        return "that is too little gain"
    if best.answers.strangeness.mean() > now.answers.strangeness.mean():
        return "that makes the pictures less like those of the training: give labels"
    return ""
