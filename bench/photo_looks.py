"""The look on photos: fitted to a few pictures of a camera that shows things otherwise, tested on others of it."""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bench.corruptions import PHOTOS, Bytes, corrupt_photos
from bench.features import read_photos
from bench.rows import Row, at_least
from bench.run_backbone import open_run
from edge.backbone import Backbone, features_seen
from edge.base import base_head
from edge.fitting import Answers, answers_of, fit_look
from edge.head import scores
from edge.look import Look, identity

SETS = {
    "trashnet": ("trashnet-0", "trashnet/trashnet_256.zip"),
    "animals": ("animals-0", "animals_photo/animals_photo.zip"),
}
_FITTED = 20  # pictures of a camera
_GAIN, _LOSS = 2.0, -1.0  # points: the mean of all corruptions, and the worst of them
_WAYS = ("unlabelled", "labelled")

Ints = NDArray[np.int64]
Progress = Callable[[str, int, int], None]


@dataclass(frozen=True)
class Fitted:
    """Accuracies of one draw on the pictures that no look was fitted to."""

    before: float
    after: float


def photo_look_rows(runs: Path, data: Path, seeds: range, command: str, progress: Progress) -> list[Row]:
    """Rows for each way of fitting: both sets together, then each one with all of its corruptions beside it."""
    found = {
        (name, corruption): done
        for name, (run, file) in SETS.items()
        for corruption, done in _measure_set(name, open_run(runs / run), data / file, seeds, progress).items()
    }
    return _rows(found, command)


def _rows(found: dict[tuple[str, str], dict[str, list[Fitted]]], command: str) -> list[Row]:
    """found: by set and corruption, then by way of fitting, one for each draw."""
    rows = []
    for way in _WAYS:
        gains = [100 * _mean([fitted.after - fitted.before for fitted in done[way]]) for done in found.values()]
        name = f"look from {_FITTED} {way} pictures, {len(PHOTOS)} corruptions"
        rows.append(
            Row(f"{name}, both sets: mean gain", _mean(gains), "points", *at_least(_GAIN, _mean(gains)), command)
        )
        rows.append(Row(f"{name}, both sets: worst", min(gains), "points", *at_least(_LOSS, min(gains)), command))
        for each in SETS:
            texts = {key[1]: _text(done[way]) for key, done in found.items() if key[0] == each}
            mean = _mean([gain for key, gain in zip(found, gains, strict=True) if key[0] == each])
            rows.append(Row(f"{name}, {each}: mean gain", mean, "points", "", None, command, dict(texts)))
    return rows


def _measure_set(
    name: str, backbone: Backbone, path: Path, seeds: range, progress: Progress
) -> dict[str, dict[str, list[Fitted]]]:
    """By corruption and way of fitting, one for each draw."""
    pixels, targets = _test_pictures(path, backbone)
    found = {}
    for done, corruption in enumerate(PHOTOS):
        shown = corrupt_photos(pixels, corruption, seed=0)
        found[corruption] = _measure(backbone, shown, targets, seeds)
        progress(f"look, {name}", done + 1, len(PHOTOS))
    return found


def _measure(backbone: Backbone, shown: Bytes, targets: Ints, seeds: range) -> dict[str, list[Fitted]]:
    plain = identity(backbone.spec.channels)
    right = _right(backbone, shown, targets, plain)
    found: dict[str, list[Fitted]] = {way: [] for way in _WAYS}
    for seed in seeds:
        order = np.random.default_rng(seed).permutation(len(targets))
        picked, others = order[:_FITTED], order[_FITTED:]
        answer = _remembering(answers_of(backbone))
        for way in _WAYS:
            labels = targets[picked] if way == "labelled" else None
            choice = fit_look(shown[picked], labels, answer, plain, lambda step, steps: None)
            before = float(right[others].mean())
            after = float(_right(backbone, shown[others], targets[others], choice.look).mean())
            found[way].append(Fitted(before, after if choice.changed else before))
    return found


def _right(backbone: Backbone, shown: Bytes, targets: Ints, look: Look) -> NDArray[np.bool_]:
    head = base_head(backbone.base, backbone.labels)
    return np.asarray(scores(head, features_seen(backbone, shown, look)).argmax(axis=1) == targets)


def _remembering(answer: Callable[[Bytes], Answers]) -> Callable[[Bytes], Answers]:
    """Both ways of fitting try the same tables on the same pictures."""
    known: dict[bytes, Answers] = {}

    def remembered(pixels: Bytes) -> Answers:
        key = hashlib.sha256(pixels.tobytes()).digest()
        if key not in known:
            known[key] = answer(pixels)
        return known[key]

    return remembered


def _test_pictures(path: Path, backbone: Backbone) -> tuple[Bytes, Ints]:
    pixels, targets = [], []
    for shown, labels, parts in read_photos(path, backbone.spec):
        if parts[0] == "test" and labels[0] in backbone.labels:
            pixels.append(shown)
            targets += [backbone.labels.index(label) for label in labels]
    return np.concatenate(pixels), np.array(targets)


def _text(done: list[Fitted]) -> str:
    before, after = _mean([fitted.before for fitted in done]), _mean([fitted.after for fitted in done])
    changed = sum(fitted.after != fitted.before for fitted in done)
    return f"{100 * before:.1f} to {100 * after:.1f} ({changed} of {len(done)} changed)"


def _mean(values: list[float]) -> float:
    return float(np.mean(values))
