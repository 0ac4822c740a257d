"""One draw: what a learner makes of a few examples of new classes, every one with the same rule for the offset."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bench.learners import Fit, Scores
from bench.tasks import Part, Task
from edge.base import encode
from edge.head import probabilities, scores
from edge.judge import Rows, best_offset, judge, mean_of_classes
from edge.solve import Solved, solve

_OFFSETS = np.linspace(-1.0, 3.0, 401)  # of a peer's scores; a known class leads by 1 on average
_FOLDS = 5  # of the examples, to learn what each scores when left out
_BINS = 15
_DRAWN = 100  # answers for each picture


@dataclass(frozen=True)
class Outcome:
    """Accuracies on the test part, means over classes, 0 to 1."""

    old: float
    new: float
    alone: float  # on known classes if there were no new ones

    @property
    def harmonic(self) -> float:
        return 2 * self.old * self.new / max(self.old + self.new, 1e-12)

    @property
    def cost(self) -> float:
        return self.alone - self.old


def teach(task: Task, examples: Part) -> Solved:
    """Ours, as a board does it."""
    its = {task.labels[c]: encode(examples.x[examples.targets == c], task.base.step) for c in task.new}
    return solve(task.base, task.labels[: task.known], its)


def ours(task: Task, solved: Solved) -> Outcome:
    return _outcome(task, scores(solved.head, task.test.x)[:, _columns(task, solved)])


def calibration(task: Task, solved: Solved) -> tuple[float, float]:
    """Expected calibration error on the test part, 15 bins of equal width (Guo et al. 2017), and what right ones show.

    The second is the mean error of answers that are drawn at these probabilities (Bröcker and Smith 2007): of so few
    pictures even they are not right as often as they say.
    """
    found = probabilities(solved.head, task.test.x)[:, _columns(task, solved)]
    sure, right = found.max(axis=1), found.argmax(axis=1) == task.test.targets
    drawn = np.random.default_rng(0).random((_DRAWN, len(sure))) < sure
    return _calibration_error(sure, right), float(np.mean([_calibration_error(sure, each) for each in drawn]))


def _calibration_error(sure: NDArray[np.float64], right: NDArray[np.bool_]) -> float:
    bins = np.minimum((sure * _BINS).astype(int), _BINS - 1)
    return float(sum(abs((sure[bins == b] - right[bins == b]).sum()) for b in np.unique(bins)) / len(sure))


def peer(task: Task, fit: Fit, examples: Part) -> Outcome:
    """A peer's scores, in units of the known classes' lead, with the offset that our own rule chooses for them."""
    score = fit(examples, task.train)
    sampled = score(task.choose.x)
    unit = _lead(sampled[:, : task.known], task.choose.targets)
    rows = Rows(np.concatenate([task.choose.targets, examples.targets]), len(sampled), task.known)
    seen = np.concatenate([sampled, _left_out(task, fit, examples)]) / unit
    _, at = best_offset([judge(seen, rows, _OFFSETS)], int(np.bincount(examples.targets).max()))
    tested = score(task.test.x) / unit
    tested[:, task.known :] += _OFFSETS[at]
    return _outcome(task, tested)


def _left_out(task: Task, fit: Fit, examples: Part) -> Scores:
    place = np.array([np.sum(examples.targets[:i] == column) for i, column in enumerate(examples.targets)])
    found = np.empty((len(place), len(task.labels)))
    for fold in range(_FOLDS):
        held = place % _FOLDS == fold
        found[held] = fit(examples.where(~held), task.sample)(examples.x[held])
    return found


def _lead(found: Scores, targets: NDArray[np.int64]) -> float:
    """By how much a row's own class scores more than the others do, on average."""
    own = found[np.arange(len(targets)), targets]
    others = (found.sum(axis=1) - own) / (found.shape[1] - 1)
    return max(float((own - others).mean()), 1e-12)


def _columns(task: Task, solved: Solved) -> list[int]:
    """A board sorts new labels; the task's order may be another."""
    return [solved.head.labels.index(label) for label in task.labels]


def _outcome(task: Task, found: Scores) -> Outcome:
    targets, is_old = task.test.targets, task.test.targets < task.known
    right = found.argmax(axis=1) == targets
    alone = found[is_old, : task.known].argmax(axis=1) == targets[is_old]
    return Outcome(
        old=float(mean_of_classes(right[is_old], targets[is_old])),
        new=float(mean_of_classes(right[~is_old], targets[~is_old])),
        alone=float(mean_of_classes(alone, targets[is_old])),
    )
