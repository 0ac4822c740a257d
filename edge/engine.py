"""An INT8 model in onnxruntime: uint8 pixels in, features and logits out."""

import ctypes
from contextlib import suppress
from typing import Any, Optional, Tuple

import cv2  # noqa: F401  before onnxruntime: static TLS on aarch64, opencv#14884
import numpy as np
import onnxruntime

from edge.contract.errors import FormatError, InputError

_BATCH_PIXELS = 1 << 16  # of pictures at once: 64 of 32 x 32, 1 of 224 x 224


def open_session(
    path: str,
    threads: int = 1,
    optimized_path: Optional[str] = None,
    optimize: bool = True,
    arena: bool = True,
    profile: Optional[str] = None,
) -> onnxruntime.InferenceSession:
    """`optimized_path`: where onnxruntime writes the graph that it really runs. Raises FormatError.

    arena: keep memory between runs; without, large tensors are given back after each. profile: how the name of
    onnxruntime's own profile begins; None for none.
    """
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.enable_cpu_mem_arena = arena
    options.log_severity_level = 3
    if not optimize:
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    write_profile(options, profile)
    if optimized_path:
        options.optimized_model_filepath = optimized_path
    try:
        session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # noqa: BLE001  onnxruntime's own errors share no narrower base across 1.10 to now
        reason = str(error).split("\n")[0]
        raise FormatError("{}: {}".format(path, reason), "an ONNX model", "make it again") from None
    with suppress(AttributeError):  # only glibc has it: back goes what reading the file took, more than its size
        ctypes.CDLL(None).malloc_trim(0)
    return session


def write_profile(options: onnxruntime.SessionOptions, prefix: Optional[str]) -> None:
    """Has a session write onnxruntime's own profile into a file whose name begins so; not for None."""
    if prefix:
        options.enable_profiling = True
        options.profile_file_prefix = prefix


class Engine:
    """A loaded model file. Not for more than one thread at a time."""

    def __init__(
        self,
        path: str,
        threads: int = 1,
        optimized_path: Optional[str] = None,
        optimize: bool = True,
        profile: Optional[str] = None,
    ) -> None:
        """Parameters and errors as those of open_session()."""
        self._session = open_session(path, threads, optimized_path, optimize, profile=profile)

    def run(self, pixels: np.ndarray) -> Tuple[np.ndarray, np.ndarray]:
        """pixels: (N, H, W, C) uint8. Returns features (N, D) and logits (N, classes), both float32."""
        return infer(self._session, pixels)

    def end_profile(self) -> Tuple[str, int]:
        """The file of the profile, which ends here, and when it began: nanoseconds of the system's clock."""
        return self._session.end_profiling(), self._session.get_profiling_start_time_ns()


def infer(session: Any, pixels: np.ndarray) -> Tuple[np.ndarray, np.ndarray]:
    """As Engine.run, by anything with get_inputs() and run() of an onnxruntime session. Raises InputError."""
    wanted = session.get_inputs()[0]
    if wanted.type == "tensor(float)":  # the s8 and float files: TensorRT 8.2 takes no uint8 input
        pixels = np.ascontiguousarray(pixels.transpose(0, 3, 1, 2), dtype=np.float32) - np.float32(128)
    if list(pixels.shape[1:]) != wanted.shape[1:]:
        raise InputError(
            "pixels of shape {}".format(pixels.shape), "(N, {}, {}, {})".format(*wanted.shape[1:]), "prepare them"
        )
    features, logits = session.run(["features", "logits"], {wanted.name: pixels})
    return features, logits


def run_in_batches(engine: Engine, pixels: np.ndarray) -> Tuple[np.ndarray, np.ndarray]:
    """As Engine.run, for any number of pictures, as many at once as leave a small board memory."""
    batch = max(1, _BATCH_PIXELS // (pixels.shape[1] * pixels.shape[2]))
    if len(pixels) <= batch:
        return engine.run(pixels)
    parts = [engine.run(pixels[i : i + batch]) for i in range(0, len(pixels), batch)]
    return np.concatenate([p[0] for p in parts]), np.concatenate([p[1] for p in parts])
