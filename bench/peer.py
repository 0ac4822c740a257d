"""The peers: each is a script of its own that turns FP32 weights into a quantized file, and may fail."""

import shlex
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

Float32 = NDArray[np.float32]
Logits = Callable[[Float32], Float32]  # (N, C, H, W), (byte - 128) / 128 -> (N, classes)

_SCRIPTS = Path(__file__).with_name("peers")
_TIME_LIMIT_S = 900


@dataclass(frozen=True)
class Peer:
    name: str
    script: str  # in bench/peers
    file: str  # what it writes: .onnx runs in onnxruntime, .xml in OpenVINO
    options: tuple[str, ...] = ()


@dataclass(frozen=True)
class Failure:
    """A peer that did not do it."""

    command: str
    last_line: str

    def __str__(self) -> str:
        return f"failed: `{self.command}`: {self.last_line}"


PTQ_PEERS = (
    Peer("onnxruntime S8S8", "onnxruntime_ptq.py", "s8s8.onnx", ("s8s8",)),
    Peer("onnxruntime U8S8", "onnxruntime_ptq.py", "u8s8.onnx", ("u8s8",)),
    Peer("NNCF, run by OpenVINO", "nncf_ptq.py", "nncf.xml"),
    Peer("Model Optimizer", "modelopt_ptq.py", "modelopt.onnx"),
)
QAT_PEER = Peer("torchao PT2E QAT", "torchao_qat.py", "torchao.onnx")


def quantize_ptq(peer: Peer, float_model: Path, calibration: Path, out: Path) -> Path | Failure:
    """The file that `peer` makes of `float_model` with the pictures in `calibration`, in the folder `out`."""
    path = out / peer.file
    return run_script(peer.script, [float_model, calibration, path, *peer.options], path)


def quantize_qat(peer: Peer, run: Path, steps: int, out: Path) -> Path | Failure:
    """The file that `peer` makes of a run folder in so many steps of training."""
    path = out / peer.file
    return run_script(peer.script, [run, path, steps], path)


def run_script(script: str, arguments: list[object], made: Path) -> Path | Failure:
    """Runs one script of bench/peers. Returns `made`, the file it must write, or how it failed."""
    command = [sys.executable, "-W", "ignore", str(_SCRIPTS / script), *map(str, arguments)]
    shown = shlex.join(["python", f"bench/peers/{script}", *(Path(str(a)).name for a in arguments)])
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=_TIME_LIMIT_S)
    except subprocess.TimeoutExpired:
        return Failure(shown, f"took more than {_TIME_LIMIT_S} s")
    if done.returncode == 0 and made.exists():
        return made
    lines = [line.strip() for line in (done.stdout + done.stderr).splitlines() if line.strip()]
    return Failure(shown, lines[-1] if lines else f"no word, exit code {done.returncode}")


def open_file(path: Path, threads: int, fixed: tuple[int, ...] | None = None) -> Logits | Failure:
    """An engine for a quantized or float file, or how opening it failed.

    fixed: the only shape that it will be given, for the fastest that the engine can; None for its best accuracy. This
    matters to OpenVINO, which computes in bfloat16 where the CPU has it and is slower for a batch of any size.
    """
    try:
        return _openvino(path, threads, fixed) if path.suffix == ".xml" else _onnxruntime(path, threads)
    except Exception as error:  # noqa: BLE001  a peer's fault of any kind is a row of the table, not ours
        return Failure(f"open {path.name}", str(error).strip().splitlines()[-1])


def _onnxruntime(path: Path, threads: int) -> Logits:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    return lambda x: session.run(["logits"], {"pixels": x})[0]


def _openvino(path: Path, threads: int, fixed: tuple[int, ...] | None) -> Logits:
    import openvino

    core = openvino.Core()
    model = core.read_model(str(path))
    settings = {"PERFORMANCE_HINT": "LATENCY", "INFERENCE_NUM_THREADS": threads}
    if fixed is None:
        settings["INFERENCE_PRECISION_HINT"] = "f32"
    else:
        model.reshape(list(fixed))
    request = core.compile_model(model, "CPU", settings).create_infer_request()
    return lambda x: request.infer([x], share_inputs=True, share_outputs=True)[0]
