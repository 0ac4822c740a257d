"""The look on digits: a network that learnt white on black is shown ink on paper."""

import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bench.corruptions import PAPERS, Bytes, write_on_paper
from bench.deeper import prepare_folder, silhouettes
from bench.rows import Row, at_least
from bench.run_backbone import open_run
from edge.backbone import Backbone, codes_of, features_seen
from edge.base import base_head, encode
from edge.contract.errors import InputError
from edge.deep import TunedEngine
from edge.deepen import deepen
from edge.fitting import answers_of, fit_look
from edge.head import Head, probabilities, scores
from edge.look import Look, apart, identity
from edge.preprocess import prepare
from edge.solve import solve

_UNLABELLED = 10  # pictures
_TESTED = 1000
_LEAST = {"unlabelled": ("paper", "light falls off", "grey 135"), "one a class": ("paper",)}
_PAPER, _MIXED = 97.0, 96.0  # percent
_SHOTS = (1, 5, 20)  # paper examples a class for the head alone
_DEEPER_SHOTS = (5, 20)  # a deeper pass needs three of each

Ints = NDArray[np.int64]


@dataclass(frozen=True)
class Digits:
    pixels: Bytes  # (N, 28, 28), white on black
    targets: Ints  # (N,)

    def pick(self, rows: Ints) -> "Digits":
        return Digits(self.pixels[rows], self.targets[rows])


@dataclass(frozen=True)
class Draw:
    fit: Digits  # the first ten of it without labels, the first of each class with
    test: Digits
    seed: int


def paper_rows(runs: Path, data: Path, seeds: range, command: str) -> list[Row]:
    """Every kind of paper, from pictures without labels and with; head alone, deeper pass; both looks in one film."""
    backbone = open_run(runs / "mnist-0")
    with np.load(data / "mnist" / "mnist.npz") as file:
        digits = Digits(file["x_test"], file["y_test"].astype(np.int64))
    draws = []
    for seed in seeds:
        order = np.random.default_rng(seed).permutation(len(digits.targets))
        draws.append(Draw(digits.pick(order[:-_TESTED]), digits.pick(order[-_TESTED:]), seed))
    rows = [_paper_row(backbone, draws, name, way, command) for way in _LEAST for name in PAPERS]
    rows += [_head_row(backbone, draws, shots, command) for shots in _SHOTS]
    with tempfile.TemporaryDirectory() as folder:
        world = silhouettes(data, backbone.spec)
        deep = prepare_folder(Path(folder), runs / "mnist-0", backbone.spec, world)
        rows += [_deeper_row(deep, draws, shots, command) for shots in _DEEPER_SHOTS]
    return [*rows, _mixed_row(backbone, draws, command)]


def _paper_row(backbone: Backbone, draws: list[Draw], name: str, way: str, command: str) -> Row:
    plain = identity(backbone.spec.channels)
    found, before = [], []
    for draw in draws:
        rows = _first_of_each(draw.fit.targets, 1) if way == "one a class" else np.arange(_UNLABELLED)
        its = draw.fit.pick(rows)
        labels = its.targets if way == "one a class" else None
        look = _fit(backbone, _shown(backbone, its, name, draw.seed), labels)
        tested = _shown(backbone, draw.test, name, draw.seed + 1)
        found.append(_percent(backbone, tested, draw.test.targets, look))
        before.append(_percent(backbone, tested, draw.test.targets, plain))
    must, holds = at_least(_PAPER, float(np.mean(found))) if name in _LEAST[way] else ("", None)
    what = f"look from {_UNLABELLED} unlabelled pictures" if way == "unlabelled" else "look from one example a class"
    unit = f"% right (worst of {len(draws)} draws {min(found):.1f}, without a look {np.mean(before):.1f})"
    return Row(f"digits, {name}: {what}", float(np.mean(found)), unit, must, holds, command)


def _head_row(backbone: Backbone, draws: list[Draw], shots: int, command: str) -> Row:
    """The same examples as corrections, and no look."""
    plain = identity(backbone.spec.channels)
    on_paper, originals = [], []
    for draw in draws:
        its = draw.fit.pick(_first_of_each(draw.fit.targets, shots))
        codes = codes_of(backbone, _shown(backbone, its, "paper", draw.seed), plain)
        examples = {backbone.labels[c]: codes[its.targets == c] for c in range(len(backbone.labels))}
        head = solve(backbone.base, backbone.labels, examples).head
        tested = _shown(backbone, draw.test, "paper", draw.seed + 1)
        on_paper.append(_percent(backbone, tested, draw.test.targets, plain, head))
        originals.append(_percent(backbone, _prepared(backbone, draw.test.pixels), draw.test.targets, plain, head))
    unit = f"% right on paper, {np.mean(originals):.1f} on white on black"
    return Row(f"digits, paper: the head alone, {shots} a class", float(np.mean(on_paper)), unit, "", None, command)


def _deeper_row(backbone: Backbone, draws: list[Draw], shots: int, command: str) -> Row:
    """The same examples as for the head alone, and a deeper pass, which changes nothing where it is not promoted."""
    deep, promoted = backbone.deep, 0
    if deep is None:
        raise InputError("a network without deep/ files", "one", "prepare it")
    on_paper: list[float] = []
    originals: list[float] = []
    for draw in draws:
        its = draw.fit.pick(_first_of_each(draw.fit.targets, shots))
        latents = deep.latents(_shown(backbone, its, "paper", draw.seed))
        by_label = {backbone.labels[c]: latents[its.targets == c] for c in range(len(backbone.labels))}
        attempt = deepen(backbone, deep, by_label, lambda *_: None)
        weights, base = (attempt.weights, attempt.base) if attempt.promoted else (deep.replay().weights, backbone.base)
        engine = TunedEngine(deep, weights)
        codes = {label: encode(engine.features(its), base.step) for label, its in by_label.items()}
        head = solve(base, backbone.labels, codes, is_retrained=attempt.promoted).head
        promoted += attempt.promoted
        shown = _shown(backbone, draw.test, "paper", draw.seed + 1), _prepared(backbone, draw.test.pixels)
        for pixels, found in zip(shown, (on_paper, originals), strict=True):
            answers = scores(head, engine.features(deep.latents(pixels))).argmax(axis=1)
            found.append(100 * float((answers == draw.test.targets).mean()))
    unit = f"% right on paper, {np.mean(originals):.1f} on white on black; promoted in {promoted} of {len(draws)} draws"
    return Row(f"digits, paper: the deeper pass, {shots} a class", float(np.mean(on_paper)), unit, "", None, command)


def _mixed_row(backbone: Backbone, draws: list[Draw], command: str) -> Row:
    """Ten pictures of each look without labels, then a film of both; beside it, the surer answer of the two tables'."""
    found: dict[str, list[float]] = {"white on black": [], "paper": []}
    surer: dict[str, list[float]] = {"white on black": [], "paper": []}
    for draw in draws:
        plain, paper = draw.fit.pick(np.arange(_UNLABELLED)), draw.fit.pick(np.arange(_UNLABELLED, 2 * _UNLABELLED))
        both = [_prepared(backbone, plain.pixels), _shown(backbone, paper, "paper", draw.seed)]
        look = _fit(backbone, np.concatenate(both), None)
        film = {
            "white on black": _prepared(backbone, draw.test.pixels),
            "paper": _shown(backbone, draw.test, "paper", draw.seed + 1),
        }
        for name, shown in film.items():
            found[name].append(_percent(backbone, shown, draw.test.targets, look))
            surer[name].append(_surer_percent(backbone, shown, draw.test.targets, look))
    means = {name: float(np.mean(values)) for name, values in found.items()}
    worst = min(min(values) for values in found.values())
    unit = f"% right on paper, {means['white on black']:.1f} on white on black (worst of the draws {worst:.1f})"
    must, holds = at_least(_MIXED, min(means.values()))
    name = f"digits, both looks in one film: look from {_UNLABELLED} unlabelled pictures of each"
    peers = {f"the surer answer, {which}": float(np.mean(values)) for which, values in surer.items()}
    return Row(name, means["paper"], unit, must, holds, command, dict(peers))


def _fit(backbone: Backbone, pixels: Bytes, labels: Ints | None) -> Look:
    plain = identity(backbone.spec.channels)
    return fit_look(pixels, labels, answers_of(backbone), plain, lambda step, steps: None).look


def _percent(backbone: Backbone, pixels: Bytes, targets: Ints, look: Look, head: Head | None = None) -> float:
    head = head or base_head(backbone.base, backbone.labels)
    return 100 * float((scores(head, features_seen(backbone, pixels, look)).argmax(axis=1) == targets).mean())


def _surer_percent(backbone: Backbone, pixels: Bytes, targets: Ints, look: Look) -> float:
    head = base_head(backbone.base, backbone.labels)
    each = np.stack([probabilities(head, features_seen(backbone, pixels, table)) for table in apart(look)])
    surest = each.max(axis=2).argmax(axis=0)
    return 100 * float((each[surest, np.arange(len(targets))].argmax(axis=1) == targets).mean())


def _shown(backbone: Backbone, digits: Digits, paper: str, seed: int) -> Bytes:
    return _prepared(backbone, write_on_paper(digits.pixels, paper, seed))


def _prepared(backbone: Backbone, pixels: Bytes) -> Bytes:
    return np.stack([prepare(one, backbone.spec) for one in pixels])


def _first_of_each(targets: Ints, count: int) -> Ints:
    return np.concatenate([np.flatnonzero(targets == c)[:count] for c in np.unique(targets)])
