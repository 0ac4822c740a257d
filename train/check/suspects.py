"""Pictures whose label the others contradict: a classifier that has not seen a picture is sure of another label.

Out-of-fold probabilities, ranked by how unlikely the given label is: the self-confidence of confident learning
(Northcutt et al. 2021, arXiv 1911.00068). On TrashNet with flipped labels that order found more of them than the margin
to the likeliest label did, and than confident learning's own threshold.
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
    given: float  # probability of the label that it has


def suspects(features: NDArray[np.float32], targets: NDArray[np.int64], seed: int = 0) -> list[Suspect]:
    """features: (N, D); targets: (N,). Those whose label is less likely than a guess, the least likely first.

    Classes with fewer than two pictures are passed over: nothing can be said of them.
    """
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import StratifiedKFold, cross_val_predict

    counts = np.bincount(targets)
    rows = np.flatnonzero(counts[targets] > 1)
    classes = np.unique(targets[rows])
    if len(classes) < 2:
        return []
    folds = StratifiedKFold(min(FOLDS, int(counts[classes].max())), shuffle=True, random_state=seed)
    model = LogisticRegression(C=10.0, max_iter=300)
    scaled = evened(features[rows])
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="The least populated class")  # is in training all the same
        found = cross_val_predict(model, scaled, targets[rows], cv=folds, method="predict_proba")
    given = found[np.arange(len(rows)), np.searchsorted(classes, targets[rows])]
    doubtful = [i for i in np.argsort(given, kind="stable") if given[i] < 1 / len(classes)]
    return [Suspect(int(rows[i]), int(classes[found[i].argmax()]), float(given[i])) for i in doubtful]


def evened(features: NDArray[np.float32]) -> NDArray[np.float32]:
    """(N, D). Square roots, with their signs, at length 1: a few loud features no longer outweigh the others."""
    from sklearn.preprocessing import normalize

    return np.asarray(normalize(np.sign(features) * np.sqrt(np.abs(features))), np.float32)
