"""Learning while used: what a film shows steadily is noticed, the sure as evidence, the doubtful as a question.

One frame stands for a scene that a film shows: neighbouring frames tell nothing new. Nothing noticed changes the head
until a person says what it is. Questions come in the order of what an answer tells: the smallest margin between the two
likeliest labels first (Scheffer et al. 2001, "Active hidden Markov models").
"""

from typing import NamedTuple, Optional, Sequence, Tuple

from edge.backbone import Backbone
from edge.contract.errors import InputError
from edge.contract.labels import check_label
from edge.contract.results import FrameResult
from edge.lessons import Learned, as_examples, learned, utc
from edge.pictures import Picture
from edge.rows import NoticedRow
from edge.sources import Frame
from edge.store import Store

SURE, DOUBTFUL = 0.9, 0.6  # probabilities of the label: at least, at most
STEADY_S, STEADY_FRAMES = 1.0, 5  # for so long, and in so many frames


class Noticed(NamedTuple):
    """A frame that stands for a steady scene."""

    frame: Frame
    is_question: bool
    label: str  # the likeliest
    rival: str  # the second likeliest
    score: float  # probability of `label`
    margin: float  # between the two probabilities


class Noticer:
    """Watches predictions go by, one after the other."""

    def __init__(self) -> None:
        self._kind = ""  # of the scene: its label while that is sure, "?" while it is doubtful, "" for neither
        self._since_ns = 0
        self._frames = 0
        self._best: Optional[Noticed] = None  # the scene's surest or most doubtful frame

    def see(self, frame: Frame, result: FrameResult) -> Optional[Noticed]:
        """What the frame completes: the first time that a scene has been steady for long enough."""
        noticed = _noticed(frame, result)
        kind = ""
        if noticed.is_question:
            kind = "?"
        elif noticed.score >= SURE:
            kind = "label " + noticed.label
        if kind != self._kind:
            self._kind, self._since_ns, self._frames, self._best = kind, frame.captured_ns, 0, noticed
        if not kind or self._best is None:  # neither, or told already
            return None
        self._frames += 1
        better = noticed.margin < self._best.margin if noticed.is_question else noticed.margin > self._best.margin
        if better:
            self._best = noticed
        if self._frames < STEADY_FRAMES or frame.captured_ns - self._since_ns < STEADY_S * 1e9:
            return None
        told, self._best = self._best, None
        return told


class ConfirmReport(NamedTuple):
    ids: Tuple[int, ...]  # of the examples, to forget them by
    labels: Tuple[str, ...]  # theirs
    learned: Learned


def keep_noticed(backbone: Backbone, store: Store, noticed: Noticed, keep_pictures: bool, now_s: float) -> None:
    """Keeps what was noticed; it is no example yet, and changes no head. keep_pictures: its picture, too."""
    source = "{} frame {}".format(noticed.frame.name, noticed.frame.sequence)
    key, (example,) = as_examples(backbone, store, [Picture(source, noticed.frame.image)], keep_pictures)
    row = NoticedRow(0, *noticed[1:], taken=utc(now_s), source=example.source, has_picture=keep_pictures)
    store.add_noticed(row, key, example)


def confirm(
    backbone: Backbone, store: Store, ids: Sequence[int], label: Optional[str], person: str = ""
) -> ConfirmReport:
    """Makes examples of what was noticed with these ids, as one lesson.

    label: what they show; None confirms what the network was sure of. Raises InputError, and changes nothing, for an id
    that is not there or a question without a label; UsageError for an impossible label or person.
    """
    person = check_label(person) if person else ""
    rows = {row.id: row for row in store.noticed()}
    for each in ids:
        if each not in rows:
            raise InputError(
                "nothing noticed with the number {}".format(each), "one that is listed", "check the number"
            )
        if label is None and rows[each].question:
            raise InputError("{} is a question".format(each), "a label that answers it", "add --label")
    labels = {each: rows[each].label if label is None else check_label(label) for each in ids}
    made = store.confirm(labels, person)
    return ConfirmReport(tuple(made), tuple(sorted(set(labels.values()))), learned(backbone, store))


def _noticed(frame: Frame, result: FrameResult) -> Noticed:
    rival, second = result.top[1]  # a release has at least two labels
    return Noticed(
        frame, result.unknown or result.score <= DOUBTFUL, result.label, rival, result.score, result.score - second
    )
