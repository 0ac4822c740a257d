"""Which moments a person wants to be alerted of, learnt from those that were marked as wanted or not.

Ridge regression over the marked moments' features alone, +1 for wanted and -1 for not, both sides weighing the same.
What the network knows from its training is left out on purpose: there, what tells two wanted things of one class apart
counts as noise. The penalty is chosen by leave-one-out.
"""

from typing import NamedTuple, Optional

import numpy as np

from edge.base import encode, evened_rows
from edge.ridge import known_alone, learn, leave_one_out

MOST_MARKS, MOST_ORDINARY = 200, 50  # the newest, of one rule
_PENALTIES = (0.03, 0.1, 0.3, 1.0, 3.0)
_CONSTANT = 1e-3  # the penalty of a row's constant
_LOST = 0.1  # of wanted moments, so many may be taken for unwanted ones, as leave-one-out has it
_CLEAR = 0.5  # half way from nowhere to the marks: a repeat of an unwanted moment, whatever leave-one-out says of few


class Preference(NamedTuple):
    """What scores a moment: about 1 for one like the wanted ones, about -1 for one like the unwanted."""

    step: np.ndarray  # (D,) float32: of the codes
    solution: np.ndarray  # (D + 1, 1)
    least: float  # the score of a wanted moment: a lower one is unwanted
    starts: bool  # whether moments that no rule asks for are looked at, too

    def is_unwanted(self, features: np.ndarray) -> bool:
        """features: (1, D) float32, as the network gives them, of a moment that its rule alerts of."""
        return self._score(features) < self.least

    def is_alike(self, features: np.ndarray) -> bool:
        """Whether a moment that its rule passes over is wanted all the same."""
        return self.starts and self._score(features) > _CLEAR

    def _score(self, features: np.ndarray) -> float:
        return float(np.dot(evened_rows(encode(features, self.step), self.step), self.solution)[0, 0])


def learn_preference(
    codes: np.ndarray, wanted: np.ndarray, ordinary: np.ndarray, step: np.ndarray, starts: bool
) -> Optional[Preference]:
    """codes: (N, D) int8 of marked moments; wanted: (N,) bool; ordinary: (M, D) int8 of alerts that nobody marked.

    Where nothing was marked as wanted, what nobody marked counts as wanted. None, if there is nothing to tell apart.
    starts: as in Preference.
    """
    if not wanted.any():
        codes = np.concatenate([codes, ordinary])
        wanted = np.concatenate([wanted, np.ones(len(ordinary), bool)])
    counts = np.bincount(wanted.astype(int), minlength=2)
    if counts.min() == 0:
        return None
    rows, targets = evened_rows(codes, step), np.where(wanted, 1.0, -1.0)[:, np.newaxis]
    weights = 1.0 / counts[wanted.astype(int)]
    solution, least, scores = targets, np.inf, targets
    for penalty in _PENALTIES:
        penalties = np.append(np.full(rows.shape[1] - 1, penalty), _CONSTANT)
        fit = learn(known_alone(penalties, rows, targets), weights)
        left_out = leave_one_out(fit.scores, fit.kernel, targets, weights)
        error = float(np.dot(weights, (targets - left_out) ** 2)[0])
        if error < least:
            solution, least, scores = fit.solution, error, left_out
    lowest = float(np.percentile(scores[wanted], 100 * _LOST))
    return Preference(step, solution, min(0.0, max(-_CLEAR, lowest)), starts)
