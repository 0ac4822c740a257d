"""Pictures that seem to lie on their side or upside down, and have no tag that says so.

A classifier learns from the data set itself which way up a picture is: every other picture, shown to it in all four
ways, is taken for upright (the task of RotNet, Gidaris et al. 2018, arXiv 1803.07728). Where pictures have no upright,
as of things on a table from above, it is hardly sure of any.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from train.check.suspects import FOLDS, evened

WAYS = 4  # quarter turns
_LEAST_LIKELY = 20.0  # times as upright as it lies, a picture is when it is turned: below, it may as well be a hard one
_MOST_TIMES = 1e9  # more is beyond what the logarithms of a few views can tell
_MOST_LEARNT = 2000  # pictures that a classifier learns from
_TURNED = 0.02  # of the pictures, when it is asked how sure a classifier may be
_TEMPERATURES = np.geomspace(1, 16, 30)  # a classifier is never made surer than it is


@dataclass(frozen=True)
class Sideways:
    picture: int  # row of the features
    turn: int  # degrees clockwise that set it upright: 90, 180 or 270
    times: float  # as upright then as it lies now


def sideways(
    features: NDArray[np.float32], progress: Callable[[int, int], None] = lambda done, of: None, seed: int = 0
) -> list[Sideways]:
    """features: (N * WAYS, D), of each picture after 0 to 3 quarter turns against the clock. The surest first.

    A picture that was saved turned has all its views one place further on: all four have a say in how it lies.
    """
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import KFold

    count, size = len(features) // WAYS, features.shape[1]
    if count < 2 * FOLDS:
        return []
    views = features.reshape(count, WAYS, size)
    likely = np.zeros((count, WAYS, WAYS))  # log-probabilities: of each view, of each way
    random = np.random.default_rng(seed)
    folds = KFold(FOLDS, shuffle=True, random_state=seed).split(views)
    for done, (others, its) in enumerate(folds, 1):
        learnt = random.permutation(others)[:_MOST_LEARNT]
        model = LogisticRegression(C=1.0, max_iter=300)
        model.fit(evened(views[learnt].reshape(-1, size)), np.tile(np.arange(WAYS), len(learnt)))
        likely[its] = model.predict_log_proba(evened(views[its].reshape(-1, size))).reshape(-1, WAYS, WAYS)
        progress(done, FOLDS)
    each_view = np.arange(WAYS)
    lies = np.stack([likely[:, each_view, (each_view + way) % WAYS].sum(1) for way in range(WAYS)], axis=1)
    lies /= _temperature(lies)
    times = np.exp(np.minimum(lies.max(axis=1) - lies[:, 0], np.log(_MOST_TIMES)))
    found = [Sideways(int(i), int(lies[i].argmax()) * 90, float(times[i])) for i in np.argsort(-times, kind="stable")]
    return [each for each in found if each.times > _LEAST_LIKELY]


def _temperature(lies: NDArray[np.float64]) -> float:
    """What log-likelihoods (N, WAYS) are to be divided by, so that most pictures are upright as often as they say.

    The four views of a picture are no four witnesses: where nothing has an upright, their sum is far too sure.
    """

    def likelihood(temperature: float) -> float:
        scaled = lies / temperature
        upright = np.exp(scaled[:, 0] - np.logaddexp.reduce(scaled, axis=1))
        return float(np.log((1 - _TURNED) * upright + _TURNED / WAYS).mean())

    return float(max(_TEMPERATURES, key=likelihood))
