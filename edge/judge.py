"""How good a head would be, from scores of what it has not learnt: for known classes, taught ones, probabilities."""

from typing import NamedTuple, Sequence, Tuple

import numpy as np

from edge.head import softmax

_FREE_COST, MOST_COST = 0.01, 0.03  # of the known classes' accuracy, for the sake of the taught ones
_WORTH = 2.0  # what is lost of it beyond _FREE_COST must bring this much more in the harmonic mean with the taught ones
_SOFTNESS = 0.1  # of a one-hot score: a margin of this much counts as 73 % right
_SPACING = 2.0  # margins spread over about as much: of n rows, one in each of n parts of it
_TEMPERATURES = np.geomspace(0.02, 0.5, 48)


class Rows(NamedTuple):
    """What the scores are about: the `choose` sample of known classes first, then the examples, each left out."""

    targets: np.ndarray  # (N,) columns of the scores
    sampled: int  # rows of the sample
    known: int  # columns of known classes; the others are new


class Judgement(NamedTuple):
    """For each of O offsets, added to the scores of new classes."""

    kept: np.ndarray  # (O,) accuracy of the sample's classes, its rows counted as those between them would be
    served: np.ndarray  # (O,) harmonic mean of the soft accuracies of known classes and of new ones, see `_served`
    alone: float  # accuracy of the sample's classes if there were no new ones


def judge(scores: np.ndarray, rows: Rows, offsets: np.ndarray) -> Judgement:
    """scores: (N, C), offsets: (O,). Accuracies are means over classes, each weighing the same.

    Soft accuracy counts by margin, since a class of five examples has next to no wrong ones to count. What is kept does
    so, too, over no more than the distance from one row's margin to the next: of 75 rows a whole one is 1.3 points,
    and the offset that just spares it is no choice to trust.
    """
    margins = _margins(scores, rows, offsets)
    sample = slice(rows.sampled)
    targets, width = rows.targets[sample], min(_SOFTNESS, _SPACING / rows.sampled)
    alone = _margins(scores[sample, : rows.known], rows, np.zeros(1))
    return Judgement(
        kept=mean_of_classes(_soft(margins[sample], width), targets),
        served=_served(_soft(margins, _SOFTNESS), rows),
        alone=float(mean_of_classes(_soft(alone, width), targets)[0]),
    )


def _served(soft: np.ndarray, rows: Rows) -> np.ndarray:
    """What serves known and new classes alike, from how much of each row is right: (N, O) -> (O,).

    Corrections count with the known classes, together as much as the sample: counted with the new ones, those of five
    classes left one new class a sixth of the weight. Without new classes they are what the sample is weighed against.
    """
    parts = np.full(len(soft), 1)
    parts[: rows.sampled] = 0
    parts[rows.targets >= rows.known] = 2
    means = [mean_of_classes(soft[parts == part], rows.targets[parts == part]) for part in np.unique(parts)]
    known, other = sum(means[:-1]) / len(means[:-1]), means[-1]
    return 2 * known * other / (known + other)


def best_offset(judgements: Sequence[Judgement], largest_class: int) -> Tuple[int, int]:
    """Which of the judged scores, and which of their offsets, serves all best within what it may cost known classes.

    largest_class: examples of the new class that has most. A label with one example has nothing when it is left out,
    so it proves nothing that would be worth more than the free cost.
    """
    most_cost = MOST_COST if largest_class > 1 else _FREE_COST
    reference = max(judgement.alone for judgement in judgements)
    cost = reference - np.array([judgement.kept for judgement in judgements])
    merits = np.array([judgement.served for judgement in judgements]) - _WORTH * np.maximum(0.0, cost - _FREE_COST)
    merits = np.where(cost > most_cost, -1.0 - cost, merits)  # only where all cost more: the least
    best, at = np.unravel_index(np.argmax(merits), merits.shape)
    return int(best), int(at)


def best_temperature(scores: np.ndarray, targets: np.ndarray) -> float:
    """What to divide `scores` (N, C) by so that their softmax is likeliest.

    Every row weighs the same: were classes to weigh the same, five left-out examples would say as much as 75 pictures.
    """
    picked = np.arange(len(targets)), targets
    likelihoods = [np.log(np.maximum(softmax(scores / t)[picked], 1e-12)).mean() for t in _TEMPERATURES]
    return float(_TEMPERATURES[int(np.argmax(likelihoods))])


def mean_of_classes(values: np.ndarray, targets: np.ndarray) -> np.ndarray:
    """values: (N, ...), targets: (N,) columns. Returns the mean over classes of the mean over each one's rows."""
    return np.mean([values[targets == c].mean(axis=0) for c in np.flatnonzero(np.bincount(targets))], axis=0)


def _soft(margins: np.ndarray, width: float) -> np.ndarray:
    """How much of each is right: all where the margin is far above 0, half at 0."""
    return 1 / (1 + np.exp(-np.clip(margins / width, -50, 50)))


def _margins(scores: np.ndarray, rows: Rows, offsets: np.ndarray) -> np.ndarray:
    """(N, O): by how much the score of a row's own class passes the best other one. `scores` may be of the first N."""
    indices, targets = np.arange(len(scores)), rows.targets[: len(scores)]
    own = scores[indices, targets][:, np.newaxis]
    others = scores.copy()
    others[indices, targets] = -np.inf
    is_new = (targets >= rows.known)[:, np.newaxis]
    best_known = others[:, : rows.known].max(axis=1)[:, np.newaxis]
    best_new = others[:, rows.known :].max(axis=1, initial=-np.inf)[:, np.newaxis] + offsets
    return own + np.where(is_new, offsets, 0.0) - np.maximum(best_known, best_new)
