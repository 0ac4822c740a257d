"""Teaching from the page: a held button collects what is in view as one lesson. In the loop's thread, all of it."""

import collections
import time
from typing import Any, Callable, Dict, List, NamedTuple, Optional

import numpy as np

from edge import lessons
from edge.contract.errors import BoardError, InputError
from edge.contract.labels import check_label
from edge.enough import enough_fields
from edge.lessons import Learned
from edge.pictures import Picture
from edge.preprocess import prepare
from edge.serve import Learnt
from edge.sources import Frame
from edge.web.jpeg import small_jpeg

MOST_HELD = 40  # pictures of one hold
_LISTED = 300  # examples that the page lists, the newest
_EVERY_S = 0.2  # a picture; faster ones show the same
_FORGOTTEN_AFTER_S = 60.0  # a hold whose viewer has gone
_WIDEST = 128  # pixels of an example's picture on the page


class _Hold(NamedTuple):
    label: str
    began_at: float
    pictures: List[Picture]  # as the network gets them
    jpegs: List[bytes]


class Teaching:
    """What was learnt, and a hold if somebody collects."""

    def __init__(
        self,
        learnt: Learnt,
        keep_pictures: bool,
        person: str,
        clock: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """keep_pictures, person: as for lessons.keep. Raises UsageError for an impossible person."""
        self._learnt = learnt
        self._keep_pictures = keep_pictures
        self._person = check_label(person) if person else ""
        self._clock = clock
        self._monotonic = monotonic
        self._hold: Optional[_Hold] = None
        self._taken_at = 0.0
        self._jpegs: "collections.OrderedDict[int, bytes]" = collections.OrderedDict()  # of this run's examples
        self.changes = 0  # how often what was learnt has changed in this run

    def hold_fields(self) -> Optional[Dict[str, Any]]:
        """What is being collected; for any thread."""
        hold = self._hold
        return {"label": hold.label, "pictures": len(hold.pictures)} if hold else None

    def see(self, frame: Frame) -> None:
        """A frame was classified: while somebody holds, it is taken if it is not the one before again."""
        hold, now = self._hold, self._monotonic()
        if hold is None:
            return
        if now - hold.began_at > _FORGOTTEN_AFTER_S:
            self._hold = None
            return
        if len(hold.pictures) < MOST_HELD and now - self._taken_at >= _EVERY_S:
            self._take(hold, frame)

    def begin(self, label: str, in_view: Optional[Frame]) -> Optional[Dict[str, Any]]:
        """Begins to collect, with the frame in view.

        Raises UsageError for an impossible label, BoardError without a frame or while somebody else collects.
        """
        label = check_label(label)
        if in_view is None:
            raise BoardError("no picture is in view", "a camera that delivers", "wait until it is back")
        if self._hold is not None and self._monotonic() - self._hold.began_at <= _FORGOTTEN_AFTER_S:
            raise BoardError(
                "somebody collects {} already".format(self._hold.label), "one at a time", "wait for the end"
            )
        self._hold = _Hold(label, self._monotonic(), [], [])
        self._take(self._hold, in_view)
        return self.hold_fields()

    def drop(self) -> None:
        """Ends the hold, and keeps nothing of it."""
        self._hold = None

    def end(self) -> Dict[str, Any]:
        """Teaches what was collected, as one lesson. Raises BoardError if nobody collects."""
        hold, self._hold = self._hold, None
        if hold is None:
            raise BoardError("nobody collects", "a hold that has begun", "hold again")
        report = lessons.teach(
            self._learnt.backbone,
            self._learnt.store,
            hold.label,
            hold.pictures,
            self._keep_pictures,
            self._clock(),
            self._person,
        )
        for example, jpeg in zip(report.ids, hold.jpegs):
            self._jpegs[example] = jpeg
        while len(self._jpegs) > _LISTED:
            self._jpegs.popitem(last=False)
        done = {"label": report.label, "new_class": report.new_class, "ids": list(report.ids)}
        return dict(done, learned=self._changed(report.learned))

    def learned(self) -> Dict[str, Any]:
        return self._fields(lessons.learned(self._learnt.backbone, self._learnt.store))

    def forget(self, example: int) -> Dict[str, Any]:
        """Forgets one example. Raises InputError if it is not there."""
        return self._forgotten(lessons.forget_examples(self._learnt.backbone, self._learnt.store, [example]))

    def forget_label(self, label: str) -> Dict[str, Any]:
        """Forgets all examples of a label. Raises InputError for none, UsageError for an impossible one."""
        return self._forgotten(lessons.forget_label(self._learnt.backbone, self._learnt.store, label))

    def undo(self) -> Dict[str, Any]:
        """Takes the newest lesson back. Raises BoardError if there is none."""
        try:
            return self._forgotten(lessons.undo(self._learnt.backbone, self._learnt.store, None))
        except InputError as error:
            raise BoardError(error.found, error.expected, error.remedy) from None

    def picture(self, example: int) -> Optional[bytes]:
        """The picture of an example: of this run's the one in memory, else what was kept, else None."""
        if example in self._jpegs:
            return self._jpegs[example]
        rows = lessons.examples_of(self._learnt.backbone, self._learnt.store)
        kept = [row for row in rows if row.id == example and row.has_picture]
        return self._learnt.store.whole(example).picture if kept else None

    def _take(self, hold: _Hold, frame: Frame) -> None:
        pixels = prepare(frame.image, self._learnt.backbone.spec)
        if hold.pictures and np.array_equal(pixels, hold.pictures[-1].image):
            return
        self._taken_at = self._monotonic()
        hold.pictures.append(Picture("{} frame {}".format(frame.name, frame.sequence), pixels))
        hold.jpegs.append(small_jpeg(pixels, _WIDEST))

    def _forgotten(self, report: lessons.ForgetReport) -> Dict[str, Any]:
        for row in report.examples:
            self._jpegs.pop(row.id, None)
        done = {"ids": [row.id for row in report.examples], "looks": list(report.looks), "passes": report.passes}
        return dict(done, learned=self._changed(report.learned))

    def _changed(self, learned: Learned) -> Dict[str, Any]:
        self._learnt.read_again()
        self.changes += 1
        return self._fields(learned)

    def _fields(self, learned: Learned) -> Dict[str, Any]:
        own = self._learnt.backbone.labels
        counts = collections.Counter(row.label for row in learned.examples)
        labels = sorted(set(counts), key=lambda label: label.lower()) + [each for each in own if each not in counts]
        verdict = learned.verdict
        return {
            "labels": [{"label": each, "own": each in own, "examples": counts[each]} for each in labels],
            "examples": [
                {
                    "id": row.id,
                    "lesson": row.lesson,
                    "label": row.label,
                    "person": row.person,
                    "taken": row.taken,
                    "source": row.source,
                    "used": row.used,
                    "has_picture": row.has_picture or row.id in self._jpegs,
                }
                for row in reversed(learned.examples[-_LISTED:])
            ],
            "total": len(learned.examples),
            "set_aside": learned.set_aside,
            "look": learned.look,
            "retrained": bool(learned.retrained),
            "verdict": dict(enough_fields(verdict.enough), before=verdict.before, after=verdict.after),
        }
