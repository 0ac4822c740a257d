"""Camera bytes -> label: the release's network with the look and the head that this board has learnt."""

import time

import numpy as np

from edge.backbone import Backbone, features_seen, open_backbone
from edge.contract.results import Prediction
from edge.head import even, probabilities
from edge.look import identity
from edge.preprocess import prepare
from edge.recall import Recalled, recall
from edge.release import Release
from edge.store import Store
from edge.unknown import FALSE_ALARMS, threshold, unlikeness


class Classifier:
    """A network, a look and a head, as they were when it was opened. Not for more than one thread at a time."""

    def __init__(self, recalled: Recalled, false_alarms: float = FALSE_ALARMS) -> None:
        """false_alarms: the share of pictures of known classes that may be called unknown, 0 for never."""
        self._network = recalled.network
        self._unlikeness = recalled.unlikeness
        self._threshold = threshold(recalled.unlikeness, false_alarms)
        self._look = recalled.look
        self._head = recalled.head
        self.base, self.key = recalled.network.base, recalled.key
        self.features = np.zeros((1, recalled.network.spec.features), np.float32)  # of the picture classified last
        self.labels = recalled.head.labels
        self.spec = recalled.network.spec
        self.is_retrained = recalled.passed is not None  # by a deeper pass on this board

    def classify(self, frame: np.ndarray) -> Prediction:
        """frame: (H, W, 3) uint8 BGR or (H, W) uint8 grey. Raises InputError for another array."""
        started = time.perf_counter()
        pixels = self.prepare(frame)
        prepare_ms = (time.perf_counter() - started) * 1e3
        return self.classify_prepared(pixels)._replace(prepare_ms=prepare_ms)

    def prepare(self, frame: np.ndarray) -> np.ndarray:
        """As `classify` does it first; any thread may. Returns (height, width, channels) uint8."""
        return prepare(frame, self.spec)

    def classify_prepared(self, pixels: np.ndarray) -> Prediction:
        """pixels: what `prepare` gave."""
        started = time.perf_counter()
        self.features = features = features_seen(self._network, pixels[np.newaxis], self._look)
        found = probabilities(self._head, features)[0]
        top = tuple((self.labels[i], float(found[i])) for i in np.argsort(-found, kind="stable")[:5])
        unknown = bool(unlikeness(self._unlikeness, even(features))[0] > self._threshold)
        return Prediction(top[0][0], top[0][1], top, unknown, 0.0, (time.perf_counter() - started) * 1e3)

    def probabilities(self, pixels: np.ndarray) -> np.ndarray:
        """pixels: (N, height, width, channels) uint8 as `prepare` gives them, N above 0. Returns (N, C) float32."""
        return probabilities(self._head, features_seen(self._network, pixels, self._look))


def open_classifier(
    release: Release, store: Store, threads: int = 1, use_look: bool = True, false_alarms: float = FALSE_ALARMS
) -> Classifier:
    """Loads `release` in the certified engine and what `store` has for it; the rest as for taught_classifier()."""
    return taught_classifier(open_backbone(release, threads), store, use_look, false_alarms)


def taught_classifier(
    backbone: Backbone, store: Store, use_look: bool = True, false_alarms: float = FALSE_ALARMS
) -> Classifier:
    """`backbone` with what `store` has for it. Raises FormatError.

    use_look: False for pictures that the camera did not take; the head stays what its lessons made it.
    false_alarms: as for Classifier.
    """
    recalled = recall(backbone, store)
    if not use_look:
        recalled = recalled._replace(look=identity(backbone.spec.channels))
    return Classifier(recalled, false_alarms)
