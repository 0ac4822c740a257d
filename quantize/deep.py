"""The deep/ folder of a run: what a board needs to retrain the network's last blocks, without torch."""

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray

from edge.base import SAMPLE_BYTES, SAMPLE_ROWS, spread
from edge.contract.errors import GateError, InputError
from edge.contract.spec import ModelSpec
from edge.deep import BODY, REPLAY, STEP, TAIL, Deep, Replay
from edge.engine import Engine, run_in_batches
from quantize.emit import emit_body
from quantize.integers import Integers
from quantize.reference import layer_codes
from quantize.step import emit_step, emit_tail
from quantize.tail import Tail, find_tail, flat
from train.data import Pictures

_TRAIN_BYTES, _HELD_OUT_BYTES = 12 << 20, 4 << 20  # of latents: of training pictures, of each held-out sample
_CHECKED = 16  # pictures whose latents are compared with the integer reference


def write_deep(folder: Path, integers: Integers, spec: ModelSpec, parts: Sequence[Pictures], seed: int) -> None:
    """Writes FOLDER/deep, of FOLDER/model.u8.onnx's integers.

    parts: training pictures, those that choices rest on, and those to report on. Raises InputError for a network
    without last blocks that a board could retrain, GateError if the body gives other codes than the integer reference.
    """
    tail = find_tail(integers, spec)
    _emit(tail, integers, spec, folder)
    deep = Deep(str(folder), "", "", spec)
    _require_exact(deep, integers, tail.cut, parts[0].pixels[:_CHECKED])
    size = int(np.prod(tail.shape))
    if min(_TRAIN_BYTES, _HELD_OUT_BYTES) // size < spec.classes:
        raise InputError(
            f"{spec.classes} classes with {size} bytes of latents a picture",
            f"one picture of each in {_HELD_OUT_BYTES >> 20} MiB",
            "leave out --deeper",
        )
    held_out = min(_HELD_OUT_BYTES // size, SAMPLE_BYTES // spec.features, SAMPLE_ROWS * spec.classes)
    chosen = [
        spread(part.targets, spec.classes, most, seed)
        for part, most in zip(parts, (_TRAIN_BYTES // size, held_out, held_out), strict=True)
    ]
    arrays: list[NDArray[Any]] = []
    for part, rows in zip(parts, chosen, strict=True):
        arrays += [deep.latents(part.pixels[rows]), part.targets[rows].astype(np.int64)]
    reported = parts[2].pixels[chosen[2]]
    answers = run_in_batches(Engine(str(folder / "model.u8.onnx")), reported)[1].argmax(1).astype(np.int64)
    values = [flat(tail), *arrays, answers]
    np.savez(folder / REPLAY, **dict(zip(Replay._fields, values, strict=True)))


def first_other_file(folder: Path, integers: Integers, spec: ModelSpec) -> str | None:
    """The first of FOLDER's deep/ files that these integers do not give; the latents, which need pictures, aside."""
    tail = find_tail(integers, spec)
    with tempfile.TemporaryDirectory() as scratch:
        _emit(tail, integers, spec, Path(scratch))
        for name in (BODY, TAIL, STEP):
            if onnx.load(str(folder / name)).graph != onnx.load(str(Path(scratch) / name)).graph:
                return name
    same = np.array_equal(Deep(str(folder), "", "", spec).replay().weights, flat(tail))
    return None if same else REPLAY


def _emit(tail: Tail, integers: Integers, spec: ModelSpec, folder: Path) -> None:
    (folder / BODY).parent.mkdir()
    emit_body(integers, spec, tail.cut, tail.shape, folder / BODY)
    emit_tail(tail, folder / TAIL)
    emit_step(tail, folder / STEP)


def _require_exact(deep: Deep, integers: Integers, cut: str, pixels: NDArray[np.uint8]) -> None:
    expected = dict(layer_codes(integers, pixels))[cut].numpy() + 128
    differing = int((deep.latents(pixels) != expected).any((1, 2, 3)).sum())
    if differing:
        raise GateError(
            f"the body's codes at {cut} differ from the reference on {differing} of {len(pixels)} pictures",
            "the same bits",
            "report this, with the run folder",
        )
