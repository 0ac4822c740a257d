"""The lessons: teach pictures, fit the camera's look, forget either, and say what has been learnt.

Each one is on disk when it returns, and is undone by forgetting it: the head is made again from what is left.
"""

import time
from typing import Callable, List, NamedTuple, Optional, Sequence, Tuple

import cv2
import numpy as np

from edge.backbone import Backbone, codes_of, seen
from edge.contract.errors import InputError
from edge.contract.labels import check_label
from edge.fitting import LookChoice, answers_of, fit_look
from edge.look import Look
from edge.pictures import Picture
from edge.preprocess import prepare
from edge.recall import key_of, latent_key, look_in_force, pass_in_force, recall
from edge.rows import ExampleRow, Key, NewExample
from edge.solve import Verdict
from edge.store import Store

_MOST_FITTED = 200  # pictures that a look is judged by, spread evenly over those given


class Learned(NamedTuple):
    """What this board knows beyond its release."""

    examples: Tuple[ExampleRow, ...]  # oldest first
    set_aside: int  # of them, for now not used: of another release or look, and without a picture
    look: str
    verdict: Verdict
    solve_ms: float
    retrained: str  # of the deeper pass in force: what it was judged by; empty where the release's network runs


class LessonReport(NamedTuple):
    label: str
    new_class: bool  # unknown to the release
    ids: Tuple[int, ...]  # of the examples added, to forget them by
    learned: Learned


class FitReport(NamedTuple):
    choice: LookChoice
    pictures: int  # judged
    learned: Learned


class ForgetReport(NamedTuple):
    examples: Tuple[ExampleRow, ...]  # removed
    looks: Tuple[str, ...]  # removed
    learned: Learned
    passes: int = 0  # deeper passes removed


def teach(
    backbone: Backbone,
    store: Store,
    label: str,
    pictures: Sequence[Picture],
    keep_pictures: bool,
    now_s: float,
    person: str = "",
) -> LessonReport:
    """Teaches that `pictures` show `label`, and says what that did. Parameters and errors as those of keep()."""
    ids = keep(backbone, store, label, pictures, keep_pictures, now_s, person)
    label = check_label(label)
    return LessonReport(label, label not in backbone.labels, tuple(ids), learned(backbone, store))


def keep(
    backbone: Backbone,
    store: Store,
    label: str,
    pictures: Sequence[Picture],
    keep_pictures: bool,
    now_s: float,
    person: str = "",
) -> List[int]:
    """Keeps examples that `pictures` show `label`: a new class, or a correction of one that the release knows.

    Returns their ids, to forget them by. keep_pictures: keep what the network saw of them, so that they outlive a new
    look or release; now_s: seconds since 1970; person: who teaches, so that it can be forgotten by that name. Raises
    UsageError for an impossible label or person, InputError without pictures.
    """
    label, person = check_label(label), check_label(person) if person else ""
    key, examples = as_examples(backbone, store, pictures, keep_pictures)
    return store.add(label, utc(now_s), key, examples, person)


def as_examples(
    backbone: Backbone, store: Store, pictures: Sequence[Picture], keep_pictures: bool
) -> Tuple[Key, List[NewExample]]:
    """What the store keeps of `pictures`, and what their codes depend on. Raises InputError without pictures."""
    pixels = _prepared(backbone, pictures)
    look = look_in_force(backbone, store)
    codes = codes_of(backbone, pixels, look)
    latents = _latents(backbone, pixels, look)
    examples = [
        NewExample(_printable(picture.source), code, _png(shown) if keep_pictures else None, latent)
        for picture, code, shown, latent in zip(pictures, codes, pixels, latents)
    ]
    return key_of(backbone, look), examples


def fit(
    backbone: Backbone,
    store: Store,
    pictures: Sequence[Picture],
    labels: Optional[Sequence[str]],
    now_s: float,
    progress: Callable[[int, int], None],
) -> FitReport:
    """Fits the camera's look to `pictures`, by their labels if given. Nothing else is learnt from them.

    Labels that the release does not know are passed over. Raises InputError if no picture is left.
    """
    targets = None
    if labels is not None:
        usable = [i for i, label in enumerate(labels) if label in backbone.labels]
        if pictures and not usable:
            raise InputError(
                "no picture of a class of the release", "some of " + ", ".join(backbone.labels[:5]), "check the labels"
            )
        pictures = [pictures[i] for i in usable]
        targets = np.array([backbone.labels.index(labels[i]) for i in usable])
    spread = np.unique(np.linspace(0, len(pictures) - 1, _MOST_FITTED).astype(int)) if pictures else []
    pixels = _prepared(backbone, [pictures[i] for i in spread])
    if targets is not None:
        targets = targets[spread]
    choice = fit_look(pixels, targets, answers_of(backbone), look_in_force(backbone, store), progress)
    if choice.changed:
        store.add_look(backbone.key, choice.look.name, choice.look.tables.tobytes(), choice.why, utc(now_s))
    return FitReport(choice, len(pixels), learned(backbone, store))


def forget_examples(backbone: Backbone, store: Store, ids: Sequence[int]) -> ForgetReport:
    """Forgets the examples with these ids. Raises InputError, and forgets none, if there is one that does not exist."""
    rows = {row.id: row for row in examples_of(backbone, store)}
    unknown = sorted(set(ids) - set(rows))
    if unknown:
        raise InputError("no example {}".format(unknown[0]), "ids that `edgewise learned` lists", "check the id")
    return _forget(backbone, store, [rows[i] for i in sorted(set(ids))])


def forget_label(backbone: Backbone, store: Store, label: str) -> ForgetReport:
    """Forgets all examples of `label`, and what was noticed that looks like it.

    Raises InputError if there are no examples, UsageError for an impossible label.
    """
    label = check_label(label)
    return _forget(backbone, store, [row for row in examples_of(backbone, store) if row.label == label], label)


def forget_person(backbone: Backbone, store: Store, person: str) -> ForgetReport:
    """Forgets all that `person` taught. Raises InputError if that is nothing, UsageError for an impossible name."""
    person = check_label(person)
    return _forget(backbone, store, [row for row in examples_of(backbone, store) if row.person == person])


def forget_last(backbone: Backbone, store: Store) -> ForgetReport:
    """Forgets the pictures of the last lesson taught. Raises InputError if there is none."""
    rows = examples_of(backbone, store)
    last = max([row.lesson for row in rows], default=0)
    return _forget(backbone, store, [row for row in rows if row.lesson == last])


def forget_look(backbone: Backbone, store: Store) -> ForgetReport:
    """Forgets the look in force; the one before it is in force again. Raises InputError if it is the identity."""
    row = store.look(backbone.key)
    if row is None:
        raise InputError("the look is the identity already", "a look that `edgewise fit` found", "nothing to undo")
    store.remove((), [row.id])
    return ForgetReport((), (row.name,), learned(backbone, store))


def forget_deeper(backbone: Backbone, store: Store) -> ForgetReport:
    """Forgets the deeper pass in force; the one before it, or the release's network, runs again.

    Raises InputError if there is none.
    """
    row = pass_in_force(backbone, store, look_in_force(backbone, store))
    if row is None:
        raise InputError("no deeper pass is in force", "one of `edgewise learned deepen`", "nothing to undo")
    store.remove((), passes=[row.id])
    return ForgetReport((), (), learned(backbone, store), passes=1)


def forget_noticed(backbone: Backbone, store: Store) -> ForgetReport:
    """Forgets all that was noticed and no person has confirmed. No head changes."""
    store.remove_noticed()
    return ForgetReport((), (), learned(backbone, store))


def forget_everything(backbone: Backbone, store: Store) -> ForgetReport:
    """Forgets all examples, looks, deeper passes and what was noticed, those of other releases as well."""
    rows, looks, passes = examples_of(backbone, store), store.looks(), store.deepened()
    store.remove_everything()
    return ForgetReport(tuple(rows), tuple(look.name for look in looks), learned(backbone, store), len(passes))


def undo(backbone: Backbone, store: Store, after: Optional[int]) -> ForgetReport:
    """Goes back to what was known after the lesson with this number; None takes the newest lesson back.

    A lesson is what was learnt at once: pictures, a look, an import or a deeper pass. What is taken back is forgotten,
    and what had been forgotten does not come back. Raises InputError if no lesson is newer.
    """
    if after is None:
        after = store.last_lesson() - 1
    rows = [row for row in examples_of(backbone, store) if row.lesson > after]
    looks = [look for look in store.looks() if look.lesson > after]
    passes = [row.id for row in store.deepened() if row.lesson > after]
    if not rows and not looks and not passes:
        raise InputError(
            "no lesson after {}".format(max(after, 0)), "one that `edgewise learned` lists", "nothing to undo"
        )
    store.remove([row.id for row in rows], [look.id for look in looks], passes=passes)
    return ForgetReport(tuple(rows), tuple(look.name for look in looks), learned(backbone, store), len(passes))


def learned(backbone: Backbone, store: Store) -> Learned:
    """What has been learnt, and what it does to the release's own classes."""
    now = recall(backbone, store)
    rows = tuple(store.examples(now.key))
    set_aside = sum(not row.used for row in rows)
    why = now.passed.why if now.passed else ""
    return Learned(rows, set_aside, now.look.name, now.verdict, now.solve_ms, why)


def examples_of(backbone: Backbone, store: Store) -> List[ExampleRow]:
    """Every example, oldest first, and whether it counts with this release and the look in force."""
    return store.examples(key_of(backbone, look_in_force(backbone, store)))


def _forget(backbone: Backbone, store: Store, rows: Sequence[ExampleRow], guessed: str = "") -> ForgetReport:
    if not rows:
        raise InputError("no such example", "some that `edgewise learned` lists", "nothing to undo")
    passes = len(store.deepened())
    store.remove([row.id for row in rows], guessed=guessed)
    return ForgetReport(tuple(rows), (), learned(backbone, store), passes - len(store.deepened()))


def _prepared(backbone: Backbone, pictures: Sequence[Picture]) -> np.ndarray:
    if not pictures:
        raise InputError("no pictures", "at least one", "name some")
    return np.array([prepare(picture.image, backbone.spec) for picture in pictures])


def _latents(backbone: Backbone, pixels: np.ndarray, look: Look) -> List[Tuple[Tuple[Key, bytes], ...]]:
    """Of each picture what the store keeps for the deeper pass: nothing, if the release cannot make one."""
    if backbone.deep is None:
        return [()] * len(pixels)
    key = latent_key(backbone, look)
    return [((key, latent.tobytes()),) for latent in backbone.deep.latents(seen(backbone, pixels, look))]


def _png(pixels: np.ndarray) -> bytes:
    return cv2.imencode(".png", pixels)[1].tobytes()


def _printable(source: str) -> str:
    """At most 1024 characters that every terminal and database takes; a file's name may hold others."""
    plain = "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in source)
    return plain[-1024:]


def utc(seconds: float) -> str:
    """Seconds since 1970 as the store keeps a time."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(seconds))
