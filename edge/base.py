"""head.npz: what the desktop hands to learning on the board: a solved ridge regression, and two held-out samples.

A row is z = [e, 1]: e the evened features, kept as int8 codes (see `encode`), 1 the constant. Every class weighs 1 in
the sums that were solved, however many pictures it had, so that one taught later with five pictures is its equal.
"""

import io
from typing import BinaryIO, NamedTuple, Tuple

import numpy as np

from edge.contract.errors import FormatError, InputError
from edge.contract.files import write_whole
from edge.contract.spec import ModelSpec
from edge.head import Head, even
from edge.leverage import DIRECTIONS, leverage, principal
from edge.ridge import invert

SAMPLE_BYTES = 2 << 20  # of codes in each of the two samples
SAMPLE_ROWS = 200  # a class
_HEAD_ROOM = 1.5  # new things may excite a feature more than the training pictures did
_RIDGES = (0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0)  # of the evened features' mean energy
BATCH = 256  # rows that are floats at once
_QUIET = 0.1  # a feature quieter than this part of the loudest is coded as if it were this loud


class Rows(NamedTuple):
    """Pictures as the INT8 network sees them."""

    features: np.ndarray  # (N, D) float32
    targets: np.ndarray  # (N,) whole numbers below C


class Base(NamedTuple):
    """D features, C classes. Written on the desktop, never changed on the board."""

    weights: np.ndarray  # (D, C) float32: the network's own classifier, logits = features @ weights + bias
    bias: np.ndarray  # (C,) float32
    step: np.ndarray  # (D,) float32 above 0: an evened feature is about its code times its step
    inverse: np.ndarray  # (D + 1, D + 1) float32: of the sum over classes of the mean of z z^T, with the penalty
    directions: np.ndarray  # (D + 1, K) float32 and
    rest: np.ndarray  # () float32: of the same sum, what edge.leverage makes of it, K at most DIRECTIONS
    solution: np.ndarray  # (D + 1, C) float64: the scores of a row z are z @ solution
    choose_codes: np.ndarray  # (M, D) int8: not in the sums; the board's choices rest on them
    choose_targets: np.ndarray  # (M,) int64
    choose_leverage: np.ndarray  # (M,) float32: how far each is from the sum, by edge.leverage
    report_codes: np.ndarray  # (R, D) int8: not in the sums, and no choice touches them, so verdicts rest on them
    report_targets: np.ndarray  # (R,) int64
    report_answers: np.ndarray  # (R,) int64: what the network's own classifier says of them


def make_base(train: Rows, choose: Rows, report: Rows, weights: np.ndarray, bias: np.ndarray, seed: int) -> Base:
    """The Base of a trained network.

    train: all training pictures; choose, report: pictures that it was not trained on, to choose by and to report on;
    weights (D, C) and bias (C,): its classifier; seed: picks the samples. Raises InputError for a class without a
    training picture, no held-out picture or no finite feature.
    """
    classes = weights.shape[1]
    count = _checked_count(train, choose, report, classes)
    weights, bias = np.array(weights, np.float32), np.array(bias, np.float32)
    step = _steps(even(train.features))
    gram, moments = _balanced_sums(encode(train.features, step), train.targets, count, step)
    most = min(SAMPLE_BYTES // len(step), SAMPLE_ROWS * classes)
    chosen = spread(choose.targets, classes, most, seed)
    reported = spread(report.targets, classes, most, seed)
    choose_codes = encode(choose.features[chosen], step)
    choose_targets = np.asarray(choose.targets)[chosen].astype(np.int64)
    solution = _solve_with_best_penalty(gram, moments, choose_codes, choose_targets, step)
    directions, rest = principal(gram)
    invert(gram)
    return Base(
        weights=weights,
        bias=bias,
        step=step,
        inverse=gram.astype(np.float32),
        directions=directions,
        rest=rest,
        solution=solution,
        choose_codes=choose_codes,
        choose_targets=choose_targets,
        choose_leverage=_leverage(directions, rest, choose_codes, step),
        report_codes=encode(report.features[reported], step),
        report_targets=np.asarray(report.targets)[reported].astype(np.int64),
        report_answers=(np.dot(report.features[reported], weights) + bias).argmax(axis=1).astype(np.int64),
    )


def _checked_count(train: Rows, choose: Rows, report: Rows, classes: int) -> np.ndarray:
    """(C,) training pictures of each class. Raises InputError as make_base does."""
    count = np.bincount(train.targets, minlength=classes)
    if len(count) != classes or count.min() == 0 or min(len(choose.targets), len(report.targets)) == 0:
        raise InputError(
            "{} pictures of {} classes to learn from, {} and {} held out".format(
                len(train.targets), np.count_nonzero(count), len(choose.targets), len(report.targets)
            ),
            "some of each of {} classes, and some held out".format(classes),
            "add pictures",
        )
    finite = all(np.isfinite(rows.features).all() for rows in (train, choose, report))
    if not (finite and train.features.any()):
        raise InputError("features that are all 0 or not finite", "a network that responds", "train it again")
    return count


def _balanced_sums(
    codes: np.ndarray, targets: np.ndarray, count: np.ndarray, step: np.ndarray
) -> Tuple[np.ndarray, np.ndarray]:
    """Sums over the classes of the means of z z^T, (D + 1, D + 1), and the means of z, (D + 1, C), in float64."""
    to_features = scale(step)
    gram, moments = np.zeros((len(to_features), len(to_features))), np.zeros((len(to_features), len(count)))
    for c, n in enumerate(count):
        class_gram, class_sum = code_sums(codes[targets == c])
        class_gram /= n
        gram += class_gram
        moments[:, c] = to_features * class_sum / n
    gram *= to_features
    gram *= to_features[:, np.newaxis]
    return gram, moments


def _solve_with_best_penalty(
    gram: np.ndarray, moments: np.ndarray, codes: np.ndarray, targets: np.ndarray, step: np.ndarray
) -> np.ndarray:
    """Adds to `gram`, for every feature but the constant, what leaves the least squared error on the `choose` sample.

    Each class weighs the same. Returns the solution, (D + 1, C) float64.
    """
    wanted, shares = np.eye(moments.shape[1])[targets], 1.0 / np.bincount(targets)[targets]
    features = slice(0, -1, len(gram) + 1)  # their places on the diagonal, of the matrix as one row
    energy = gram.flat[features].copy()
    best, least, chosen = moments, np.inf, 0.0
    for penalty in np.array(_RIDGES) * energy.mean():
        gram.flat[features] = energy + penalty
        solution = np.linalg.solve(gram, moments)
        missed = wanted - evened_product(codes, step, solution)
        error = np.dot(shares, (missed**2).sum(axis=1))
        if error < least:
            best, least, chosen = solution, error, penalty
    gram.flat[features] = energy + chosen
    return best


def _leverage(directions: np.ndarray, rest: np.ndarray, codes: np.ndarray, step: np.ndarray) -> np.ndarray:
    return np.concatenate(
        [
            leverage(directions, rest, evened_rows(codes[i : i + BATCH], step).astype(np.float32))
            for i in range(0, len(codes), BATCH)
        ]
    )


def base_head(base: Base, labels: Tuple[str, ...]) -> Head:
    """The network's own classifier: what runs while nothing has been taught."""
    return Head(base.weights, base.bias, labels, 1.0, evened=False)


def encode(features: np.ndarray, step: np.ndarray) -> np.ndarray:
    """features: (N, D) float32, step: (D,) float32. Returns (N, D) int8: rounded, evened features / step."""
    return np.clip(np.rint(even(features) / step), -127, 127).astype(np.int8)


def code_sums(codes: np.ndarray) -> Tuple[np.ndarray, np.ndarray]:
    """codes: (N, D) int8. Returns the sums of x x^T (D + 1, D + 1) and of x (D + 1,) over x = [c, 1], float64.

    Both are whole numbers below 2^53, so they are exact and no order of the rows changes a bit of them.
    """
    rows = with_one(codes)
    return np.dot(rows.T, rows), rows.sum(axis=0)


def evened_rows(codes: np.ndarray, step: np.ndarray) -> np.ndarray:
    """codes: (N, D) int8. Returns the rows [evened features, 1] that they stand for: (N, D + 1) float64."""
    return with_one(codes) * scale(step)


def evened_product(codes: np.ndarray, step: np.ndarray, matrix: np.ndarray) -> np.ndarray:
    """evened_rows(codes, step) @ matrix, (N, K) float64, N above 0, with few of the rows in memory at a time."""
    weights = matrix * scale(step)[:, np.newaxis]
    return np.concatenate([np.dot(with_one(codes[i : i + BATCH]), weights) for i in range(0, len(codes), BATCH)])


def scale(step: np.ndarray) -> np.ndarray:
    """(D + 1,) float64: what takes a row of codes x = [c, 1] to z."""
    return np.append(step.astype(np.float64), 1.0)


def with_one(codes: np.ndarray) -> np.ndarray:
    """codes: (N, D) int8. Returns the rows x = [c, 1]: (N, D + 1) float64."""
    return np.concatenate([codes, np.ones((len(codes), 1))], axis=1)


def _steps(features: np.ndarray) -> np.ndarray:
    loudest = np.abs(features).max(axis=0)
    loudest = np.maximum(loudest, _QUIET * loudest.max())
    return (loudest * (_HEAD_ROOM / 127)).astype(np.float32)


def spread(targets: np.ndarray, classes: int, most: int, seed: int) -> np.ndarray:
    """Sorted indices of at most `most` rows, evenly over the classes."""
    random = np.random.RandomState(seed)
    rows = max(1, most // classes)
    picked = np.concatenate([random.permutation(np.flatnonzero(targets == c))[:rows] for c in range(classes)])
    return np.sort(random.permutation(picked)[:most])


def base_bytes(base: Base) -> bytes:
    """The content of a head.npz. The same base gives the same bytes."""
    data = io.BytesIO()
    np.savez(data, **base._asdict())
    return data.getvalue()


def write_base(path: str, base: Base) -> None:
    """Writes head.npz at `path`, whole or not at all."""
    write_whole(path, base_bytes(base))


def read_base(path: str, spec: ModelSpec) -> Base:
    """The Base in the head.npz at `path`, for a model of `spec`. Raises FormatError on anything unexpected."""
    try:
        with open(path, "rb") as file:
            return parse_base(file, path, spec)
    except OSError as error:
        raise _bad(path, str(error.strerror), "a head.npz that edgewise wrote") from None


def parse_base(content: BinaryIO, name: str, spec: ModelSpec) -> Base:
    """As read_base, of a head.npz's content; `name` is what an error calls it."""
    import zipfile  # here, so that a start loads it while the network opens; numpy, too, loads it when it reads one

    if not zipfile.is_zipfile(content):
        raise _bad(name, "no zip file", "a head.npz that edgewise wrote")
    try:
        content.seek(0)
        with np.load(content, allow_pickle=False) as file:
            arrays = {each: file[each] for each in file.files}
    except Exception as error:  # noqa: BLE001  numpy and zipfile raise a dozen kinds for a damaged file
        raise _bad(name, str(error).split("\n")[0], "a head.npz that edgewise wrote") from None
    if set(arrays) != set(Base._fields):
        raise FormatError(
            "{}: it holds {}".format(name, ", ".join(sorted(arrays))),
            ", ".join(Base._fields),
            "another version of edgewise wrote it: quantize the run again",
        )
    base = Base(**arrays)
    _check(name, base, spec.features, spec.classes)
    return base


def _check(path: str, base: Base, features: int, classes: int) -> None:
    chosen, reported = len(base.choose_targets), len(base.report_targets)
    forms = {
        "weights": (np.float32, (features, classes)),
        "bias": (np.float32, (classes,)),
        "step": (np.float32, (features,)),
        "inverse": (np.float32, (features + 1, features + 1)),
        "directions": (np.float32, (features + 1, min(features + 1, DIRECTIONS))),
        "rest": (np.float32, ()),
        "solution": (np.float64, (features + 1, classes)),
        "choose_codes": (np.int8, (chosen, features)),
        "choose_targets": (np.int64, (chosen,)),
        "choose_leverage": (np.float32, (chosen,)),
        "report_codes": (np.int8, (reported, features)),
        "report_targets": (np.int64, (reported,)),
        "report_answers": (np.int64, (reported,)),
    }
    for name, (dtype, shape) in forms.items():
        array = getattr(base, name)
        if array.dtype != dtype or array.shape != shape:
            raise _bad(
                path, "{} is {} {}".format(name, array.dtype, array.shape), "{} {}".format(np.dtype(dtype), shape)
            )
        if array.dtype.kind == "f" and not np.isfinite(array).all():
            raise _bad(path, "{} holds a number that is not finite".format(name), "finite numbers")
    if base.step.min() <= 0 or base.inverse.diagonal().min() <= 0 or base.rest <= 0:
        raise _bad(path, "a step or a variance is not above 0", "positive ones")
    for name in ("choose_targets", "report_targets", "report_answers"):
        targets = getattr(base, name)
        if len(targets) == 0 or targets.min() < 0 or targets.max() >= classes:
            raise _bad(path, "{} is empty or out of range".format(name), "whole numbers below {}".format(classes))


def _bad(path: str, found: str, expected: str) -> FormatError:
    return FormatError("{}: {}".format(path, found), expected, "pack or flash the release again")
