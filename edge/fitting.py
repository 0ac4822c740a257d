"""Which look suits a camera's pictures: the one in force, unless another is clearly better.

With labels, their likelihood decides. Without, or where few labels prove nothing, the mutual information of picture and
answer does, among the looks that make the pictures ordinary: a wrong one can scatter the pictures of one class and so
seem to tell much.
"""

from typing import Callable, List, NamedTuple, Optional

import numpy as np

from edge.backbone import Backbone, features_of, strangeness
from edge.base import base_head
from edge.head import probabilities
from edge.look import Look, apart, apply_table, beside, candidates

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


def answers_of(backbone: Backbone) -> Callable[[np.ndarray], Answers]:
    """What the release's own network answers to pixels (N, H, W, channels) uint8 as a table gives them."""
    head = base_head(backbone.base, backbone.labels)

    def answer(pixels: np.ndarray) -> Answers:
        features = features_of(backbone, pixels)
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
    own = apart(present)
    answers = [answer(apply_table(pixels, present.tables[0]))]
    odd = _odd_ones(answers[0].strangeness)
    looks = _distinct(own + candidates(pixels) + (candidates(pixels[odd]) if odd.any() else []))
    for look in looks[1:]:
        answers.append(answer(apply_table(pixels, look.tables[0])))
        progress(len(answers), len(looks))
    alone = [_Tried(look, each) for look, each in zip(looks, answers)]
    before = alone[0] if len(own) == 1 else _side_by_side(alone[0], alone[1])._replace(look=present)
    rivals = [_side_by_side(alone[0], other) for other in alone[1:]] if odd.any() else alone
    if targets is None:
        return _by_information(rivals, before)
    choice = _by_labels(rivals, before, targets)
    if choice.changed:
        return choice
    least = _likelihood(before, targets)
    second = _by_information([tried for tried in rivals if _likelihood(tried, targets) >= least], before)
    return second if second.changed else choice


def _by_labels(rivals: List[_Tried], before: _Tried, targets: np.ndarray) -> LookChoice:
    best = max([before] + rivals, key=lambda tried: _likelihood(tried, targets))
    score, old_score = _likelihood(best, targets), _likelihood(before, targets)
    gain, refusal = score - old_score, ""
    if gain < _LEAST_GAIN or gain * len(targets) < np.log(len(rivals)) + 2:  # the best of many is lucky by their log
        refusal = "{} labelled pictures do not prove so small a gain".format(len(targets))
    return _choice(best, before, score, old_score, refusal)


def _by_information(rivals: List[_Tried], before: _Tried) -> LookChoice:
    rivals = [before] + rivals
    strange = np.array([tried.answers.strangeness.mean() for tried in rivals])
    told = np.array([_information(tried) for tried in rivals])
    at = int(np.argmax(np.where(strange <= _STRANGER * strange.min(), told, -1.0)))
    count, classes = before.answers.probabilities.shape
    most, refusal = np.log(min(count, classes)), ""
    if count < FEWEST_UNLABELLED:
        refusal = "{} unlabelled pictures are too few, {} are needed".format(count, FEWEST_UNLABELLED)
    elif told[at] < _LEAST_TOLD * most:
        refusal = "the answers are too alike or too unsure: show pictures of more classes, or give labels"
    elif told[at] - told[0] < _MORE_TOLD * most:
        refusal = "that is too little gain"
    elif strange[at] > strange[0]:
        refusal = "that makes the pictures less like those of the training: give labels"
    return _choice(rivals[at], before, float(told[at]), float(told[0]), refusal)


def _choice(best: _Tried, before: _Tried, score: float, old_score: float, refusal: str) -> LookChoice:
    why = "{}: {:.2f} nats a picture, {}: {:.2f}".format(best.look.name, score, before.look.name, old_score)
    if refusal:
        return LookChoice(before.look, False, old_score, old_score, "{}; {}".format(why, refusal))
    return LookChoice(best.look, True, score, old_score, why)


def _odd_ones(strangeness: np.ndarray) -> np.ndarray:
    """(N,): which pictures are so much stranger than the others that they are of another look; none, mostly."""
    odd = strangeness > (strangeness.min() + strangeness.max()) / 2
    return odd & (strangeness[odd].mean() > _APART * strangeness[~odd].mean()) if odd.any() else odd


def _distinct(looks: List[Look]) -> List[Look]:
    seen = {look.tables.tobytes(): look for look in reversed(looks)}  # the first of equal ones stays
    return [look for look in looks if seen[look.tables.tobytes()] is look]


def _side_by_side(one: _Tried, other: _Tried) -> _Tried:
    """Both tables, each for the pictures that it makes more ordinary, as edge.backbone.seen has it."""
    swap = other.answers.strangeness < one.answers.strangeness
    answers = Answers(
        np.where(swap[:, np.newaxis], other.answers.probabilities, one.answers.probabilities),
        np.where(swap, other.answers.strangeness, one.answers.strangeness),
    )
    return _Tried(beside(one.look, other.look), answers)


def _likelihood(tried: _Tried, targets: np.ndarray) -> float:
    """The mean log likelihood of the labels, columns (N,)."""
    picked = tried.answers.probabilities[np.arange(len(targets)), targets].astype(np.float64)
    return float(np.log(np.maximum(picked, _SURPRISE)).mean())


def _information(tried: _Tried) -> float:
    """H(mean p) - mean H(p): high for answers that are sure, and differ."""
    found = tried.answers.probabilities.astype(np.float64)
    return float(_entropy(found.mean(axis=0)) - _entropy(found).mean())


def _entropy(probabilities: np.ndarray) -> np.ndarray:
    return -(probabilities * np.log(np.maximum(probabilities, 1e-12))).sum(axis=-1)
