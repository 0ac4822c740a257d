"""An ONNX graph in the making: its nodes and constants, and the layers that all forms write alike."""

from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper, numpy_helper

from quantize.integers import IntegerConv, IntegerLayer
from quantize.plan import Add, AveragePool, Concat, Curve, MaxPool, Mul

_NO_PADS = (0, 0, 0, 0)


class Graph:
    """`nodes` in order of execution, and `constants` by name."""

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
        geometry = layer.geometry
        return self.node(
            "Conv",
            [value, weight, bias],
            layer.name + ".sum",
            kernel_shape=layer.weight.shape[2:],
            strides=geometry.stride,
            pads=geometry.pads if not layer.border else _NO_PADS,
            dilations=geometry.dilation,
            group=geometry.groups,
        )

    def padded(self, layer: IntegerConv, value: str, border: np.generic) -> str:
        """`value` with the border around it that the convolution cannot add itself, for it is not zero."""
        top, left, bottom, right = layer.geometry.pads
        sides = np.array([0, 0, top, left, 0, 0, bottom, right], np.int64)
        output = layer.name + ".padded"
        inputs = [value, self.constant(output + ".sides", sides), self.constant(output + ".border", border)]
        return self.node("Pad", inputs, output)

    def combine(self, layer: IntegerLayer, values: list[str], output: str) -> str:
        """The node of a layer without weights, on floats, or on codes if it only moves them."""
        if isinstance(layer, Curve):
            return self._curve(layer, values[0], output)
        if isinstance(layer, MaxPool):
            window = {"kernel_shape": layer.kernel, "strides": layer.stride, "pads": layer.pads}
            return self.node("MaxPool", values, output, **window)
        if isinstance(layer, Concat):
            return self.node("Concat", values, output, axis=1)
        operators = {Add: "Add", Mul: "Mul", AveragePool: "GlobalAveragePool"}
        return self.node(operators[type(layer)], values, output)

    def _curve(self, layer: Curve, value: str, output: str) -> str:
        """One operation a node, in the order of quantize.plan.combine: no two round together."""
        three, sixth = self.constant("three.float", np.float32(3)), self.constant("sixth.float", np.float32(1 / 6))
        bounds = [self.constant("zero.float", np.float32(0)), self.constant("six.float", np.float32(6))]
        gate = self.node(
            "Clip", [self.node("Add", [value, three], layer.name + ".add3"), *bounds], layer.name + ".gate"
        )
        if layer.kind == "hardswish":
            gate = self.node("Mul", [value, gate], layer.name + ".six")
        return self.node("Mul", [gate, sixth], output)

    def dequantized_weight(self, layer: IntegerConv, scale: NDArray[np.float32]) -> str:
        name = layer.name + ".weight"
        zeros = self.constant(f"zeros.s8.{len(scale)}", np.zeros(len(scale), np.int8))
        inputs = [self.constant(name + ".codes", layer.weight), self.constant(name + ".scale", scale), zeros]
        return self.node("DequantizeLinear", inputs, name, axis=0)
