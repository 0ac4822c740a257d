"""What has been taught -> a head: one ridge solution over the desktop's sums and the board's, tuned by leave-one-out.

Nothing here depends on the order of the examples: they are sorted before anything is added up.
"""

from typing import Dict, Iterator, NamedTuple, Optional, Tuple

import numpy as np

from edge.base import Base, base_head, evened_product, evened_rows
from edge.enough import Enough, assess
from edge.head import Head
from edge.judge import Rows, best_offset, best_temperature, judge, mean_of_classes
from edge.own_classifier import own_classifier, plain_product
from edge.ridge import Fit, Known, blended, known, known_apart, learn, leave_one_out, leave_one_out_of_class
from edge.unknown import Unlikeness, make_unlikeness

_OLD_WEIGHTS = (0.003, 0.01, 0.03, 0.06)  # of an example of a known class, whose own pictures weigh 1 together
_CORRECTION = 0.045  # the same where nothing but known classes is taught
_APART = (0.0, 0.05, 0.1, 0.2, 0.3, 0.5)  # shares of the evidence of new classes that is weighed feature by feature
_OFFSETS = np.linspace(-0.8, 1.0, 181)  # of new classes' scores, which few examples leave too low
_SEEN = 0.0  # the least offset over features that were trained on the examples, which seem to need less than they do


class Verdict(NamedTuple):
    """What teaching did. Accuracies are means over classes, of the `report` sample, which no choice touches."""

    before: float  # of the release's own head
    after: float  # of this one
    old_weight: float  # of an example of a known class, 0 if there is none; a new class's weigh 1 together
    apart: float  # share of the new classes' evidence that was weighed feature by feature
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
    codes: np.ndarray  # (n, D) int8: the examples
    taught: Known  # their rows
    apart: Known  # the same, feature by feature
    targets: np.ndarray  # (n,) of the examples
    rows: Rows  # of the `choose` sample, then of the examples


class _Candidate(NamedTuple):
    old_weight: float
    apart: float
    fit: Fit  # that of `apart` 0, which says how far rows are from what was learnt
    solution: np.ndarray  # (D + 1, C)
    scores: np.ndarray  # (M + n, C), each of a row that is not in the solution
    beside: Optional[np.ndarray]  # (D + 1, C): the network's own classifier, where the solution only corrects it


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
        return Solved(base_head(base, labels), unlikeness, Verdict(before, before, 0.0, 0.0, 0.0, enough))
    is_new = lesson.targets >= lesson.own
    chosen, offset = _choose(base, lesson, is_new, is_retrained) if is_new.any() else (_corrected(base, lesson), 0.0)
    shift = np.where(np.arange(len(lesson.labels)) < lesson.own, 0.0, offset)
    scores, solution = chosen.scores + shift, chosen.solution.copy()
    solution[-1] += shift
    temperature = best_temperature(scores, lesson.rows.targets)
    reported = _product(base, base.report_codes, solution, chosen.beside).argmax(axis=1)
    after = float(mean_of_classes(reported == base.report_targets, base.report_targets))
    enough = assess(labels, lesson.labels, lesson.targets, scores[lesson.rows.sampled :].argmax(axis=1))
    return Solved(
        _head(solution, chosen.beside, lesson.labels, temperature),
        make_unlikeness(base, lesson.taught, chosen.fit, solution if chosen.beside is None else chosen.fit.solution),
        Verdict(before, after, chosen.old_weight, chosen.apart, offset, enough),
    )


def _head(solution: np.ndarray, beside: Optional[np.ndarray], labels: Tuple[str, ...], temperature: float) -> Head:
    weights, bias, own = solution[:-1], solution[-1], None
    if beside is not None:
        own, bias = beside[:-1].astype(np.float32), bias + beside[-1]
    return Head(weights.astype(np.float32), bias.astype(np.float32), labels, temperature, True, own)


def _product(base: Base, codes: np.ndarray, solution: np.ndarray, beside: Optional[np.ndarray]) -> np.ndarray:
    """(N, C) scores of codes (N, D)."""
    found = evened_product(codes, base.step, solution)
    return found if beside is None else found + plain_product(codes, base.step, beside)


def _lesson(base: Base, labels: Tuple[str, ...], examples: Dict[str, np.ndarray]) -> _Lesson:
    all_labels = labels + tuple(sorted(set(examples) - set(labels)))
    columns = {label: column for column, label in enumerate(all_labels)}
    sorted_codes = [examples[label][np.lexsort(examples[label].T)] for label in sorted(examples)]
    codes = np.concatenate([base.choose_codes[:0], *sorted_codes])
    targets = np.array([columns[label] for label in sorted(examples) for _ in examples[label]], np.int64)
    rows = evened_rows(codes, base.step)
    solution = np.zeros((len(base.solution), len(all_labels)))
    solution[:, : len(labels)] = base.solution
    wanted = np.eye(len(all_labels))[targets]
    mean = mean_of_classes(base.choose_codes, base.choose_targets) * base.step
    return _Lesson(
        all_labels,
        len(labels),
        codes,
        known(base.inverse, solution, rows, wanted),
        known_apart(base.inverse, np.append(mean, 1.0), rows, wanted),
        targets,
        Rows(np.concatenate([base.choose_targets, targets]), len(base.choose_targets), len(labels)),
    )


def _corrected(base: Base, lesson: _Lesson) -> _Candidate:
    """Nothing but known classes: the network's own classifier, with what it misses of the examples learnt beside it.

    From the ridge solution, which tells more apart from few pictures, even a stranger's digits would seem to teach.
    """
    own = own_classifier(base)
    weights = np.full(len(lesson.targets), _CORRECTION)
    scored = plain_product(lesson.codes, base.step, own)
    fit = learn(lesson.taught._replace(solution=np.zeros_like(lesson.taught.solution), scored=scored), weights)
    sampled = _product(base, base.choose_codes, fit.solution, own)
    scores = np.concatenate([sampled, _left_out(lesson, fit, weights)])
    return _Candidate(_CORRECTION, 0.0, learn(lesson.taught, weights), fit.solution, scores, own)


def _choose(base: Base, lesson: _Lesson, is_new: np.ndarray, is_retrained: bool) -> Tuple[_Candidate, float]:
    """The weights and offset that serve known and taught classes best, within what they may cost the known ones."""
    old_weights = (0.0,) if is_new.all() else _OLD_WEIGHTS
    offsets = _OFFSETS.clip(min=_SEEN if is_retrained else _OFFSETS[0])
    candidates = [candidate for old_weight in old_weights for candidate in _candidates(base, lesson, old_weight)]
    judgements = [judge(candidate.scores, lesson.rows, offsets) for candidate in candidates]
    best, at = best_offset(judgements, int(np.bincount(lesson.targets)[lesson.own :].max()))
    return candidates[best], float(offsets[at])


def _candidates(base: Base, lesson: _Lesson, old_weight: float) -> Iterator[_Candidate]:
    """One for each share in which new classes are learnt feature by feature. Known classes always have them all."""
    counts = np.bincount(lesson.targets, minlength=len(lesson.labels))
    weights = np.where(lesson.targets >= lesson.own, 1.0 / counts[lesson.targets], old_weight)
    fit = learn(lesson.taught, weights)
    left_out = _left_out(lesson, fit, weights)
    for share in _APART:
        solution, scores = fit.solution.copy(), left_out.copy()
        if share > 0:
            other = learn(blended(lesson.taught, lesson.apart, share), weights)
            solution[:, lesson.own :] = other.solution[:, lesson.own :]
            scores[:, lesson.own :] = _left_out(lesson, other, weights)[:, lesson.own :]
        sampled = evened_product(base.choose_codes, base.step, solution)
        yield _Candidate(old_weight, share, fit, solution, np.concatenate([sampled, scores]), None)


def _left_out(lesson: _Lesson, fit: Fit, weights: np.ndarray) -> np.ndarray:
    """(n, C) scores of the examples, each as if it had not been learnt."""
    wanted, found = lesson.taught.wanted, np.empty_like(fit.scores)
    for column in np.flatnonzero(np.bincount(lesson.targets)):
        its = lesson.targets == column
        scores, kernel = fit.scores[its], fit.kernel[np.ix_(its, its)]
        if column < lesson.own:
            found[its] = leave_one_out(scores, kernel, wanted[its], weights[its])
        else:
            found[its] = leave_one_out_of_class(scores, kernel, wanted[its])
    return found
