"""Golden vectors: whether this board computes from a release's pixels exactly what the desk did."""

import zlib
from typing import Dict, NamedTuple

import numpy as np

from edge.contract.errors import FormatError, GateError, InputError
from edge.contract.spec import FORMS
from edge.engine import Engine
from edge.preprocess import prepare
from edge.release import Release

MIN_COSINE = 0.999  # s8 and float models round elsewhere than the integer reference


class GoldenReport(NamedTuple):
    release: str  # its folder
    form: str
    pictures: int
    identical: int  # pictures whose features are the desk's, bit for bit
    lowest_cosine: float


def check_golden(release: Release, engine: Engine, form: str = "u8") -> GoldenReport:
    """Runs golden.npz through `prepare` and `engine`, which holds the release's model of that form.

    Raises FormatError for a malformed golden.npz and GateError where the pixels or a feature differ: u8 must be
    identical, the other forms reach MIN_COSINE in each row.
    """
    golden = _load(release)
    pixels, expected = golden["pixels"], golden[form]
    if not np.array_equal(prepare(golden["frame"], release.manifest.model), pixels[0]):
        raise _differs("the prepared frame is not the desk's, byte for byte")
    try:
        features, _ = engine.run(pixels)
    except InputError as error:
        raise FormatError("the {} model: {}".format(form, error.found), error.expected, "pack it again") from None
    if features.shape != expected.shape:
        raise _differs("features of shape {} instead of {}".format(features.shape, expected.shape))
    same = (features == expected).all(axis=1)
    cosine = _cosine(features.astype(np.float64), expected.astype(np.float64))
    held = same if form == "u8" else cosine >= MIN_COSINE
    if not held.all():
        row = int(np.argmin(held))
        worst = float(np.abs(features[row] - expected[row]).max())
        found = "features of picture {} with {} are off by up to {:.3g}, cosine {:.5f}"
        raise _differs(found.format(row, form, worst, cosine[row]))
    return GoldenReport(release.path, form, len(pixels), int(same.sum()), float(cosine.min()))


def golden_pixels(release: Release) -> np.ndarray:
    """The input of the golden vectors: (N, height, width, channels) uint8. Raises FormatError."""
    return _load(release)["pixels"]


def _load(release: Release) -> Dict[str, np.ndarray]:
    """frame (H, W, 3) uint8, pixels (N, height, width, channels) uint8; each of FORMS (N, features) float32."""
    import zipfile  # as in edge/base.py

    path = release.file("golden.npz")
    try:
        with np.load(path, allow_pickle=False) as file:
            golden = {name: file[name] for name in ("frame", "pixels") + FORMS}
    except (OSError, ValueError, KeyError, TypeError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        raise FormatError(
            "{}: {}".format(path, error), "frame, pixels and a block for each form", "pack it again"
        ) from None
    spec = release.manifest.model
    frame, pixels = golden["frame"], golden["pixels"]
    picture = (spec.height, spec.width, spec.channels)
    good = frame.dtype == pixels.dtype == np.uint8 and frame.ndim == 3 and frame.shape[2] == 3 and frame.size > 0
    good = good and pixels.ndim == 4 and pixels.shape[1:] == picture and len(pixels) > 0
    for form in FORMS:
        good = good and golden[form].dtype == np.float32 and golden[form].shape == (len(pixels), spec.features)
    if not good:
        shapes = ", ".join("{} {} {}".format(n, a.dtype, a.shape) for n, a in sorted(golden.items()))
        raise FormatError("{} holds {}".format(path, shapes), "the shapes of the model spec", "pack it again")
    return golden


def _cosine(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Of each row. Two rows of zeros are the same, so 1; a NaN stays a NaN and holds nowhere."""
    product = np.linalg.norm(a, axis=1) * np.linalg.norm(b, axis=1)
    return np.where((a == b).all(axis=1), 1.0, (a * b).sum(axis=1) / np.where(product == 0, 1.0, product))


def _differs(found: str) -> GateError:
    return GateError(found, "what golden.npz says", "do not use this release on this board")
