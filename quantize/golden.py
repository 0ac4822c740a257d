"""Golden vectors: the pictures and features by which a board proves that it computes what the desk did."""

import io
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from edge.contract.files import write_whole
from edge.contract.spec import ModelSpec
from edge.engine import Engine
from edge.preprocess import prepare
from quantize.emit import summed_in_float
from quantize.integers import Float32, Integers
from quantize.reference import float_features, reference_features

Float64 = NDArray[np.float64]
_PICTURES = 8
_CANDIDATES, _FRAMED = 64, 16  # pictures that they are chosen from, and of these as a larger frame


def write_golden(path: Path, integers: Integers, spec: ModelSpec, pictures: NDArray[np.uint8]) -> None:
    """golden.npz: input bytes and the features that each form must give for them.

    pictures: (N, H, W, C) uint8. The first row's is a frame larger than the model's input, so that crop, resize and
    colour conversion are proved too. Features are the integer reference's, never a session's. The models are beside
    `path`: of the first pictures those are taken that hang least on where an engine rounds (ADR 38).
    """
    pictures = pictures[:_CANDIDATES]
    framed = max(1, len(pictures) - _CANDIDATES + _FRAMED)
    frames = [_larger(picture, spec) for picture in pictures[:framed]]
    pixels = np.concatenate([np.stack([prepare(frame, spec) for frame in frames]), pictures[framed:]])
    expected = {
        "s8": reference_features(integers, pixels),
        "s8_identity": reference_features(integers, pixels, summed_in_float(integers)),
    }
    off = np.max(
        [_off(path.parent / f"model.{form}.onnx", pixels, features) for form, features in expected.items()], axis=0
    )
    first, others = int(off[:framed].argmin()), np.argsort(off[framed:], kind="stable")[: _PICTURES - 1]
    chosen = np.concatenate([[first], framed + np.sort(others)])
    features = {form: rows[chosen] for form, rows in expected.items()}
    features |= {"u8": features["s8"], "float": float_features(integers, pixels[chosen])}
    content = io.BytesIO()
    np.savez(content, frame=frames[first], pixels=pixels[chosen], **features)
    write_whole(str(path), content.getvalue())


def _larger(picture: NDArray[np.uint8], spec: ModelSpec) -> NDArray[np.uint8]:
    frame = cv2.resize(picture, (spec.width * 5 + 7, spec.height * 4 + 5), interpolation=cv2.INTER_CUBIC)
    return np.asarray(frame if frame.ndim == 3 else np.dstack([frame, frame, frame]), np.uint8)


def _off(model: Path, pixels: NDArray[np.uint8], expected: Float32) -> Float64:
    """(N,): how far a model's features are at most from what is expected, in parts of that.

    One by one or together, optimized or not: each has another order of float sums in onnxruntime.
    """
    distances = []
    for optimize in (True, False):
        engine = Engine(str(model), optimize=optimize)
        for size in (1, _PICTURES):
            parts = np.split(pixels, range(size, len(pixels), size))
            found = np.concatenate([engine.run(part)[0] for part in parts])
            distances.append(np.linalg.norm(found - expected, axis=1))
    off: Float64 = np.max(distances, axis=0) / np.maximum(np.linalg.norm(expected, axis=1), 1e-30)
    return off
