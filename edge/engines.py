"""What can run a release's network: which file, in what, on which boards. Which one does is measured on the board."""

from typing import NamedTuple, Tuple

from edge.contract.errors import UsageError

CPU, CUDA, TENSORRT = "CPUExecutionProvider", "CUDAExecutionProvider", "TensorrtExecutionProvider"
OPENVINO = "openvino"  # its own package: onnxruntime's provider of that name is in wheels of Intel's only


class Kind(NamedTuple):
    name: str
    form: str  # of edge.contract.spec.FORMS: the file that it runs
    runs_in: str  # an execution provider of onnxruntime, or OPENVINO
    precision: Tuple[str, ...] = ()  # what TensorRT may compute in, as its provider's options name it


CERTIFIED = Kind("cpu-u8", "u8", CPU)  # what every trial runs and every certificate is about
_KINDS = (
    Kind("tensorrt-s8", "s8", TENSORRT, ("trt_int8_enable", "trt_fp16_enable")),
    Kind("tensorrt-s8-identity", "s8_identity", TENSORRT, ("trt_int8_enable", "trt_fp16_enable")),
    Kind("tensorrt-fp16", "float", TENSORRT, ("trt_fp16_enable",)),
    Kind("cuda-float", "float", CUDA),
    Kind("openvino-s8", "s8", OPENVINO),
    Kind("openvino-s8-identity", "s8_identity", OPENVINO),
    CERTIFIED,
)
NAMES = tuple(kind.name for kind in _KINDS)

_NVIDIA = ("tensorrt-s8", "tensorrt-s8-identity", "tensorrt-fp16", "cuda-float", "cpu-u8")
_NVIDIA_WITHOUT_INT8 = ("tensorrt-fp16", "cuda-float", "cpu-u8")  # Q/DQ does not build there: TensorRT#3157, #4021
_BOARDS = {  # of edge/contract/boards.py, or what `uname -m` says
    "jetson-nano": _NVIDIA_WITHOUT_INT8,
    "jetson-tx1": _NVIDIA_WITHOUT_INT8,
    "jetson-tx2": _NVIDIA_WITHOUT_INT8,
    "jetson-xavier-nx": _NVIDIA,
    "jetson-agx-xavier": _NVIDIA,
    "jetson-orin-nano": _NVIDIA,
    "jetson-orin-nx": _NVIDIA,
    "jetson-agx-orin": _NVIDIA,
    "jetson-agx-thor": _NVIDIA,
    "x86_64": _NVIDIA[:-1] + ("openvino-s8", "openvino-s8-identity", "cpu-u8"),
    "aarch64": ("cpu-u8",),
}


def candidates(board: str, machine: str) -> Tuple[Kind, ...]:
    """What a board may run: `board` of the table in edge/contract/boards.py or "", `machine` as `uname -m` says."""
    names = _BOARDS.get(board) or _BOARDS.get(machine, (CERTIFIED.name,))
    return tuple(find_kind(name) for name in names)


def find_kind(name: str) -> Kind:
    """Raises UsageError for a name that is not in the table."""
    for kind in _KINDS:
        if kind.name == name:
            return kind
    raise UsageError("the engine {!r}".format(name), "one of {}".format(", ".join(NAMES)), "name it so")
