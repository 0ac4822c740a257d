"""What has been taught -> a head: one ridge solution over the desktop's sums and the board's, tuned by leave-one-out.

Nothing here depends on the order of the examples: they are sorted before anything is added up.
"""

from typing import Dict, NamedTuple, Tuple

import numpy as np

from edge.base import Base, base_head, evened_product, evened_rows
from edge.enough import Enough, assess
from edge.head import Head
from edge.judge import Rows, best_offset, best_temperature, judge, mean_of_classes
from edge.ridge import Fit, Known, known, learn, leave_one_out, leave_one_out_of_class
from edge.unknown import Unlikeness, make_unlikeness

_OLD_WEIGHTS = (0.003, 0.01, 0.03, 0.06)  # of an example of a known class, whose own pictures weigh 1 together
_OFFSETS = np.linspace(-0.2, 1.0, 121)  # of new classes' scores, which few examples leave too low
_SEEN = 0.0  # the least offset over features that were trained on the examples, which seem to need less than they do


class Verdict(NamedTuple):
    """What teaching did. Accuracies are means over classes, of the `report` sample, which no choice touches."""

    before: float  # of the release's own head
    after: float  # of this one
    old_weight: float  # of an example of a known class, 0 if there is none; a new class's weigh 1 together
    offset: float  # of the new classes' scores
    enough: Enough


class Solved(NamedTuple):
    head: Head
    unlikeness: Unlikeness
    verdict: Verdict


class _Lesson(NamedTuple):
    """Rows are [evened features, 1] in float64. C labels, `own` of them the release's."""

    labels: Tuple[str, ...]
    own: int
    taught: Known  # the examples
    targets: np.ndarray  # (n,) of the examples
    rows: Rows  # of the `choose` sample, then of the examples


class _Candidate(NamedTuple):
    old_weight: float
    fit: Fit
    scores: np.ndarray  # (M + n, C), each of a row that is not in the solution


def solve(
    base: Base,
    labels: Tuple[str, ...],
    examples: Dict[str, np.ndarray],
    is_retrained: bool = False,
) -> Solved:
    """The head for what has been taught, what is unlike all it knows, and how good both are.

    labels: the release's C; examples: (n, D) int8 codes by label, of new classes or, as corrections, of known ones;
    is_retrained: the features were trained on the examples.
    Without examples it is the release's own head. The same examples give the same bits on the same machine.
    """
    lesson = _lesson(base, labels, {label: codes for label, codes in examples.items() if len(codes)})
    before = float(mean_of_classes(base.report_answers == base.report_targets, base.report_targets))
    if not len(lesson.targets):
        fit = learn(lesson.taught, np.empty(0))
        unlikeness = make_unlikeness(base, lesson.taught, fit, fit.solution)
        enough = assess(labels, labels, lesson.targets, lesson.targets)
        return Solved(base_head(base, labels), unlikeness, Verdict(before, before, 0.0, 0.0, enough))
    chosen, offset = _choose(base, lesson, is_retrained)
    shift = np.where(np.arange(len(lesson.labels)) < lesson.own, 0.0, offset)
    scores, solution = chosen.scores + shift, chosen.fit.solution.copy()
    solution[-1] += shift
    temperature = best_temperature(scores, lesson.rows.targets)
    head = Head(solution[:-1].astype(np.float32), solution[-1].astype(np.float32), lesson.labels, temperature, True)
    reported = evened_product(base.report_codes, base.step, solution).argmax(axis=1)
    after = float(mean_of_classes(reported == base.report_targets, base.report_targets))
    enough = assess(labels, lesson.labels, lesson.targets, scores[lesson.rows.sampled :].argmax(axis=1))
    return Solved(
        head,
        make_unlikeness(base, lesson.taught, chosen.fit, solution),
        Verdict(before, after, chosen.old_weight, offset, enough),
    )


def _lesson(base: Base, labels: Tuple[str, ...], examples: Dict[str, np.ndarray]) -> _Lesson:
    all_labels = labels + tuple(sorted(set(examples) - set(labels)))
    columns = {label: column for column, label in enumerate(all_labels)}
    codes = [base.choose_codes[:0]] + [examples[label][np.lexsort(examples[label].T)] for label in sorted(examples)]
    targets = np.array([columns[label] for label in sorted(examples) for _ in examples[label]], np.int64)
    rows = evened_rows(np.concatenate(codes), base.step)
    solution = np.zeros((len(base.solution), len(all_labels)))
    solution[:, : len(labels)] = base.solution
    return _Lesson(
        all_labels,
        len(labels),
        known(base.inverse, solution, rows, np.eye(len(all_labels))[targets]),
        targets,
        Rows(np.concatenate([base.choose_targets, targets]), len(base.choose_targets), len(labels)),
    )


def _choose(base: Base, lesson: _Lesson, is_retrained: bool) -> Tuple[_Candidate, float]:
    """The weights and offset that serve known and taught classes best, within what they may cost the known ones."""
    is_new = lesson.targets >= lesson.own
    # Beside new classes, lighter corrections leave these their room; alone, the heaviest serve best
    old_weights = (0.0,) if is_new.all() else _OLD_WEIGHTS if is_new.any() else _OLD_WEIGHTS[-1:]
    offsets = _OFFSETS.clip(min=_SEEN if is_retrained else _OFFSETS[0]) if is_new.any() else np.zeros(1)
    candidates = [_candidate(base, lesson, old_weight) for old_weight in old_weights]
    judgements = [judge(candidate.scores, lesson.rows, offsets) for candidate in candidates]
    best, at = best_offset(judgements, int(np.bincount(lesson.targets).max()))
    return candidates[best], float(offsets[at])


def _candidate(base: Base, lesson: _Lesson, old_weight: float) -> _Candidate:
    counts = np.bincount(lesson.targets, minlength=len(lesson.labels))
    is_new = lesson.targets >= lesson.own
    weights = np.where(is_new, 1.0 / counts[lesson.targets], old_weight)
    fit = learn(lesson.taught, weights)
    wanted, left_out = lesson.taught.wanted, np.empty_like(fit.scores)
    for column in np.flatnonzero(counts):
        its = lesson.targets == column
        scores, kernel = fit.scores[its], fit.kernel[np.ix_(its, its)]
        if column < lesson.own:
            left_out[its] = leave_one_out(scores, kernel, wanted[its], weights[its])
        else:
            left_out[its] = leave_one_out_of_class(scores, kernel, wanted[its])
    sampled = evened_product(base.choose_codes, base.step, fit.solution)
    return _Candidate(old_weight, fit, np.concatenate([sampled, left_out]))
