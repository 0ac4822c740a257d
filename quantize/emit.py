"""One set of integers, four ONNX files: opset 13 and IR 7, which onnxruntime 1.10 and TensorRT 8.2 load.

u8           for CPUs: uint8 with zero point 128, int32 bias, the pixels as input; ReLU and ReLU6 as Clip on the codes,
             but for unsigned tensors, whose codes end where the activation does; what pads those reads them with
             zero point 0, which is what ONNX's Conv pads with
s8           for TensorRT with INT8: int8 with zero point 0, float bias, Q/DQ on both inputs of an add, float input;
             unsigned tensors are padded by a node of its own
s8_identity  the same with Q/DQ on the identity branch of an add alone, where TensorRT fuses convolution, add and ReLU:
             the convolution's sum is not rounded before the add, so some codes differ; certified by itself
float        for TensorRT in FP16: the s8 file without Q/DQ, but with Clip where a code would saturate, and with tensors
             that begin at 0 where they are padded

The TensorRT files take (pixel - 128) with an input scale of 1 and hold the first weights divided by 128: a power of
two, so the numbers stay the same.
"""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper

from edge.contract.spec import ModelSpec
from quantize.blocks import STRIDE, blocked_shape, first_convolution, to_blocks
from quantize.graph import Graph
from quantize.grid import INPUT_SCALE, code_range
from quantize.integers import IntegerConv, IntegerLayer, Integers, borders, counted_from
from quantize.plan import INPUT, Add, Mover

OPSET, IR_VERSION = 13, 7
BLOCKS_KEY = "edgewise.first_kernel_left_right"  # in the u8 file's metadata, where its first layer reads blocks
PLAIN = "u8_plain"  # every float value in it, unoptimized, is one of s8: to compare, not to ship
_TO_NCHW, _TO_NHWC = [0, 3, 1, 2], [0, 2, 3, 1]


class U8:
    """uint8, zero point 128. The first convolution reads blocks of pixels where it can: quantize/blocks.py."""

    def __init__(self, integers: Integers, spec: ModelSpec, plain: bool = False) -> None:
        self.graph, self.integers, self.spec, self.plain = Graph(), integers, spec, plain
        self.blocked = None if plain else first_convolution(integers, spec.height, spec.width)

    def start(self) -> None:
        pixels = "pixels"
        if self.blocked is not None:
            shape = blocked_shape(self.spec.height, self.spec.width, self.spec.channels)
            pixels = self._reshape(pixels, "pixels.blocks", shape)
        self.graph.node("Transpose", [pixels], INPUT + ".q", perm=_TO_NCHW)

    def layer(self, layer: IntegerLayer) -> None:
        if isinstance(layer, Mover):
            self.graph.combine(layer, [name + ".q" for name in layer.sources], layer.name + ".q")
            return
        values = [self.value(name, f"{layer.name}.{side}", _bordered(layer)) for side, name in enumerate(layer.sources)]
        if isinstance(layer, IntegerConv):
            total = self._conv(to_blocks(layer) if layer is self.blocked else layer, values[0])
        else:
            total = self.graph.combine(layer, values, layer.name + ".sum")
        self._round(layer, total)

    def value(self, tensor: str, reader: str, bordered: IntegerConv | None = None) -> str:
        """A DequantizeLinear of its own for each reader: onnxruntime fuses only what one node reads."""
        scale = self.graph.constant(tensor + ".scale", self.integers.scales[tensor])
        zero = self.graph.constant("zero.u8", np.uint8(128))
        codes = tensor + ".q"
        if bordered is not None:
            border = np.uint8(128 + bordered.border)
            if self.plain:
                codes = self.graph.padded(bordered, codes, border)
            else:
                zero = self.graph.constant("zero.u8.border", border)
        return self.graph.node("DequantizeLinear", [codes, scale, zero], f"{tensor}.to.{reader}")

    def _conv(self, layer: IntegerConv, value: str) -> str:
        if not self.plain:
            layer = counted_from(layer, layer.border)
        weight = self.graph.dequantized_weight(layer, layer.weight_scale)
        name, count = layer.name + ".bias", len(layer.bias)
        inputs = [
            self.graph.constant(name + ".codes", layer.bias),
            self.graph.constant(name + ".scale", layer.bias_scale),
            self.graph.constant(f"zeros.s32.{count}", np.zeros(count, np.int32)),
        ]
        bias = self.graph.node("DequantizeLinear", inputs, name, axis=0)
        return self.graph.conv(layer, value, weight, bias)

    def _round(self, layer: IntegerLayer, total: str) -> None:
        scale = self.graph.constant(layer.name + ".scale", self.integers.scales[layer.name])
        zero = self.graph.constant("zero.u8", np.uint8(128))
        ends = layer.name + (".q" if layer.activation == "none" else ".q.all")
        if layer is self.blocked:
            codes = self.graph.node("QuantizeLinear", [total, scale, zero], layer.name + ".q.blocks")
            codes = self._unblock(self.blocked, codes, ends)
        else:
            codes = self.graph.node("QuantizeLinear", [total, scale, zero], ends)
        if layer.activation == "none":
            return
        low, high = code_range(layer.activation, float(self.integers.scales[layer.name]))
        bounds = [self.graph.constant(f"code.u8.{128 + code}", np.uint8(128 + code)) for code in (low, high)]
        self.graph.node("Clip", [codes, *bounds], layer.name + ".q")

    def _unblock(self, layer: IntegerConv, codes: str, output: str) -> str:
        """(N, 2 O, H, W / 2) -> (N, O, H, W): onnxruntime computes in NHWC, where this moves nothing."""
        name = layer.name + ".q.rows"
        outputs = len(layer.bias)
        height = (self.spec.height + layer.geometry.pads[0] + layer.geometry.pads[2] - layer.weight.shape[2]) // (
            layer.geometry.stride[0]
        ) + 1
        rows = self.graph.node("Transpose", [codes], name + ".blocks", perm=_TO_NHWC)
        rows = self._reshape(rows, name, np.array([-1, height, self.spec.width // STRIDE, outputs], np.int64))
        return self.graph.node("Transpose", [rows], output, perm=_TO_NCHW)

    def _reshape(self, value: str, output: str, shape: NDArray[np.int64]) -> str:
        return self.graph.node("Reshape", [value, self.graph.constant(output + ".shape", shape)], output)


class _S8:
    """int8, zero point 0. `unrounded`: tensors that their only reader, an add, takes as they are summed."""

    def __init__(self, integers: Integers, unrounded: frozenset[str] = frozenset()) -> None:
        self.graph, self.integers, self.unrounded = Graph(), integers, unrounded

    def start(self) -> None:
        self._quantize("pixels", INPUT)

    def layer(self, layer: IntegerLayer) -> None:
        values = [self.value(name, f"{layer.name}.{side}", _bordered(layer)) for side, name in enumerate(layer.sources)]
        if isinstance(layer, IntegerConv):
            weight = self.graph.dequantized_weight(layer, first_divided(layer, layer.weight_scale))
            bias = self.graph.constant(layer.name + ".bias", layer.bias.astype(np.float32) * layer.bias_scale)
            total = self.graph.conv(layer, values[0], weight, bias)
        else:
            total = self.graph.combine(layer, values, layer.name + ".sum")
        if layer.activation == "relu":
            total = self.graph.node("Relu", [total], layer.name + ".relu")
        elif layer.activation == "relu6":
            bounds = [self.graph.constant("zero.float", np.float32(0)), self.graph.constant("six.float", np.float32(6))]
            total = self.graph.node("Clip", [total, *bounds], layer.name + ".relu6")
        if layer.name not in self.unrounded:
            self._quantize(total, layer.name)

    def value(self, tensor: str, reader: str, bordered: IntegerConv | None = None) -> str:
        if tensor in self.unrounded:
            return tensor + ".sum"
        codes = tensor + ".q"
        if bordered is not None:
            codes = self.graph.padded(bordered, codes, np.int8(bordered.border))
        inputs = [codes, self._scale(tensor), self.graph.constant("zero.s8", np.int8(0))]
        return self.graph.node("DequantizeLinear", inputs, f"{tensor}.to.{reader}")

    def _scale(self, tensor: str) -> str:
        scale = np.float32(1) if tensor == INPUT else self.integers.scales[tensor]
        return self.graph.constant(tensor + ".scale", scale)

    def _quantize(self, value: str, tensor: str) -> None:
        zero = self.graph.constant("zero.s8", np.int8(0))
        self.graph.node("QuantizeLinear", [value, self._scale(tensor), zero], tensor + ".q")


class Float:
    """The same weights and biases, nothing rounded at run time; what saturated in training saturates here too.

    A tensor that is padded with another code than 0 is counted from that code.
    """

    def __init__(self, integers: Integers) -> None:
        self.graph, self.integers = Graph(), integers
        self.tensors = {INPUT: "pixels"}
        self.borders = borders(integers.layers)

    def start(self) -> None:
        """The pixels are used as they come."""

    def layer(self, layer: IntegerLayer) -> None:
        values = [self.value(name, layer.name) for name in layer.sources]
        if isinstance(layer, IntegerConv):
            total = self._conv(counted_from(layer, self.borders.get(layer.sources[0], 0)), values[0])
        else:
            total = self.graph.combine(layer, values, layer.name + ".sum")
        self.tensors[layer.name] = total if isinstance(layer, Mover) else self._clip(layer, total)

    def value(self, tensor: str, reader: str) -> str:
        return self.tensors[tensor]

    def _conv(self, layer: IntegerConv, value: str) -> str:
        scale = first_divided(layer, layer.weight_scale).reshape(-1, 1, 1, 1)
        weight = self.graph.constant(layer.name + ".weight", layer.weight.astype(np.float32) * scale)
        border = self.borders.get(layer.name, 0) * self.integers.scales[layer.name]
        bias = self.graph.constant(layer.name + ".bias", layer.bias.astype(np.float32) * layer.bias_scale - border)
        return self.graph.conv(layer, value, weight, bias)

    def _clip(self, layer: IntegerLayer, total: str) -> str:
        scale, border = self.integers.scales[layer.name], self.borders.get(layer.name, 0)
        bounds = [
            self.graph.constant(f"{layer.name}.{side}", np.float32((code - border) * scale))
            for side, code in zip(("low", "high"), code_range(layer.activation, float(scale)), strict=True)
        ]
        return self.graph.node("Clip", [total, *bounds], layer.name + ".clip")


def _bordered(layer: IntegerLayer) -> IntegerConv | None:
    """The layer, if it is a convolution that pads with something else than zero."""
    return layer if isinstance(layer, IntegerConv) and layer.border else None


_Writer = U8 | _S8 | Float
_FORMS: dict[str, Callable[[Integers, ModelSpec], _Writer]] = {
    "u8": U8,
    PLAIN: lambda integers, spec: U8(integers, spec, plain=True),
    "s8": lambda integers, _: _S8(integers),
    "s8_identity": lambda integers, _: _S8(integers, summed_in_float(integers)),
    "float": lambda integers, _: Float(integers),
}


def emit(integers: Integers, spec: ModelSpec, form: str, path: Path) -> None:
    """Writes model.FORM.onnx with the outputs `features` (N, D) and `logits` (N, classes), float32."""
    writer = _FORMS[form](integers, spec)
    writer.start()
    for layer in integers.layers:
        writer.layer(layer)
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
    save(graph, [_pixels(form, spec)], outputs, path, writer.blocked if isinstance(writer, U8) else None)


def emit_body(integers: Integers, spec: ModelSpec, cut: str, shape: tuple[int, int, int], path: Path) -> None:
    """Writes the u8 file's layers up to the tensor `cut`, whose uint8 codes (N, *shape) are the output."""
    writer = U8(integers, spec)
    writer.start()
    for layer in integers.layers[: [layer.name for layer in integers.layers].index(cut) + 1]:
        writer.layer(layer)
    latents = helper.make_tensor_value_info(cut + ".q", TensorProto.UINT8, ["N", *shape])
    save(writer.graph, [_pixels("u8", spec)], [latents], path, writer.blocked)


def first_divided(layer: IntegerConv, scale: NDArray[np.float32]) -> NDArray[np.float32]:
    """The weight scales; of a layer that reads the pixels, times the input scale, a power of two."""
    return scale * np.float32(INPUT_SCALE) if layer.sources[0] == INPUT else scale


def summed_in_float(integers: Integers) -> frozenset[str]:
    """The tensors without Q/DQ in s8_identity: of each add's inputs, the convolution that comes last and ends there."""
    readers: dict[str, int] = {}
    for layer in integers.layers:
        for name in layer.sources:
            readers[name] = readers.get(name, 0) + 1
    plain = [x.name for x in integers.layers if isinstance(x, IntegerConv) and x.activation == "none"]
    found = set()
    for layer in integers.layers:
        branches = [name for name in plain if name in layer.sources and readers[name] == 1]
        if isinstance(layer, Add) and branches:
            found.add(branches[-1])
    return frozenset(found)


def _pixels(form: str, spec: ModelSpec) -> onnx.ValueInfoProto:
    if form in ("u8", PLAIN):
        shape: list[str | int] = ["N", spec.height, spec.width, spec.channels]
        return helper.make_tensor_value_info("pixels", TensorProto.UINT8, shape)
    shape = ["N", spec.channels, spec.height, spec.width]
    return helper.make_tensor_value_info("pixels", TensorProto.FLOAT, shape)


def save(
    graph: Graph,
    inputs: list[onnx.ValueInfoProto],
    outputs: list[onnx.ValueInfoProto],
    path: Path,
    blocked: IntegerConv | None = None,
) -> None:
    """Writes the graph, checked. `blocked`: the u8 file's first layer, if it reads blocks of pixels."""
    body = helper.make_graph(graph.nodes, "edgewise", inputs, outputs, list(graph.constants.values()))
    opset = helper.make_opsetid("", OPSET)
    model = helper.make_model(body, opset_imports=[opset], ir_version=IR_VERSION, producer_name="edgewise")
    if blocked is not None:  # how to read single pixels' weights back
        _, left, _, right = blocked.geometry.pads
        helper.set_model_props(model, {BLOCKS_KEY: f"{blocked.weight.shape[3]} {left} {right}"})
    onnx.checker.check_model(model, full_check=True)
    onnx.save(model, str(path))
