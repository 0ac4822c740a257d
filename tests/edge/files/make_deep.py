"""Makes the files in deep_world/: a small network of integers for the pictures of tests/edge/deep_world.py, with deep/.

Run from the repository with the desktop's Python: PYTHONPATH=.:tests/edge python tests/edge/files/make_deep.py
Its weights are random, and its classifier is fitted: good enough for what it knows, and poor for the rest. It is
written by quantize's own exporter. after.npz holds what a few steps give on the machine that made it.
"""

import shutil
from pathlib import Path

import numpy as np
import torch
from deep_world import FEW_STEPS, FOLDER, KNOWN, SPEC, TAUGHT, known_pictures, make_deep_backbone, taught_latents

import edge.deepen
from quantize.deep import write_deep
from quantize.emit import emit
from quantize.integers import IntegerConv, Integers
from quantize.plan import INPUT, Geometry
from quantize.reference import float_sums, reference_features
from train.data import Pictures

LAYERS = (  # name, inputs, outputs, kernel, stride
    ("first", 1, 8, 3, 2),
    ("second", 8, 12, 3, 2),
    ("third", 12, 12, 3, 1),
    ("fourth", 12, 16, 1, 1),
)


def make_integers(pixels: np.ndarray) -> Integers:
    """Random convolutions with scales that fit `pixels` (N, SIDE, SIDE, 1) uint8; the classifier is all zeros."""
    random = np.random.default_rng(3)
    scales = {INPUT: np.float32(1 / 128)}
    values = torch.from_numpy(pixels).permute(0, 3, 1, 2).float().sub(128).div(128)
    source, layers = INPUT, []
    for name, inputs, outputs, kernel, stride in LAYERS:
        weight = random.integers(-90, 91, (outputs, inputs, kernel, kernel)).astype(np.int8)
        weight_scale = np.full(outputs, 1 / (24 * np.sqrt(weight[0].size)), np.float32)
        bias_scale = scales[source] * weight_scale
        bias = np.rint(random.normal(0, 0.1, outputs) / bias_scale).astype(np.int32)
        geometry = Geometry((stride, stride), (kernel // 2,) * 4, (1, 1), 1)
        layer = IntegerConv(name, (source,), weight, weight_scale, bias, bias_scale, geometry, "relu")
        values = torch.relu(float_sums(Integers((layer,), scales, weight, bias), layer, (values,)))
        scales[name] = np.float32(2.0 ** np.ceil(np.log2(float(values.max()) / 127)))
        layers.append(layer)
        source = name
    outputs = LAYERS[-1][2]
    return Integers(
        tuple(layers), scales, np.zeros((len(KNOWN), outputs), np.float32), np.zeros(len(KNOWN), np.float32)
    )


def fit_classifier(integers: Integers, pixels: np.ndarray, targets: np.ndarray) -> Integers:
    features = reference_features(integers, pixels)
    rows = np.concatenate([features, np.ones((len(features), 1), np.float32)], axis=1)
    gram = np.dot(rows.T, rows) + np.eye(len(rows[0]))
    fitted = np.linalg.solve(gram, np.dot(rows.T, np.eye(len(KNOWN))[targets] * 8)).astype(np.float32)
    return Integers(integers.layers, integers.scales, fitted[:-1].T.copy(), fitted[-1].copy())


def main() -> None:
    parts = [Pictures(*known_pictures(count, seed)) for count, seed in ((40, 1), (20, 2), (20, 5))]
    integers = fit_classifier(make_integers(parts[0].pixels), parts[0].pixels, parts[0].targets)
    folder = Path(FOLDER)
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    emit(integers, SPEC, "u8", folder / "model.u8.onnx")
    write_deep(folder, integers, SPEC, parts, 0)
    np.savez(folder / "classifier.npz", weights=integers.weight.T, bias=integers.bias)
    backbone = make_deep_backbone()
    deep, latents = backbone.deep, taught_latents(backbone)
    rows, targets = np.concatenate(list(latents.values())), np.repeat([6, 7], [len(r) for r in latents.values()])
    edge.deepen.STEPS = FEW_STEPS
    weights = edge.deepen.train(deep, deep.replay(), rows, targets, 6 + len(TAUGHT), lambda step: None)
    np.savez(folder / "after.npz", weights=weights)


if __name__ == "__main__":
    main()
