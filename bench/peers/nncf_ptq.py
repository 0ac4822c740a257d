"""A peer: NNCF's post-training quantization of an OpenVINO model. FLOAT.onnx CALIBRATION.npy OUT.xml

Mixed preset (symmetric weights, asymmetric activations) with fast bias correction, over all of the pictures.
"""

import sys

import nncf
import numpy as np
import openvino


def main(float_model: str, calibration: str, out: str) -> None:
    pictures = np.load(calibration)
    quantized = nncf.quantize(
        openvino.Core().read_model(float_model),
        nncf.Dataset([picture[None] for picture in pictures]),
        preset=nncf.QuantizationPreset.MIXED,
        subset_size=len(pictures),
        fast_bias_correction=True,
    )
    openvino.save_model(quantized, out, compress_to_fp16=False)


if __name__ == "__main__":
    main(*sys.argv[1:])
