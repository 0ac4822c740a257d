"""The deeper pass: the network's last blocks retrained on a few examples, and kept only if that is better.

Momentum SGD on the cross-entropy, by the exported step. Most of each batch are examples. The rest are latents of the
desktop's training pictures (latent replay, Pellegrini et al. 2020, arXiv 1912.01100), for which the old network's own
softened answers are wanted (learning without forgetting, Li and Hoiem 2016, arXiv 1606.09282).

The same examples give the same weights on the same machine, in whatever order they were taught.
"""

import itertools
from functools import partial
from typing import Callable, Dict, Iterator, List, NamedTuple, Tuple

import numpy as np

from edge.backbone import Backbone
from edge.base import Base, Rows, encode, make_base
from edge.contract.errors import GateError, InputError
from edge.deep import STEP, Deep, Replay
from edge.head import scores, softmax
from edge.judge import mean_of_classes
from edge.solve import Solved, solve

STEPS = 50
FOLDS = 3  # of the examples: each is judged by a pass that has not seen it
MOST_LOST = 0.01  # of the known classes' accuracy on `choose`
_RATE, _WARM, _FALL = 0.2, 5, 20  # the learning rate, and the steps in which it rises and falls
_SHARE = 0.6  # of a batch that is examples
_SOFTNESS = 2.0  # temperature of the old network's answers
_CLOSED = -1e9  # added to the logit of a class that nobody teaches

Progress = Callable[[str, int, int], None]


class Attempt(NamedTuple):
    """What a pass came to. Accuracies are means over classes."""

    promoted: bool
    why: str
    left_out: Tuple[float, float]  # of examples that were left out: by the head alone, after the pass
    known: Tuple[float, float]  # of the release's classes on `choose`: by the head alone, after the pass
    weights: np.ndarray  # (P,) float32
    base: Base  # of the network with these weights


class _Network(NamedTuple):
    """The tail with some weights, and the base of learning over its features."""

    weights: np.ndarray
    base: Base


def deepen(backbone: Backbone, deep: Deep, latents: Dict[str, np.ndarray], progress: Progress) -> Attempt:
    """Retrains the tail on what was taught and judges it beside the head alone.

    latents: (n, C, H, W) uint8 by label, FOLDS or more of each. Raises InputError for fewer, or for more new labels
    than the tail has spare classes.
    """
    replay = deep.replay()
    _check(backbone, deep, replay, latents)
    latents = {label: _sorted(latents[label]) for label in sorted(latents)}
    old = _Network(replay.weights, backbone.base)
    folds = []
    for fold in range(FOLDS):
        kept = {label: rows[np.arange(len(rows)) % FOLDS != fold] for label, rows in latents.items()}
        left = {label: rows[np.arange(len(rows)) % FOLDS == fold] for label, rows in latents.items()}
        report = partial(_after, progress, "left out", fold * STEPS, FOLDS * STEPS)
        folds.append(_judged(backbone, deep, replay, kept, left, report))
    left_out = _mean([alone for alone, _ in folds]), _mean([after for _, after in folds])
    tuned = _tuned(backbone, deep, replay, latents, partial(_after, progress, "pass", 0, STEPS))
    known = (
        _known(deep, old, _taught(backbone, deep, old, latents), replay),
        _known(deep, tuned, _taught(backbone, deep, tuned, latents), replay),
    )
    promoted = left_out[1] > left_out[0] and known[1] >= known[0] - MOST_LOST
    why = "examples left out {:.1%} right, {:.1%} by the head alone; known classes {:.1%}, {:.1%}".format(
        left_out[1], left_out[0], known[1], known[0]
    )
    return Attempt(promoted, why, left_out, known, tuned.weights, tuned.base)


def _after(progress: Progress, stage: str, done: int, steps: int, step: int) -> None:
    progress(stage, done + step, steps)


def _judged(
    backbone: Backbone,
    deep: Deep,
    replay: Replay,
    kept: Dict[str, np.ndarray],
    left: Dict[str, np.ndarray],
    progress: Callable[[int], None],
) -> Tuple[Dict[str, List[bool]], Dict[str, List[bool]]]:
    """Which of the examples in `left` are right when the head alone learns `kept`, and after a pass over `kept`."""
    old = _Network(replay.weights, backbone.base)
    alone = _right(deep, old, _taught(backbone, deep, old, kept), left)
    tuned = _tuned(backbone, deep, replay, kept, progress)
    return alone, _right(deep, tuned, _taught(backbone, deep, tuned, kept), left)


def train(
    deep: Deep, replay: Replay, latents: np.ndarray, targets: np.ndarray, classes: int, progress: Callable[[int], None]
) -> np.ndarray:
    """STEPS steps from the weights before any pass. Returns weights (P,) float32.

    latents: (n, C, H, W) uint8 of the examples, targets: (n,) below classes, the known ones and those taught.
    """
    session = deep.open(STEP)
    batch, slots = next(each.shape for each in session.get_inputs() if each.name == "wanted")
    random = np.random.RandomState(0)
    examples = int(batch * _SHARE)
    own, base = _shuffled(len(targets), random), _shuffled(len(replay.train_targets), random)
    wanted = np.zeros((batch, slots), np.float32)
    mask = np.where(np.arange(slots) < classes, 0, _CLOSED).astype(np.float32)
    weights, momentum = replay.weights, np.zeros_like(replay.weights)
    for step in range(STEPS):
        taught, replayed = _take(own, examples), _take(base, batch - examples)
        seen = replay.train_latents[replayed]
        wanted[:examples] = np.eye(slots)[targets[taught]]
        wanted[examples:, : deep.spec.classes] = _soft_answers(deep, replay.weights, seen)
        given = {
            "weights": weights,
            "momentum": momentum,
            "latents": np.concatenate([latents[taught], seen]),
            "wanted": wanted,
            "mask": mask,
            "rate": np.array(_rate(step), np.float32),
        }
        weights, momentum = session.run(["weights_after", "momentum_after"], given)
        progress(step + 1)
    return weights


def tuned_base(deep: Deep, replay: Replay, weights: np.ndarray) -> Base:
    """The base over the features that the tail gives with `weights`, from the replayed latents.

    Its own classifier is the tail's; what is reported as before is still what the release's network says. Raises
    GateError if the features came to nothing.
    """
    classes, rows = deep.spec.classes, []
    for latents, targets in (replay[1:3], replay[3:5], replay[5:7]):
        found = deep.answers(weights, latents)[0]
        if not np.isfinite(found).all() or not found.any():
            raise GateError("the deeper pass diverged", "features", "nothing is changed; teach more, or leave it so")
        rows.append(Rows(found, targets))
    features = rows[0].features.shape[1]
    slots = deep.slots
    own = weights[-slots * (features + 1) :]
    made = make_base(
        *rows, weights=own[: classes * features].reshape(classes, features).T, bias=own[-slots:][:classes], seed=0
    )
    return made._replace(report_answers=replay.report_answers)


def _tuned(
    backbone: Backbone, deep: Deep, replay: Replay, latents: Dict[str, np.ndarray], progress: Callable[[int], None]
) -> _Network:
    labels = backbone.labels + tuple(sorted(set(latents) - set(backbone.labels)))
    targets = np.array([labels.index(label) for label in latents for _ in latents[label]], np.int64)
    rows = np.concatenate([latents[label] for label in latents])
    weights = train(deep, replay, rows, targets, len(labels), progress)
    return _Network(weights, tuned_base(deep, replay, weights))


def _taught(backbone: Backbone, deep: Deep, network: _Network, latents: Dict[str, np.ndarray]) -> Solved:
    """The head that the examples give over the network's features."""
    base = network.base
    codes = {label: encode(deep.answers(network.weights, rows)[0], base.step) for label, rows in latents.items()}
    return solve(base, backbone.labels, codes, is_retrained=base is not backbone.base)


def _right(deep: Deep, network: _Network, solved: Solved, left: Dict[str, np.ndarray]) -> Dict[str, List[bool]]:
    found = {}
    for label, rows in left.items():
        answers = scores(solved.head, deep.answers(network.weights, rows)[0]).argmax(axis=1)
        found[label] = [solved.head.labels[answer] == label for answer in answers]
    return found


def _mean(folds: List[Dict[str, List[bool]]]) -> float:
    """The mean over labels of the share of examples that are right, each judged without itself."""
    return float(np.mean([np.mean(list(itertools.chain(*(fold[label] for fold in folds)))) for label in folds[0]]))


def _known(deep: Deep, network: _Network, solved: Solved, replay: Replay) -> float:
    answers = scores(solved.head, deep.answers(network.weights, replay.choose_latents)[0]).argmax(axis=1)
    return float(mean_of_classes(answers == replay.choose_targets, replay.choose_targets))


def _soft_answers(deep: Deep, weights: np.ndarray, latents: np.ndarray) -> np.ndarray:
    """(N, C) float32: what the network before any pass says, softened."""
    logits = deep.answers(weights, latents)[1][:, : deep.spec.classes]
    return softmax(logits / np.float32(_SOFTNESS))


def _rate(step: int) -> float:
    return _RATE * min(1.0, (step + 1) / float(_WARM), (STEPS - step) / float(_FALL))


def _shuffled(count: int, random: np.random.RandomState) -> Iterator[int]:
    """Indices below `count` without end, each as often as any other."""
    while True:
        for index in random.permutation(count):
            yield int(index)


def _take(indices: Iterator[int], count: int) -> List[int]:
    return list(itertools.islice(indices, count))


def _sorted(latents: np.ndarray) -> np.ndarray:
    """The rows in an order that does not depend on that of teaching."""
    return latents[sorted(range(len(latents)), key=lambda row: latents[row].tobytes())]


def _check(backbone: Backbone, deep: Deep, replay: Replay, latents: Dict[str, np.ndarray]) -> None:
    if not latents:
        raise InputError("no examples", "at least {} of a label".format(FOLDS), "teach some first")
    for label, rows in sorted(latents.items()):
        if len(rows) < FOLDS:
            raise InputError(
                "{} examples of {}".format(len(rows), label), "at least {}".format(FOLDS), "teach more of it"
            )
    new, spare = len(set(latents) - set(backbone.labels)), deep.slots - deep.spec.classes
    if new > spare:
        raise InputError("{} new labels".format(new), "at most {} for the deeper pass".format(spare), "forget some")
