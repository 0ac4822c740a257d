"""Opens one of the engines of edge/engines.py, or says why this board cannot run it.

onnxruntime lists the execution providers that were compiled in, and takes the CPU without a word where one cannot be
loaded. Nothing that is opened here is another engine in disguise.
"""

from typing import Any, Dict, Optional, Tuple

import cv2  # noqa: F401  before onnxruntime: static TLS on aarch64, opencv#14884
import numpy as np
import onnxruntime

from edge.contract.errors import BoardError, UsageError
from edge.engine import infer, write_profile
from edge.engines import CERTIFIED, OPENVINO, TENSORRT, Kind
from edge.optimized import open_certified
from edge.release import Release

_WORKSPACE_BYTES = 1 << 28  # for TensorRT's builder, which otherwise asks for more than a Nano has beside the rest


def open_engine(
    release: Release, kind: Kind, cache: Optional[str] = None, threads: int = 1, profile: Optional[str] = None
) -> Any:
    """An Engine, or what stands for one, with the file of `release` that `kind` runs.

    cache: a folder for what TensorRT builds, without which it builds anew each time; profile: as for
    edge.engine.open_session(). Raises FormatError for a file that is no model, BoardError where this board cannot run
    it so, UsageError for a profile of OpenVINO, which makes none.
    """
    path = release.file("model.{}.onnx".format(kind.form))
    if kind == CERTIFIED:
        return open_certified(release, threads, profile)
    if kind.runs_in == OPENVINO:
        from edge.openvino_session import OpenVinoSession

        if profile:
            raise UsageError("--profile with " + kind.name, "an engine of onnxruntime", "add --engine cpu-u8")
        return OneByOne(OpenVinoSession(path, threads))
    return OneByOne(_session(path, kind, cache, threads, profile))


class OneByOne:
    """Stands for an Engine whose network takes one picture at a time: TensorRT takes minutes to build another shape."""

    def __init__(self, session: Any) -> None:
        """session: as for edge.engine.infer."""
        self._session = session

    def run(self, pixels: np.ndarray) -> Tuple[np.ndarray, np.ndarray]:
        """As Engine.run."""
        parts = [infer(self._session, pixels[i : i + 1]) for i in range(len(pixels))]
        return np.concatenate([part[0] for part in parts]), np.concatenate([part[1] for part in parts])

    def end_profile(self) -> Tuple[str, int]:
        """As Engine.end_profile."""
        return self._session.end_profiling(), self._session.get_profiling_start_time_ns()


def _session(path: str, kind: Kind, cache: Optional[str], threads: int, profile: Optional[str]) -> Any:
    """Raises BoardError, with onnxruntime's own words, unless `kind`'s provider runs all of the file."""
    if kind.runs_in not in onnxruntime.get_available_providers():
        raise _unusable(kind, "this onnxruntime has no {}".format(kind.runs_in))
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 4
    write_profile(options, profile)
    options.add_free_dimension_override_by_name("N", 1)
    options.add_session_config_entry("session.disable_cpu_ep_fallback", "1")  # from 1.16 on; older ones pass it over
    provider = (kind.runs_in, provider_options(kind, cache))
    try:
        session = onnxruntime.InferenceSession(path, options, providers=[provider], enable_fallback=0)
    except Exception as error:  # noqa: BLE001  onnxruntime's own errors share no narrower base across 1.10 to now
        raise _unusable(kind, str(error).split("\n")[0][:300]) from None
    taken = session.get_providers()[0]
    if taken != kind.runs_in:
        raise _unusable(kind, "onnxruntime took {} instead".format(taken))
    session.disable_fallback()  # 1.10 does not know enable_fallback: a run that fails would go on with the CPU
    return session


def provider_options(kind: Kind, cache: Optional[str]) -> Dict[str, str]:
    """What is asked of the provider, in words that onnxruntime 1.10 and today's both read ("True", never "1").

    https://onnxruntime.ai/docs/execution-providers/TensorRT-ExecutionProvider.html; an option that a version does not
    know makes it refuse the session, so only those are here that 1.10 has.
    """
    if kind.runs_in != TENSORRT:
        return {}
    options = dict.fromkeys(kind.precision, "True")
    options["trt_max_workspace_size"] = str(_WORKSPACE_BYTES)
    if cache is not None:
        options.update(trt_engine_cache_enable="True", trt_engine_cache_path=cache)
    return options


def _unusable(kind: Kind, why: str) -> BoardError:
    return BoardError("{} does not run here: {}".format(kind.name, why), kind.runs_in, "run `edgewise doctor`")
