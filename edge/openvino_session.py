"""OpenVINO behind what edge.engine.infer asks of an onnxruntime session: one picture at a time, on the CPU."""

from typing import Any, Dict, List, NamedTuple

import numpy as np

from edge.contract.errors import BoardError, FormatError


class Input(NamedTuple):
    """As onnxruntime describes an input."""

    name: str
    type: str
    shape: List[int]


class OpenVinoSession:
    """A compiled model. Not for more than one thread at a time."""

    def __init__(self, path: str, threads: int = 1, precision: str = "f32") -> None:
        """precision: what it computes floats in. Its own choice, bfloat16 where a CPU has it, fails golden vectors.

        Raises BoardError without the package, FormatError for a file that it cannot read.
        """
        try:
            import openvino

            core = openvino.Core()
        except (ImportError, AttributeError) as error:  # before 2023 its parts lay elsewhere
            raise BoardError(
                "openvino cannot be used: {}".format(error), "the package", "`python3 -m pip install openvino`"
            ) from None
        settings = {"INFERENCE_NUM_THREADS": threads, "PERFORMANCE_HINT": "LATENCY"}
        settings["INFERENCE_PRECISION_HINT"] = precision
        try:
            model = core.read_model(path)
            model.reshape([1] + [size.get_length() for size in list(model.inputs[0].partial_shape)[1:]])
            self._request = core.compile_model(model, "CPU", settings).create_infer_request()
        except RuntimeError as error:
            reason = str(error).strip().split("\n")[-1]
            raise FormatError("{}: {}".format(path, reason), "an ONNX model", "make it again") from None
        entry = model.inputs[0]
        kind = "tensor(float)" if entry.element_type == openvino.Type.f32 else "tensor(uint8)"
        self._input = Input(entry.any_name, kind, list(entry.shape))

    def get_inputs(self) -> List[Input]:
        return [self._input]

    def run(self, outputs: List[str], feeds: Dict[str, np.ndarray]) -> List[Any]:
        found = self._request.infer(feeds)
        return [np.array(found[name]) for name in outputs]
