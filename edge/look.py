"""The camera's look: a 256-entry table a channel in front of the network, the identity until a better one is found.

What a camera does to bytes (ink on paper where training had white on black, a dim room, a flat lens) is undone where
it happened, at no cost at run time, and no head behind the network comes near it.
"""

from typing import Callable, Dict, List, NamedTuple, Optional

import cv2
import numpy as np

_GAINS = (0.6, 0.8, 1.25, 1.6, 2.2)
_OFFSETS = (-64, -32, 32, 64)
_GAMMAS = (0.45, 0.7, 1.4, 2.2)
_CONTRASTS = (0.6, 1.5, 2.2)  # about 128
_LOWER = (0.5, 5.0)  # percent of the pictures' bytes: a stretch takes the lower one to 0
_UPPER = (50.0, 80.0, 95.0, 99.5)  # and the upper one to 255

FEWEST_UNLABELLED = 8
# Shares of the most that the pictures can tell, log(classes): what wrong looks for pictures of one class do not reach
_TOLD, _GAIN, _DOUBT = 0.5, 0.25, 0.25
_RIVAL = 0.85  # of the best look's score
_STRANGEST = 3.0  # times the held-out pictures' median
_LEAST_GAIN = 0.05  # nats a labelled picture
_SURPRISE = 1e-3  # one picture that is certainly wrong shall not outweigh all others


class Look(NamedTuple):
    name: str
    table: np.ndarray  # (256, channels) uint8


class Answers(NamedTuple):
    """What the network makes of N pictures."""

    probabilities: np.ndarray  # (N, C)
    strangeness: np.ndarray  # (N,): about 1 for pictures like those of the training


class LookChoice(NamedTuple):
    """Scores are in nats a picture: the log likelihood of labels or, without labels, the mutual information."""

    look: Look
    changed: bool
    score: float
    present_score: float  # of the look that was in force
    why: str  # for a person


def identity(channels: int) -> Look:
    """The look that changes nothing."""
    return Look("identity", _table(np.arange(256.0), channels))


def apply_look(pixels: np.ndarray, table: np.ndarray) -> np.ndarray:
    """pixels: (..., H, W, channels) uint8. Returns the same shape with every byte looked up in its channel's column."""
    flat = pixels.reshape(-1, 1, pixels.shape[-1])
    return cv2.LUT(flat, table[:, np.newaxis, :].reshape(256, 1, -1)).reshape(pixels.shape)


def fit_look(
    pixels: np.ndarray,
    targets: Optional[np.ndarray],
    answer: Callable[[np.ndarray], Answers],
    present: Look,
    progress: Callable[[int, int], None],
) -> LookChoice:
    """The look that suits pixels (N, H, W, channels) uint8, N at least 1: `present` unless another is clearly better.

    targets: (N,) whole numbers, columns of the probabilities that `answer` gives for pixels, or None. `progress` hears
    how many looks of how many were tried.
    """
    looks = [present] + [look for look in candidates(pixels) if (look.table != present.table).any()]
    answers = []
    for tried, look in enumerate(looks):
        answers.append(answer(apply_look(pixels, look.table)))
        progress(tried + 1, len(looks))
    found = np.array([each.probabilities for each in answers], np.float64)  # (looks, N, C)
    scores = _information(found) if targets is None else _likelihood(found, targets)
    best = int(np.argmax(scores))
    why = "{}: {:.2f} nats a picture, {}: {:.2f}".format(looks[best].name, scores[best], present.name, scores[0])
    if best == 0:
        refusal = "no other look is better"
    elif targets is None:
        refusal = _doubtful(found, scores, float(np.median(answers[best].strangeness)))
    else:
        refusal = _unproved(found, scores)
    if refusal:
        return LookChoice(present, False, float(scores[0]), float(scores[0]), "{}; {}".format(why, refusal))
    return LookChoice(looks[best], True, float(scores[best]), float(scores[0]), why)


def _likelihood(found: np.ndarray, targets: np.ndarray) -> np.ndarray:
    """found: (looks, N, C), targets: (N,). Returns the mean log likelihood of the labels under each look."""
    picked = found[:, np.arange(len(targets)), targets]
    return np.log(np.maximum(picked, _SURPRISE)).mean(axis=1)


def _information(found: np.ndarray) -> np.ndarray:
    """found: (looks, N, C). Returns H(mean p) - mean H(p): high for answers that are sure, and differ."""
    return _entropy(found.mean(axis=1)) - _entropy(found).mean(axis=1)


def _unproved(found: np.ndarray, scores: np.ndarray) -> str:
    """Why labelled pictures do not prove the best look, or nothing. The best of many is lucky by their log."""
    looks, count, _ = found.shape
    gain = scores.max() - scores[0]
    if gain < _LEAST_GAIN or gain * count < np.log(looks) + 2:
        return "{} labelled pictures do not prove so small a gain".format(count)
    return ""


def _doubtful(found: np.ndarray, scores: np.ndarray, strangeness: float) -> str:
    """Why unlabelled pictures, answered (looks, N, C), do not prove the best look, or nothing.

    Pictures of one class tell nothing: the right look scores 0, and a wrong one that scatters them scores more. So
    the best must tell much of what that many pictures could tell, leave little doubt, have no rival that tells
    nearly as much and something else, and make the pictures about as ordinary as held-out ones.
    """
    best = int(np.argmax(scores))
    _, count, classes = found.shape
    if count < FEWEST_UNLABELLED:
        return "{} unlabelled pictures are too few, {} are needed".format(count, FEWEST_UNLABELLED)
    most = np.log(min(count, classes))
    if scores[best] < _TOLD * most or _entropy(found[best]).mean() > _DOUBT * most:
        return "the answers are too alike or too unsure: show pictures of more classes, or give labels"
    if scores[best] - scores[0] < _GAIN * most:
        return "that is too little gain"
    if strangeness > _STRANGEST:
        return "that makes the pictures unlike those of the training: give labels"
    said = found.argmax(axis=2)
    rivals = said[scores >= _RIVAL * scores[best]]
    if ((rivals == said[best]).mean(axis=1) < 0.5).any():
        return "another look is as sure of other answers: give labels"
    return ""


def _entropy(probabilities: np.ndarray) -> np.ndarray:
    return -(probabilities * np.log(np.maximum(probabilities, 1e-12))).sum(axis=-1)


def candidates(pixels: np.ndarray) -> List[Look]:
    """Looks worth trying on pixels (N, H, W, channels) uint8, each table once; the identity first."""
    channels = pixels.shape[-1]
    levels = np.arange(256.0)
    curves = [("identity", levels), ("inverted", 255 - levels)]
    curves += [("gain {}".format(g), levels * g) for g in _GAINS]
    curves += [("offset {:+d}".format(o), levels + o) for o in _OFFSETS]
    curves += [("gamma {}".format(g), _gamma(levels, g)) for g in _GAMMAS]
    curves += [("inverted, gamma {}".format(g), _gamma(255 - levels, g)) for g in _GAMMAS]
    curves += [("contrast {}".format(c), (levels - 128) * c + 128) for c in _CONTRASTS]
    found = [Look(name, _table(curve, channels)) for name, curve in curves]
    found += _stretches(pixels.reshape(-1), levels, channels, "")
    if channels == 3:
        found += _stretches(pixels.reshape(-1, 3), levels[:, np.newaxis], channels, " of each colour")
    seen: Dict[bytes, Look] = {}
    for look in found:
        seen.setdefault(look.table.tobytes(), look)
    return list(seen.values())


def _stretches(values: np.ndarray, levels: np.ndarray, channels: int, suffix: str) -> List[Look]:
    found = []
    for lower in _LOWER:
        for upper in _UPPER:
            for inverted in (False, True):
                ends = (100 - upper, 100 - lower) if inverted else (lower, upper)
                low, high = np.percentile(values, ends, axis=0)
                curve = (levels - low) * 255 / np.maximum(high - low, 1)
                name = "stretch {:g} to {:g} %{}".format(ends[0], ends[1], suffix)
                found.append(Look(name, _table(curve, channels)))
                found.append(Look("inverted, " + name, _table(255 - curve, channels)))
    return found


def _gamma(levels: np.ndarray, gamma: float) -> np.ndarray:
    return 255 * (levels / 255) ** gamma


def _table(curve: np.ndarray, channels: int) -> np.ndarray:
    rounded = np.clip(np.rint(curve), 0, 255).astype(np.uint8)
    return np.ascontiguousarray(np.broadcast_to(rounded.reshape(256, -1), (256, channels)))
