"""The INT8 folder, RUN/int8: what quantize hands to deploy."""

import json
import platform
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import cv2
import onnx
import onnxruntime
import torch

from edge.contract.files import sync_folder, write_whole
from quantize.certificate import file_hash


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
