"""Makes tiny.u8.onnx, tiny.float.onnx and tiny.golden.npz beside it: one convolution, in the forms of a release.

Run from the repository with the desktop's Python: python tests/edge/files/make_tiny.py
The golden features are computed here in integers by numpy, not by a session. All scales are powers of two, so that the
average of the codes is exact in float32 in any order.
"""

import sys
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parents[2]))

from edge.contract.spec import ModelSpec  # noqa: E402
from edge.preprocess import prepare  # noqa: E402

SPEC = ModelSpec("tiny", 8, 8, 1, 4, 2)
WEIGHT_SCALE, OUTPUT_SCALE = 2.0**-6, 2.0**-5  # the input's is 2**-7


def tiny_weights():
    """(4, 1, 3, 3) int8 kernels, (4,) int32 bias and (2, 4) float32 classifier."""
    random = np.random.default_rng(7)
    kernels = random.integers(-60, 61, (4, 1, 3, 3)).astype(np.int8)
    return kernels, random.integers(0, 4000, 4).astype(np.int32), random.normal(size=(2, 4)).astype(np.float32)


def u8_model():
    kernels, bias, classifier = tiny_weights()
    constants = {
        "x_scale": np.float32(2.0**-7),
        "w_scale": np.float32(WEIGHT_SCALE),
        "b_scale": np.float32(2.0**-7 * WEIGHT_SCALE),
        "y_scale": np.float32(OUTPUT_SCALE),
        "middle": np.uint8(128),
        "zero": np.int32(0),
        "w_codes": (kernels.astype(np.int32) + 128).astype(np.uint8),
        "b_codes": bias,
        "classifier": classifier,
    }
    nodes = [
        helper.make_node("Transpose", ["pixels"], ["planes"], perm=[0, 3, 1, 2]),
        helper.make_node("DequantizeLinear", ["planes", "x_scale", "middle"], ["x"]),
        helper.make_node("DequantizeLinear", ["w_codes", "w_scale", "middle"], ["w"]),
        helper.make_node("DequantizeLinear", ["b_codes", "b_scale", "zero"], ["b"]),
        helper.make_node("Conv", ["x", "w", "b"], ["y"], pads=[1, 1, 1, 1]),
        helper.make_node("QuantizeLinear", ["y", "y_scale", "middle"], ["y_codes"]),
        helper.make_node("DequantizeLinear", ["y_codes", "y_scale", "middle"], ["map"]),
    ]
    return finished(nodes, constants, TensorProto.UINT8, ["N", 8, 8, 1])


def float_model():
    """Input: pixels minus 128, as floats in planes."""
    kernels, bias, classifier = tiny_weights()
    constants = {
        "x_scale": np.float32(2.0**-7),
        "w": kernels.astype(np.float32) * np.float32(WEIGHT_SCALE),
        "b": bias.astype(np.float32) * np.float32(2.0**-7 * WEIGHT_SCALE),
        "classifier": classifier,
    }
    nodes = [
        helper.make_node("Mul", ["pixels", "x_scale"], ["x"]),
        helper.make_node("Conv", ["x", "w", "b"], ["map"], pads=[1, 1, 1, 1]),
    ]
    return finished(nodes, constants, TensorProto.FLOAT, ["N", 1, 8, 8])


def finished(nodes, constants, input_type, input_shape):
    nodes = nodes + [
        helper.make_node("GlobalAveragePool", ["map"], ["pooled"]),
        helper.make_node("Flatten", ["pooled"], ["features"]),
        helper.make_node("Gemm", ["features", "classifier"], ["logits"], transB=1),
    ]
    graph = helper.make_graph(
        nodes,
        "tiny",
        [helper.make_tensor_value_info("pixels", input_type, input_shape)],
        [
            helper.make_tensor_value_info("features", TensorProto.FLOAT, ["N", 4]),
            helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["N", 2]),
        ],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=7)
    onnx.checker.check_model(model)
    return model


def integer_features(pixels):
    """(N, 8, 8, 1) uint8 -> (N, 4) float32: the convolution in int32, rounded half to even, clipped, averaged."""
    kernels, bias, _ = tiny_weights()
    planes = np.pad(pixels[..., 0].astype(np.int32) - 128, ((0, 0), (1, 1), (1, 1)))
    sums = np.zeros((len(pixels), 4, 8, 8), np.int64) + bias[None, :, None, None]
    for row in range(3):
        for column in range(3):
            window = planes[:, None, row : row + 8, column : column + 8]
            sums += window * kernels[None, :, 0, row, column, None, None].astype(np.int32)
    codes = np.clip(np.rint(sums * (2.0**-7 * WEIGHT_SCALE / OUTPUT_SCALE)), -128, 127)
    return (codes.mean(axis=(2, 3)) * OUTPUT_SCALE).astype(np.float32)


def float_features(pixels):
    """The same without rounding and clipping."""
    kernels, bias, _ = tiny_weights()
    planes = np.pad(pixels[..., 0].astype(np.float64) - 128, ((0, 0), (1, 1), (1, 1)))
    means = np.zeros((len(pixels), 4)) + bias[None]
    for row in range(3):
        for column in range(3):
            window = planes[:, row : row + 8, column : column + 8].mean(axis=(1, 2))
            means += window[:, None] * kernels[None, :, 0, row, column]
    return (means * 2.0**-7 * WEIGHT_SCALE).astype(np.float32)


def main():
    random = np.random.default_rng(8)
    frame = random.integers(0, 256, (37, 51, 3)).astype(np.uint8)
    pixels = random.integers(0, 256, (5, 8, 8, 1)).astype(np.uint8)
    pixels[0] = prepare(frame, SPEC)
    u8 = integer_features(pixels)
    np.savez(
        HERE / "tiny.golden.npz", frame=frame, pixels=pixels, u8=u8, s8=u8, s8_identity=u8, float=float_features(pixels)
    )
    onnx.save(u8_model(), HERE / "tiny.u8.onnx")
    onnx.save(float_model(), HERE / "tiny.float.onnx")


if __name__ == "__main__":
    main()
