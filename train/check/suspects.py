"""Pictures whose label the others contradict: a classifier that has not seen a picture is sure of another label.

Confident learning (Northcutt et al. 2021, arXiv 1911.00068): by out-of-fold probabilities a picture is of another label
at least as surely as that label's own pictures are on average. Ranked by how much less likely the given label is.
"""

import warnings
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

FOLDS = 5


@dataclass(frozen=True)
class Suspect:
    picture: int  # row of the features
    likeliest: int  # label
    margin: float  # the likeliest label's probability less the given one's


def suspects(features: NDArray[np.float32], targets: NDArray[np.int64], seed: int = 0) -> list[Suspect]:
    """features: (N, D); targets: (N,). The most suspicious first.

    Classes with fewer than two pictures are passed over: nothing can be said of them.
    """
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import StratifiedKFold, cross_val_predict
    from sklearn.preprocessing import normalize

    counts = np.bincount(targets)
    rows = np.flatnonzero(counts[targets] > 1)
    classes = np.unique(targets[rows])
    if len(classes) < 2:
        return []
    folds = StratifiedKFold(min(FOLDS, int(counts[classes].max())), shuffle=True, random_state=seed)
    model = LogisticRegression(C=10.0, max_iter=300)
    scaled = normalize(np.sign(features[rows]) * np.sqrt(np.abs(features[rows])))
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="The least populated class")  # is in training all the same
        found = cross_val_predict(model, scaled, targets[rows], cv=folds, method="predict_proba")
    given, best = np.searchsorted(classes, targets[rows]), found.argmax(axis=1)
    sure = np.array([found[given == c, c].mean() for c in range(len(classes))])
    margins = found.max(axis=1) - found[np.arange(len(rows)), given]
    order = np.argsort(-margins, kind="stable")
    doubtful = [i for i in order if best[i] != given[i] and found[i, best[i]] >= sure[best[i]]]
    return [Suspect(int(rows[i]), int(classes[best[i]]), float(margins[i])) for i in doubtful]
