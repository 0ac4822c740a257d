"""The INT8 folder, RUN/int8: what quantize hands to deploy."""

import io
import json
import platform
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import onnx
import onnxruntime
import torch
from numpy.typing import NDArray

from edge.contract.files import sync_folder, write_whole
from edge.contract.spec import ModelSpec
from edge.preprocess import prepare
from quantize.certificate import file_hash
from quantize.emit import summed_in_float
from quantize.integers import Integers
from quantize.reference import float_features, reference_features

GOLDEN_PICTURES = 8


@contextmanager
def writing(folder: Path) -> Iterator[Path]:
    """A scratch folder that becomes `folder` when the block ends well, and vanishes when it does not."""
    scratch = Path(tempfile.mkdtemp(dir=folder.parent, prefix=".int8-"))
    try:
        yield scratch
        scratch.chmod(0o755)
        if folder.exists():
            shutil.rmtree(folder)
        scratch.rename(folder)
        sync_folder(str(folder.parent))
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def write_golden(path: Path, integers: Integers, spec: ModelSpec, pictures: NDArray[np.uint8]) -> None:
    """golden.npz: input bytes and the features that each form must give for them.

    pictures: (N, H, W, C) uint8. The first row is replaced by a frame larger than the model's input, so that crop,
    resize and colour conversion are proved too. Features are the integer reference's, never a session's.
    """
    frame = cv2.resize(pictures[0], (spec.width * 5 + 7, spec.height * 4 + 5), interpolation=cv2.INTER_CUBIC)
    if frame.ndim == 2:
        frame = np.dstack([frame, frame, frame])
    pixels = np.concatenate([prepare(frame, spec)[None], pictures[1:GOLDEN_PICTURES]])
    features = reference_features(integers, pixels)
    identity = reference_features(integers, pixels, summed_in_float(integers))
    unrounded = float_features(integers, pixels)
    content = io.BytesIO()
    np.savez(content, frame=frame, pixels=pixels, u8=features, s8=features, s8_identity=identity, float=unrounded)
    write_whole(str(path), content.getvalue())


def completed(folder: Path, report: dict[str, Any]) -> dict[str, Any]:
    """The report with the hashes of the files in `folder`, what made them, and the word that the folder is ready."""
    hashes = {
        path.relative_to(folder).as_posix(): file_hash(path) for path in sorted(folder.rglob("*")) if path.is_file()
    }
    return report | {"ready": True, "files": hashes, "made_with": _made_with()}


def write_report(folder: Path, report: dict[str, Any]) -> None:
    """report.json, last of all."""
    write_whole(str(folder / "report.json"), (json.dumps(report, indent=1) + "\n").encode())


def _made_with() -> dict[str, str]:
    return {
        "python": platform.python_version(),
        "machine": platform.machine(),
        "torch": torch.__version__,
        "onnx": onnx.__version__,
        "onnxruntime": onnxruntime.__version__,
        "opencv": cv2.__version__,
    }
