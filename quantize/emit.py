"""One set of integers, three ONNX files: opset 13 and IR 7, which onnxruntime 1.10 and TensorRT 8.2 load.

u8     for CPUs: uint8 with zero point 128, ReLU and ReLU6 as Clip on the codes, int32 bias, the pixels as input
s8     for TensorRT with INT8: int8 with zero point 0, float bias, Q/DQ on both inputs of an add, float input
float  for TensorRT in FP16: the s8 file without Q/DQ, but with Clip where a code would saturate

The two TensorRT files take (pixel - 128) with an input scale of 1 and hold the first weights divided by 128: a power of
two, so the numbers stay the same.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from edge.contract.spec import ModelSpec
from quantize.fake import code_range
from quantize.integers import IntegerAdd, IntegerConv, IntegerLayer, Integers
from quantize.lsq import INPUT_SCALE
from quantize.plan import INPUT

OPSET, IR_VERSION = 13, 7


class _Graph:
    """Nodes and constants in the making."""

    def __init__(self) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.constants: dict[str, onnx.TensorProto] = {}

    def constant(self, name: str, value: Any) -> str:
        self.constants.setdefault(name, numpy_helper.from_array(np.asarray(value), name))
        return name

    def node(self, op: str, inputs: list[str], output: str, **attributes: Any) -> str:
        self.nodes.append(helper.make_node(op, inputs, [output], name=output, **attributes))
        return output

    def conv(self, layer: IntegerConv, value: str, weight: str, bias: str) -> str:
        kernel = layer.weight.shape[2]
        return self.node(
            "Conv",
            [value, weight, bias],
            layer.name + ".sum",
            kernel_shape=[kernel, kernel],
            strides=[layer.stride] * 2,
            pads=[layer.padding] * 4,
            group=layer.groups,
        )

    def dequantized_weight(self, layer: IntegerConv, scale: NDArray[np.float32]) -> str:
        name = layer.name + ".weight"
        zeros = self.constant(f"zeros.s8.{len(scale)}", np.zeros(len(scale), np.int8))
        inputs = [self.constant(name + ".codes", layer.weight), self.constant(name + ".scale", scale), zeros]
        return self.node("DequantizeLinear", inputs, name, axis=0)


class _U8:
    """uint8, zero point 128."""

    def __init__(self, integers: Integers) -> None:
        self.graph, self.integers = _Graph(), integers

    def start(self) -> None:
        self.graph.node("Transpose", ["pixels"], INPUT + ".q", perm=[0, 3, 1, 2])

    def value(self, tensor: str, reader: str) -> str:
        """A DequantizeLinear of its own for each reader: onnxruntime fuses only what one node reads."""
        scale = self.graph.constant(tensor + ".scale", self.integers.scale_of(tensor))
        zero = self.graph.constant("zero.u8", np.uint8(128))
        return self.graph.node("DequantizeLinear", [tensor + ".q", scale, zero], f"{tensor}.to.{reader}")

    def conv(self, layer: IntegerConv) -> str:
        weight = self.graph.dequantized_weight(layer, layer.weight_scale)
        name, count = layer.name + ".bias", len(layer.bias)
        inputs = [
            self.graph.constant(name + ".codes", layer.bias),
            self.graph.constant(name + ".scale", layer.bias_scale),
            self.graph.constant(f"zeros.s32.{count}", np.zeros(count, np.int32)),
        ]
        bias = self.graph.node("DequantizeLinear", inputs, name, axis=0)
        return self.graph.conv(layer, self.value(layer.source, layer.name), weight, bias)

    def activation(self, layer: IntegerLayer, total: str) -> None:
        scale = self.graph.constant(layer.name + ".scale", layer.scale)
        zero = self.graph.constant("zero.u8", np.uint8(128))
        if layer.activation == "none":
            self.graph.node("QuantizeLinear", [total, scale, zero], layer.name + ".q")
            return
        low, high = code_range(layer.activation, float(layer.scale))
        codes = self.graph.node("QuantizeLinear", [total, scale, zero], layer.name + ".q.all")
        bounds = [self.graph.constant(f"code.u8.{128 + code}", np.uint8(128 + code)) for code in (low, high)]
        self.graph.node("Clip", [codes, *bounds], layer.name + ".q")


class _S8:
    """int8, zero point 0."""

    def __init__(self, integers: Integers) -> None:
        self.graph, self.integers = _Graph(), integers

    def start(self) -> None:
        self._quantize("pixels", INPUT)

    def value(self, tensor: str, reader: str) -> str:
        inputs = [tensor + ".q", self._scale(tensor), self.graph.constant("zero.s8", np.int8(0))]
        return self.graph.node("DequantizeLinear", inputs, f"{tensor}.to.{reader}")

    def conv(self, layer: IntegerConv) -> str:
        weight = self.graph.dequantized_weight(layer, first_divided(layer, layer.weight_scale))
        bias = self.graph.constant(layer.name + ".bias", layer.bias.astype(np.float32) * layer.bias_scale)
        return self.graph.conv(layer, self.value(layer.source, layer.name), weight, bias)

    def activation(self, layer: IntegerLayer, total: str) -> None:
        if layer.activation == "relu":
            total = self.graph.node("Relu", [total], layer.name + ".relu")
        elif layer.activation == "relu6":
            bounds = [self.graph.constant("zero.float", np.float32(0)), self.graph.constant("six.float", np.float32(6))]
            total = self.graph.node("Clip", [total, *bounds], layer.name + ".relu6")
        self._quantize(total, layer.name)

    def _scale(self, tensor: str) -> str:
        scale = np.float32(1) if tensor == INPUT else self.integers.scale_of(tensor)
        return self.graph.constant(tensor + ".scale", scale)

    def _quantize(self, value: str, tensor: str) -> None:
        zero = self.graph.constant("zero.s8", np.int8(0))
        self.graph.node("QuantizeLinear", [value, self._scale(tensor), zero], tensor + ".q")


class _Float:
    """The same weights and biases, nothing rounded at run time; what saturated in training saturates here too."""

    def __init__(self, integers: Integers) -> None:
        self.graph, self.integers = _Graph(), integers
        self.tensors = {INPUT: "pixels"}

    def start(self) -> None:
        """The pixels are used as they come."""

    def value(self, tensor: str, reader: str) -> str:
        return self.tensors[tensor]

    def conv(self, layer: IntegerConv) -> str:
        scale = first_divided(layer, layer.weight_scale).reshape(-1, 1, 1, 1)
        weight = self.graph.constant(layer.name + ".weight", layer.weight.astype(np.float32) * scale)
        bias = self.graph.constant(layer.name + ".bias", layer.bias.astype(np.float32) * layer.bias_scale)
        return self.graph.conv(layer, self.value(layer.source, layer.name), weight, bias)

    def activation(self, layer: IntegerLayer, total: str) -> None:
        low, high = code_range(layer.activation, float(layer.scale))
        bounds = [
            self.graph.constant(f"{layer.name}.{side}", np.float32(code * layer.scale))
            for side, code in (("low", low), ("high", high))
        ]
        self.tensors[layer.name] = self.graph.node("Clip", [total, *bounds], layer.name + ".clip")


_FORMS: dict[str, Callable[[Integers], _U8 | _S8 | _Float]] = {"u8": _U8, "s8": _S8, "float": _Float}


def emit(integers: Integers, spec: ModelSpec, form: str, path: Path) -> None:
    """Writes model.FORM.onnx with the outputs `features` (N, D) and `logits` (N, classes), float32."""
    writer = _write_layers(integers, form, integers.layers)
    graph = writer.graph
    pooled = graph.node("GlobalAveragePool", [writer.value(integers.layers[-1].name, "pool")], "pool")
    graph.node("Flatten", [pooled], "features", axis=1)
    classifier = [
        graph.constant("classifier.weight", integers.weight),
        graph.constant("classifier.bias", integers.bias),
    ]
    graph.node("Gemm", ["features", *classifier], "logits", transB=1)
    outputs = [
        helper.make_tensor_value_info("features", TensorProto.FLOAT, ["N", spec.features]),
        helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["N", spec.classes]),
    ]
    _save(graph, spec, form, outputs, path)


def first_divided(layer: IntegerConv, scale: NDArray[np.float32]) -> NDArray[np.float32]:
    """The weight scales; of a layer that reads the pixels, times the input scale, a power of two."""
    return scale * np.float32(INPUT_SCALE) if layer.source == INPUT else scale


def _write_layers(integers: Integers, form: str, layers: tuple[IntegerLayer, ...]) -> _U8 | _S8 | _Float:
    writer = _FORMS[form](integers)
    writer.start()
    for layer in layers:
        if isinstance(layer, IntegerAdd):
            inputs = [writer.value(name, f"{layer.name}.{side}") for side, name in enumerate(layer.sources)]
            total = writer.graph.node("Add", inputs, layer.name + ".sum")
        else:
            total = writer.conv(layer)
        writer.activation(layer, total)
    return writer


def _save(graph: _Graph, spec: ModelSpec, form: str, outputs: list[onnx.ValueInfoProto], path: Path) -> None:
    if form == "u8":
        shape: list[str | int] = ["N", spec.height, spec.width, spec.channels]
        pixels = helper.make_tensor_value_info("pixels", TensorProto.UINT8, shape)
    else:
        shape = ["N", spec.channels, spec.height, spec.width]
        pixels = helper.make_tensor_value_info("pixels", TensorProto.FLOAT, shape)
    body = helper.make_graph(graph.nodes, "edgewise", [pixels], outputs, list(graph.constants.values()))
    opset = helper.make_opsetid("", OPSET)
    model = helper.make_model(body, opset_imports=[opset], ir_version=IR_VERSION, producer_name="edgewise")
    onnx.checker.check_model(model, full_check=True)
    onnx.save(model, str(path))
