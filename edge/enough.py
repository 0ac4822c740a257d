"""Has enough been taught? From what each example would have been called had it not been learnt."""

from typing import Any, Dict, List, NamedTuple, Sequence, Tuple

import numpy as np

FEWEST = 5  # examples of a class: with fewer, an interval says next to nothing
_MORE = 2  # examples to ask for at a time
_POOR, _GOOD = 0.7, 0.5  # a share of right ones below _POOR wants more; an interval above _GOOD proves the class
_Z = 1.959964  # of a 95 % interval


class ClassReport(NamedTuple):
    """Of one label that was taught. `low` and `high` are Wilson's 95 % interval (1927) for right / examples."""

    label: str
    new: bool  # unknown to the release
    examples: int
    right: int  # of them, each judged without itself
    low: float
    high: float


class Confusion(NamedTuple):
    label: str
    taken_for: str
    count: int  # of examples of `label`, each judged without itself


class Enough(NamedTuple):
    classes: Tuple[ClassReport, ...]  # sorted by label
    confused: Tuple[Confusion, ...]  # the most frequent first
    advice: Tuple[str, ...]  # sentences for a person
    line: str  # the verdict, for a person


def wilson(right: int, count: int) -> Tuple[float, float]:
    """The ends of Wilson's 95 % interval for `right` of `count`, which is above 0."""
    share, square = right / float(count), _Z * _Z / count
    middle = share + square / 2
    spread = _Z * np.sqrt(share * (1 - share) / count + square / (4 * count))
    low, high = (middle - spread) / (1 + square), (middle + spread) / (1 + square)
    return float(min(share, max(0.0, low))), float(max(share, min(1.0, high)))  # against rounding at 0 and 1


def assess(own: Sequence[str], labels: Sequence[str], targets: np.ndarray, answers: np.ndarray) -> Enough:
    """own: the release's labels; labels: all of them; targets, answers: (n,) indices into `labels`, one an example."""
    classes = []
    for column in sorted(set(targets.tolist()), key=lambda c: labels[c]):
        its = answers[targets == column]
        right = int((its == column).sum())
        low, high = wilson(right, len(its))
        classes.append(ClassReport(labels[column], labels[column] not in own, len(its), right, low, high))
    wrong = np.flatnonzero(answers != targets)
    pairs = [(labels[targets[i]], labels[answers[i]]) for i in wrong]
    confused = [Confusion(label, other, pairs.count((label, other))) for label, other in sorted(set(pairs))]
    confused.sort(key=lambda confusion: -confusion.count)
    advice = tuple(sentence for sentence in (_advice(report, confused) for report in classes) if sentence)
    return Enough(tuple(classes), tuple(confused), advice, _line(classes, advice))


def enough_lines(enough: Enough) -> List[str]:
    """For a person, the verdict last."""
    lines = []
    for report in enough.classes:
        counts = "{}: {} examples, {} right when left out".format(report.label, report.examples, report.right)
        lines.append("{} ({:.0%} to {:.0%} likely)".format(counts, report.low, report.high))
    for pair in enough.confused:
        lines.append("{} of {} taken for {}".format(pair.count, pair.label, pair.taken_for))
    return lines + ["enough? {}".format(enough.line)]


def enough_fields(enough: Enough) -> Dict[str, Any]:
    """For --json."""
    return {
        "classes": [dict(report._asdict()) for report in enough.classes],
        "confused": [dict(confusion._asdict()) for confusion in enough.confused],
        "advice": list(enough.advice),
        "line": enough.line,
    }


def _advice(report: ClassReport, confused: Sequence[Confusion]) -> str:
    if report.examples < FEWEST:
        return "{} more of `{}` from another side".format(_number(FEWEST - report.examples), report.label)
    if report.right >= _POOR * report.examples:
        return ""
    other = next(confusion.taken_for for confusion in confused if confusion.label == report.label)
    return "{} more of `{}` that look like `{}`, which it is taken for".format(_number(_MORE), report.label, other)


def _number(count: int) -> str:
    return ("one", "two", "three", "four")[count - 1]


def _line(classes: Sequence[ClassReport], advice: Sequence[str]) -> str:
    if not classes:
        return "nothing is taught"
    if advice:
        return "not enough yet: {}".format("; ".join(advice))
    unproved = [report.label for report in classes if report.low < _GOOD]
    if unproved:
        return "it works so far; more of {} would prove it".format(", ".join("`{}`".format(u) for u in unproved))
    return "enough"
