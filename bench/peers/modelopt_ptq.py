"""A peer: NVIDIA Model Optimizer's post-training quantization of ONNX. FLOAT.onnx CALIBRATION.npy OUT.onnx

Its default for INT8, entropy calibration; what stays float stays float32, as a CPU wants it.
"""

import sys

import numpy as np
from modelopt.onnx.quantization import quantize


def main(float_model: str, calibration: str, out: str) -> None:
    quantize(
        float_model,
        quantize_mode="int8",
        calibration_data=np.load(calibration),
        calibration_method="entropy",
        calibration_eps=["cpu"],
        high_precision_dtype="fp32",
        output_path=out,
        log_level="ERROR",
    )


if __name__ == "__main__":
    main(*sys.argv[1:])
