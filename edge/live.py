"""Teaching from the live picture: a key says what is in view, and the next frame is judged by what was learnt."""

import time
from typing import Callable, List, Optional, Sequence

import numpy as np

from edge.backbone import Backbone
from edge.classifier import Classifier
from edge.contract.errors import UsageError
from edge.contract.labels import check_label
from edge.contract.results import FrameResult, Prediction
from edge.lessons import keep
from edge.noticing import Noticer, keep_noticed
from edge.pictures import Picture
from edge.recall import recall
from edge.sources import Frame
from edge.store import Store
from edge.unknown import FALSE_ALARMS

MOST_LABELS = 9  # keys 1 to 9


class LiveTeacher:
    """A classifier that is taught by keys: 1 to 9 for a label each, y for "that is right", u to take the last back."""

    def __init__(
        self,
        backbone: Backbone,
        store: Store,
        labels: Sequence[str],
        keep_pictures: bool,
        person: str,
        false_alarms: float = FALSE_ALARMS,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """labels: at most 9, or none for the release's own first nine; false_alarms: as for Classifier.

        Raises UsageError for other labels.
        """
        if len(labels) > MOST_LABELS:
            raise UsageError(
                "{} labels".format(len(labels)), "at most {}, a key each".format(MOST_LABELS), "name fewer"
            )
        self.labels = tuple(check_label(label) for label in labels) or backbone.labels[:MOST_LABELS]
        self._backbone = backbone
        self._store = store
        self._keep_pictures = keep_pictures
        self._person = person
        self._clock = clock
        self._noticer = Noticer()
        self._lessons: List[List[int]] = []  # ids of the examples of each, newest last
        self._false_alarms = false_alarms
        self._classifier = self._made()

    def classify(self, frame: object) -> Prediction:
        """As Classifier.classify, by what has been taught up to now."""
        return self._classifier.classify(frame)

    def prepare(self, frame: np.ndarray) -> np.ndarray:
        """As Classifier.prepare."""
        return self._classifier.prepare(frame)

    def classify_prepared(self, pixels: np.ndarray) -> Prediction:
        """As Classifier.classify_prepared, by what has been taught up to now."""
        return self._classifier.classify_prepared(pixels)

    @property
    def classifier(self) -> Classifier:
        """The one that classified the last frame."""
        return self._classifier

    @property
    def is_retrained(self) -> bool:
        """Whether a deeper pass on this board made the network that classifies."""
        return self._classifier.is_retrained

    def press(self, key: str, frame: Frame, result: FrameResult) -> Optional[str]:
        """What `key`, pressed when `frame` and its `result` were in view, did: a line for a person. None: nothing."""
        if key == "y":
            return self._teach(result.label, frame)
        if key in "123456789"[: len(self.labels)]:
            return self._teach(self.labels[int(key) - 1], frame)
        if key == "u":
            return self._take_back()
        return None

    def notice(self, frame: Frame, result: FrameResult) -> Optional[str]:
        """Keeps what a steady scene shows: evidence, or a question, which is a line for a person."""
        noticed = self._noticer.see(frame, result)
        if noticed is None:
            return None
        keep_noticed(self._backbone, self._store, noticed, self._keep_pictures, self._clock())
        if not noticed.is_question:
            return None
        return "what is this? {} {:.2f}, or {}".format(noticed.label, noticed.score, noticed.rival)

    def help(self) -> str:
        """The keys and what they do, in a line."""
        keys = ["{} {}".format(number + 1, label) for number, label in enumerate(self.labels)]
        return "keys: {}; y: the name shown is right; u: take the last back; q: end".format(", ".join(keys))

    def _teach(self, label: str, frame: Frame) -> str:
        picture = Picture("{} frame {}".format(frame.name, frame.sequence), frame.image)
        ids = keep(self._backbone, self._store, label, [picture], self._keep_pictures, self._clock(), self._person)
        self._lessons.append(ids)
        self._classifier = self._made()
        return "frame {} taught as {} (example {})".format(frame.sequence, label, ids[0])

    def _take_back(self) -> str:
        if not self._lessons:
            return "nothing was taught in this run"
        ids = self._lessons.pop()
        self._store.remove(ids)
        self._classifier = self._made()
        return "example {} taken back".format(ids[0])

    def _made(self) -> Classifier:
        return Classifier(recall(self._backbone, self._store), self._false_alarms)
