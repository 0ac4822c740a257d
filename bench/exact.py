"""The rows of exactness: what runs is what was trained, in every engine, old and new."""

import subprocess
import tempfile
from pathlib import Path

import numpy as np
import onnx
from numpy.typing import NDArray

from bench.rows import Row, all_of, at_least, at_most
from bench.scores import Given
from edge.contract.errors import FormatError
from edge.engine import Engine, run_in_batches
from quantize.parse import parse_u8
from quantize.reference import reference_features
from quantize.simulate import simulate

_ROOT = Path(__file__).resolve().parents[1]
_LEAST_EQUAL = 99.99
_OLD_ENGINE = """
import sys, numpy
from edge.contract.errors import FormatError
from edge.engine import Engine
numpy.save(sys.argv[3], Engine(sys.argv[1]).run(numpy.load(sys.argv[2]))[1])
"""


def exact_rows(group: str, given: Given, command: str) -> list[Row]:
    """Features of the u8 file against the integer reference, and its answers against what QAT trained."""
    identical = f"{group}: features bit-identical to the integer reference"
    top1 = f"{group}: top-1 of u8 equal to the QAT model's"
    count = len(given.test)
    try:
        integers = parse_u8(given.ours, given.run.spec)
    except FormatError as error:
        reason = f"the u8 file cannot be read: {error.found}"
        return [Row(name, reason, "", f"all {count}", False, command) for name in (identical, top1)]
    features, logits = run_in_batches(Engine(str(given.ours)), given.test)
    same = int((features == reference_features(integers, given.test)).all(1).sum())
    equal = 100 * float((logits.argmax(1) == simulate(integers, given.test).argmax(1)).mean())
    return [
        Row(identical, same, f"of {count} pictures", *all_of(count, same), command),
        Row(top1, equal, "%", *at_least(_LEAST_EQUAL, equal), command),
    ]


def fused_row(models: dict[str, Path], command: str) -> Row:
    """Convolutions that this onnxruntime runs in integers, of those in the u8 files."""
    planned, fused = 0, {}
    for name, model in models.items():
        convs = sum(node.op_type == "Conv" for node in onnx.load(str(model)).graph.node)
        planned += convs
        fused[name] = _fused_convolutions(model)
    total = sum(fused.values())
    unit = f"of {planned}, in {len(models)} runs"
    return Row("integer convolutions fused by onnxruntime", total, unit, *all_of(planned, total), command)


def old_engine_row(models: dict[str, tuple[Path, NDArray[np.uint8]]], python36: Path | None, command: str) -> Row:
    """Logits of Python 3.6 with onnxruntime 1.10 against this Python's. models: file and pixels (N, H, W, C) by run."""
    name, unit = "logits of Python 3.6 with onnxruntime 1.10, largest difference", f"in {len(models)} runs"
    if python36 is None:
        return Row(name, "not run: no Python 3.6", unit, "<= 0", None, command)
    largest = 0.0
    for model, pixels in models.values():
        _, logits = Engine(str(model)).run(pixels)
        old = _old_logits(python36, model, pixels)
        if isinstance(old, str):
            return Row(name, f"not run: {old}", unit, "<= 0", None, command)
        largest = max(largest, float(np.abs(old - logits).max()))
    return Row(name, largest, unit, *at_most(0, largest), command)


def _fused_convolutions(model: Path) -> int:
    with tempfile.TemporaryDirectory() as scratch:
        optimized = Path(scratch) / "optimized.onnx"
        Engine(str(model), optimized_path=str(optimized))
        return sum(node.op_type == "QLinearConv" for node in onnx.load(str(optimized)).graph.node)


def _old_logits(python36: Path, model: Path, pixels: NDArray[np.uint8]) -> NDArray[np.float32] | str:
    """Logits (N, classes), or the last line of what went wrong."""
    with tempfile.TemporaryDirectory() as scratch:
        given, found = Path(scratch) / "pixels.npy", Path(scratch) / "logits.npy"
        np.save(given, pixels)
        command = [str(python36), "-B", "-c", _OLD_ENGINE, str(model.resolve()), str(given), str(found)]
        done = subprocess.run(command, cwd=_ROOT, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            return (done.stderr.strip().splitlines() or ["no word"])[-1]
        logits: NDArray[np.float32] = np.load(found)
        return logits
