"""What has been taught -> a head: one ridge solution over the desktop's sums and the board's, tuned by leave-one-out.

Nothing here depends on the order of the examples: they are sorted first, and their sums are exact whole numbers.
"""

from typing import Dict, NamedTuple, Sequence, Tuple

import numpy as np

from edge.base import Base, base_head, code_sums, with_one
from edge.head import Head, scores
from edge.judge import Rows, best_temperature, judge, mean_of_classes
from edge.ridge import leave_one_out, leave_one_out_of_mean, regularised_inverse

_RIDGES = (0.001, 0.01, 0.1, 1.0)  # of the base features' mean energy
_WEIGHTS = (
    0.003,
    0.01,
    0.03,
    0.1,
    0.3,
)  # of one example of a known class, whose own pictures weigh 1 together
_OFFSETS = np.linspace(-0.2, 1.0, 121)  # of new classes' scores, which few examples leave too low
_FREE_COST, _MOST_COST = 0.01, 0.03  # of the known classes' accuracy, for the sake of the taught ones
_WORTH = 2.0  # what is lost of it beyond _FREE_COST must bring this much more in the harmonic mean with the taught ones


class Taught(NamedTuple):
    label: str
    examples: int
    accuracy: float  # of its examples, each judged without itself


class Verdict(NamedTuple):
    """What teaching did. Accuracies are means over classes; `before` and `after` are of the held-out sample."""

    before: float  # of the release's own head
    after: float  # of this one
    taught: Tuple[Taught, ...]  # sorted by label
    ridge: float
    weight: float
    offset: float


class _Lesson(NamedTuple):
    """The sums and rows, over [features, 1] in float64."""

    labels: Tuple[str, ...]
    count: np.ndarray  # (known,) training pictures of each known class
    gram: np.ndarray  # (D + 1, D + 1) of the base
    moments: np.ndarray  # (D + 1, C) of the base
    taught: Tuple[Tuple[int, int, np.ndarray, np.ndarray], ...]  # column, examples, their sums of z z^T and of z
    vectors: np.ndarray  # (N, D + 1): the `choose` sample, then the examples
    rows: Rows


class _Fit(NamedTuple):
    ridge: float
    weight: float
    solution: np.ndarray  # (D + 1, C)
    left_out: np.ndarray  # (N, C)


def solve(base: Base, labels: Tuple[str, ...], examples: Dict[str, np.ndarray]) -> Tuple[Head, Verdict]:
    """The head for what has been taught.

    labels: the release's C; examples: (n, D) int8 codes by label, of new classes or, as corrections, of known ones.
    Without examples it is the release's own head. The same examples give the same bits on the same machine.
    """
    own = base_head(base, labels)
    before = _reported(base, own)
    examples = {label: codes for label, codes in examples.items() if len(codes)}
    if not examples:
        return own, Verdict(before, before, (), 0.0, 0.0, 0.0)
    lesson = _lesson(base, labels, examples)
    fit, offset = _choose(lesson)
    shift = np.where(np.arange(len(lesson.labels)) < lesson.rows.known, 0.0, offset)
    left_out = fit.left_out + shift
    head = Head(
        fit.solution[:-1].astype(np.float32),
        (fit.solution[-1] + shift).astype(np.float32),
        lesson.labels,
        best_temperature(left_out, lesson.rows.targets),
    )
    return head, Verdict(before, _reported(base, head), _taught(lesson, left_out), fit.ridge, fit.weight, offset)


def _lesson(base: Base, labels: Tuple[str, ...], examples: Dict[str, np.ndarray]) -> _Lesson:
    all_labels = labels + tuple(sorted(set(examples) - set(labels)))
    scale = np.append(base.step.astype(np.float64), 1.0)  # codes -> features
    taught, codes, targets = [], [base.choose_codes], [base.choose_targets]
    for label in sorted(examples):
        column, its = all_labels.index(label), examples[label]
        its = its[np.lexsort(its.T)]
        gram, total = code_sums(its)
        taught.append((column, len(its), gram * np.outer(scale, scale), total * scale))
        codes.append(its)
        targets.append(np.full(len(its), column))
    moments = np.zeros((len(scale), len(all_labels)))
    moments[:, : len(labels)] = (base.sums * scale).T
    return _Lesson(
        all_labels,
        base.count,
        base.gram * np.outer(scale, scale),
        moments,
        tuple(taught),
        with_one(np.concatenate(codes)) * scale,
        Rows(np.concatenate(targets), len(base.choose_targets), len(labels)),
    )


def _choose(lesson: _Lesson) -> Tuple[_Fit, float]:
    """The fit and offset that serve known and taught classes best, within what they may cost the known ones.

    The ridge is chosen at the middle weight, then the weight. A label with one example has nothing left when that is
    left out, so it proves nothing that would be worth more than the free cost.
    """
    most_cost = _MOST_COST if max(n for _, n, _, _ in lesson.taught) > 1 else _FREE_COST
    known = lesson.rows.known
    offsets = _OFFSETS if len(lesson.labels) > known else np.zeros(1)
    energy = np.diag(lesson.gram)[:-1].mean()
    middle = _WEIGHTS[len(_WEIGHTS) // 2]
    fits = [_fit(lesson, energy, ridge, middle) for ridge in _RIDGES]
    fit, offset = _best(fits, lesson.rows, offsets, most_cost)
    if any(column < known for column, _, _, _ in lesson.taught):
        fits = [_fit(lesson, energy, fit.ridge, weight) for weight in _WEIGHTS]
        fit, offset = _best(fits, lesson.rows, offsets, most_cost)
    return fit, offset


def _best(fits: Sequence[_Fit], rows: Rows, offsets: np.ndarray, most_cost: float) -> Tuple[_Fit, float]:
    judgements = [judge(fit.left_out, rows, offsets) for fit in fits]
    reference = max(judgement.alone for judgement in judgements)
    merits = np.empty((len(fits), len(offsets)))
    for merit, judgement in zip(merits, judgements):
        cost = reference - judgement.kept
        merit[:] = judgement.served - _WORTH * np.maximum(0.0, cost - _FREE_COST)
        merit[cost > most_cost] = -1.0 - cost[cost > most_cost]  # only where all cost more: the least
    best, at = np.unravel_index(np.argmax(merits), merits.shape)
    return fits[best], float(offsets[at])


def _fit(lesson: _Lesson, energy: float, ridge: float, weight: float) -> _Fit:
    gram, moments = lesson.gram.copy(), lesson.moments.copy()
    targets, sampled, known = lesson.rows
    for column, n, its_gram, its_sum in lesson.taught:
        each = weight if column < known else 1.0 / n
        gram += each * its_gram
        moments[:, column] += each * its_sum
    inverse = regularised_inverse(gram, ridge * energy)
    solution = np.dot(inverse, moments)
    wanted = np.eye(len(lesson.labels))[targets]
    weights = np.append(1.0 / lesson.count[targets[:sampled]], np.full(len(targets) - sampled, weight))
    left_out = np.empty_like(wanted)
    plain = targets < known
    left_out[plain] = leave_one_out(inverse, solution, lesson.vectors[plain], wanted[plain], weights[plain])
    for column in range(known, len(lesson.labels)):
        its = targets == column
        left_out[its] = leave_one_out_of_mean(inverse, solution, lesson.vectors[its], wanted[its])
    return _Fit(ridge, weight, solution, left_out)


def _taught(lesson: _Lesson, left_out: np.ndarray) -> Tuple[Taught, ...]:
    right = left_out.argmax(axis=1) == lesson.rows.targets
    examples = np.arange(len(right)) >= lesson.rows.sampled
    found = []
    for column, n, _, _ in lesson.taught:
        its = examples & (lesson.rows.targets == column)
        found.append(Taught(lesson.labels[column], n, float(right[its].mean())))
    return tuple(found)


def _reported(base: Base, head: Head) -> float:
    features = base.report_codes * base.step
    right = scores(head, features).argmax(axis=1) == base.report_targets
    return float(mean_of_classes(right, base.report_targets))
