"""A peer: onnxruntime's static quantization. FLOAT.onnx CALIBRATION.npy OUT.onnx s8s8|u8s8

Q/DQ form, one weight scale a channel, MinMax, after quant_pre_process, as
https://onnxruntime.ai/docs/performance/model-optimizations/quantization.html recommends.
"""

import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static
from onnxruntime.quantization.shape_inference import quant_pre_process


class Reader(CalibrationDataReader):  # type: ignore[misc]
    """Gives one picture (1, C, H, W) float32 at a time."""

    def __init__(self, pictures: NDArray[np.float32]) -> None:
        self._pictures: Iterator[NDArray[np.float32]] = iter(pictures)

    def get_next(self) -> dict[str, NDArray[np.float32]] | None:
        picture = next(self._pictures, None)
        return None if picture is None else {"pixels": picture[None]}


def main(float_model: str, calibration: str, out: str, form: str) -> None:
    with tempfile.TemporaryDirectory() as scratch:
        prepared = Path(scratch) / "prepared.onnx"
        quant_pre_process(float_model, str(prepared))
        quantize_static(
            str(prepared),
            out,
            Reader(np.load(calibration)),
            quant_format=QuantFormat.QDQ,
            per_channel=True,
            activation_type=QuantType.QInt8 if form == "s8s8" else QuantType.QUInt8,
            weight_type=QuantType.QInt8,
        )


if __name__ == "__main__":
    main(*sys.argv[1:])
