"""The certified network as this board's onnxruntime has optimized it: opened in half the time, to the same answers.

It lies in the release's folder beside the model that it was made of, and is made when that release's golden vectors are
run here, which it must pass (ADR 32).
"""

import hashlib
import os
import platform
import tempfile
from contextlib import suppress
from shutil import disk_usage
from typing import Optional

import cv2  # noqa: F401  before onnxruntime: static TLS on aarch64, opencv#14884
import onnxruntime
from onnxruntime.capi import onnxruntime_pybind11_state as library

from edge.contract.errors import FormatError, GateError
from edge.contract.files import TEMPORARY, sync_folder
from edge.engine import Engine, open_session
from edge.golden import GoldenReport, check_golden
from edge.release import Release

_FREE_SIZES = 4  # of the model, that the disk must have left: it is made for speed alone
_PROCESSOR_BYTES = 1 << 14  # of /proc/cpuinfo: more than one core's part


def open_certified(release: Release, threads: int = 1, profile: Optional[str] = None) -> Engine:
    """An Engine with the u8 model, from what prove_certified() made of it if that is there. Raises FormatError."""
    path = optimized_path(release)
    if os.path.exists(path):
        with suppress(FormatError):
            return Engine(path, threads, optimize=False, profile=profile)
    return Engine(_model(release), threads, profile=profile)


def prove_certified(release: Release) -> GoldenReport:
    """Runs the golden vectors with what open_certified() gives, and makes the optimized model first where it can.

    One that fails them is removed, and the release's own is tried. Raises FormatError, GateError.
    """
    _make(release)
    try:
        return check_golden(release, open_certified(release))
    except GateError as error:
        with suppress(OSError):  # there was none, or it is not ours to remove
            os.unlink(optimized_path(release))
            return check_golden(release, open_certified(release))
        raise error


def optimized_path(release: Release) -> str:
    """Where it lies. The name holds all that it depends on: the model, this very onnxruntime, the kind of processor."""
    built = os.stat(library.__file__)
    under = (release.backbone(), onnxruntime.__version__, built.st_size, built.st_mtime_ns, platform.machine())
    words = repr(under + (_processor(),))
    return release.file("model.u8.{}.onnx".format(hashlib.sha256(words.encode("utf-8")).hexdigest()[:16]))


def _make(release: Release) -> None:
    """Does nothing where it is there, or where it cannot be made: not the owner, no room, no model."""
    path = optimized_path(release)
    with suppress(OSError, FormatError):
        if os.path.exists(path) or disk_usage(release.path).free < _FREE_SIZES * os.path.getsize(_model(release)):
            return
        handle, temporary = tempfile.mkstemp(dir=release.path, prefix=TEMPORARY)
        try:
            os.close(handle)
            open_session(_model(release), optimized_path=temporary)
            with open(temporary, "rb") as made:
                os.fchmod(made.fileno(), 0o444)  # as all of the release
                os.fsync(made.fileno())
            os.rename(temporary, path)
        except BaseException:
            os.unlink(temporary)
            raise
        sync_folder(release.path)


def _model(release: Release) -> str:
    return release.file("model.u8.onnx")


def _processor() -> str:
    """What the first core says of itself and can do, without what changes from moment to moment."""
    try:
        with open("/proc/cpuinfo", encoding="utf-8", errors="replace") as file:
            core = file.read(_PROCESSOR_BYTES).split("\n\n")[0]
    except OSError:
        return ""
    kinds = ("vendor_id", "cpu family", "model", "flags", "Features", "CPU implementer", "CPU variant", "CPU part")
    return "\n".join(line for line in core.split("\n") if line.split(":")[0].strip() in kinds)
