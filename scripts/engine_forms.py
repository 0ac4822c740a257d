"""What another engine's features do to what is learnt: scripts/engine_forms.py DATA RUN [RUN ...]

DATA holds trashnet as its README says; a RUN is a quantized run of its five classes, as scripts/int8_runs.py makes
them. The sixth class is taught from 5 pictures, in 10 draws, under one engine and asked under another; what the desk
made, head.npz, is by cpu-u8's file throughout. Needs the package openvino: its FP16 on a CPU that has it stands for
TensorRT's. A Markdown table on stdout; docs/adr/0021 draws the conclusion.
"""

import itertools
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edge.base import Base, encode, read_base
from edge.contract.labels import parse_labels
from edge.contract.spec import ModelSpec, parse_spec_text
from edge.engine import Engine, run_in_batches
from edge.head import even, probabilities
from edge.open_engine import OneByOne
from edge.openvino_session import OpenVinoSession
from edge.preprocess import decode_bytes, prepare
from edge.solve import solve
from edge.unknown import threshold, unlikeness

NEW, SHOTS, DRAWS = "trash", 5, 10
Features = NDArray[np.float32]
ENGINES: dict[str, Callable[[str], Engine | OneByOne]] = {
    "cpu-u8": lambda folder: Engine(f"{folder}/model.u8.onnx"),
    "s8 (OpenVINO)": lambda folder: OneByOne(OpenVinoSession(f"{folder}/model.s8.onnx")),
    "s8_identity (OpenVINO)": lambda folder: OneByOne(OpenVinoSession(f"{folder}/model.s8_identity.onnx")),
    "float in FP32 (CPU)": lambda folder: Engine(f"{folder}/model.float.onnx"),
    "float in FP16 (OpenVINO)": lambda folder: OneByOne(OpenVinoSession(f"{folder}/model.float.onnx", precision="f16")),
}


def main() -> None:
    data, runs = Path(sys.argv[1]), [Path(name) for name in sys.argv[2:]]
    scores: dict[tuple[str, str], list[list[float]]] = {}
    for run in runs:
        print(run, file=sys.stderr)
        for pair, rows in scores_of(run / "int8", data / "trashnet" / "trashnet_256.zip").items():
            scores.setdefault(pair, []).extend(rows)
    print("| taught under | asked under | least cosine to u8 | untaught | new class | lost by mixing, points ", end="")
    print("| known classes | called unknown |")
    print("| --- | --- | --- | --- | --- | --- | --- | --- |")
    for (taught, asked), rows in scores.items():
        cosine, (untaught, new, known, unknown) = min(row[0] for row in rows), np.mean(rows, axis=0)[1:]
        lost = np.subtract(scores[asked, asked], rows)[:, 2] * 100  # of the same draws, in points
        error = lost.std(ddof=1) / np.sqrt(len(lost))
        mixed = f"{lost.mean():.1f} ± {error:.1f}" if taught != asked else ""
        shares = f"{untaught:.1%} | {new:.1%} | {mixed} | {known:.1%} | {unknown:.1%}"
        print(f"| {taught} | {asked} | {cosine:.4f} | {shares} |")


def scores_of(folder: Path, photos: Path) -> dict[tuple[str, str], list[list[float]]]:
    """A row for each draw: least cosine, then shares as in the table."""
    spec = parse_spec_text((folder / "spec.json").read_text("utf-8"))
    labels = parse_labels((folder / "labels.txt").read_text("utf-8"))
    base = read_base(str(folder / "head.npz"), spec)
    pool = read_pictures(photos, spec, "train", [NEW])[0]
    test, targets = read_pictures(photos, spec, "test", [*labels, NEW])
    seen: dict[str, tuple[Features, Features]] = {}
    for name, opened in ENGINES.items():
        engine = opened(str(folder))
        seen[name] = run_in_batches(engine, pool)[0], run_in_batches(engine, test)[0]
    pairs = [(name, name) for name in ENGINES]
    pairs += [pair for pair in itertools.permutations(ENGINES, 2) if "cpu-u8" in pair]
    draws = [np.random.default_rng(seed).permutation(len(pool))[:SHOTS] for seed in range(DRAWS)]
    return {
        (one, other): [
            [
                least_cosine(seen["cpu-u8"][1], seen[other][1]),
                *shares(base, labels, seen[one][0][rows], seen[other][1], targets),
            ]
            for rows in draws
        ]
        for one, other in pairs
    }


def shares(
    base: Base,
    labels: tuple[str, ...],
    examples: Features,
    test: Features,
    targets: NDArray[np.int64],
) -> list[float]:
    """Right without a lesson; right of the new class and of the known ones after it; known ones called unknown."""
    known = targets < len(labels)
    untaught = (np.dot(test[known], base.weights) + base.bias).argmax(1) == targets[known]
    head, unlike, _ = solve(base, labels, {NEW: encode(examples, base.step)}, is_retrained=False)
    order = np.array([head.labels.index(label) for label in (*labels, NEW)])
    right = probabilities(head, test).argmax(1) == order[targets]
    unknown = unlikeness(unlike, even(test[known])) > threshold(unlike, 0.05)
    return [float(np.mean(part)) for part in (untaught, right[~known], right[known], unknown)]


def read_pictures(
    photos: Path, spec: ModelSpec, part: str, labels: list[str]
) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    with zipfile.ZipFile(photos) as archive:
        names = sorted(name for name in archive.namelist() if name.endswith(".jpg") and name.split("/")[-3] == part)
        names = [name for name in names if name.split("/")[-2] in labels]
        pixels = np.stack([prepare(decode_bytes(archive.read(name), name), spec) for name in names])
    return pixels, np.array([labels.index(name.split("/")[-2]) for name in names])


def least_cosine(a: Features, b: Features) -> float:
    product = np.linalg.norm(a, axis=1) * np.linalg.norm(b, axis=1)
    return float(((a * b).sum(1) / product).min())


if __name__ == "__main__":
    main()
