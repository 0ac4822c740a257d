"""A step of training as a plain ONNX graph: forward, backward and update in operators that stock onnxruntime runs.

Reverse-mode differentiation over the layers of a tail, written out node by node, so that a board needs neither torch
nor onnxruntime's deprecated training packages. A convolution's two gradients are convolutions too (Goodfellow et al.
2016, 9.5). Opset 13 and IR 7, as the model files.
"""

from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper

from quantize.emit import save
from quantize.graph import Graph
from quantize.grid import code_range
from quantize.integers import IntegerConv, IntegerLayer
from quantize.tail import Parameter, Tail, flat, float_weight, is_depthwise, parameters

MOMENTUM = 0.9
LONGEST = 1.0  # a gradient is shortened to this norm (Pascanu et al. 2013, arXiv 1211.5063)
_SWAPPED = [1, 0, 2, 3]  # pictures and channels


def emit_tail(tail: Tail, path: Path) -> None:
    """Writes the forward half: weights (P,) and latents (N, C, H, W) uint8 -> features (N, D), logits (N, slots)."""
    writer = _Writer(tail)
    writer.forward()
    save(writer.graph, [_weights(tail, "weights"), _latents(tail, "N")], _answers(tail), path)


def emit_step(tail: Tail, path: Path) -> None:
    """Writes one step of momentum SGD on the cross-entropy with wanted probabilities, for tail.batch pictures.

    weights and momentum (P,), latents (batch, C, H, W) uint8, wanted (batch, slots) of rows that sum to 1, mask
    (slots,) that is added to the logits, rate () -> loss (), weights_after (P,), momentum_after (P,); but for the
    latents all float32.
    """
    writer = _Writer(tail)
    writer.forward()
    writer.backward()
    slots = tail.slots
    inputs = [
        _weights(tail, "weights"),
        _weights(tail, "momentum"),
        _latents(tail, tail.batch),
        _floats("wanted", [tail.batch, slots]),
        _floats("mask", [slots]),
        _floats("rate", []),
    ]
    outputs = [_floats("loss", []), _weights(tail, "weights_after"), _weights(tail, "momentum_after")]
    save(writer.graph, inputs, outputs, path)


class _Writer:
    """The graph in the making. A layer's sum is NAME.sum, and NAME.value once clipped to the range of its codes."""

    def __init__(self, tail: Tail) -> None:
        self.tail, self.graph = tail, Graph()
        self.gradients: dict[str, list[str]] = {}  # by tensor, a part for each of its readers
        self.found: dict[str, str] = {}  # by parameter, its gradient

    def forward(self) -> None:
        for parameter in parameters(self.tail):
            self._take(parameter)
        scale, zero = self._constant("cut.scale", self.tail.scale), self._zero_point()
        self._node("DequantizeLinear", ["latents", scale, zero], self.tail.cut + ".value")
        for layer in self.tail.layers:
            sources = [source + ".value" for source in layer.sources]
            if isinstance(layer, IntegerConv):
                total = self.graph.conv(layer, sources[0], self._weight(layer), layer.name + ".bias")
            else:
                total = self.graph.combine(layer, sources, layer.name + ".sum")
            self._node("Clip", [total, *self._range(layer)], layer.name + ".value")
        self._node(
            "Flatten",
            [self._node("GlobalAveragePool", [self.tail.layers[-1].name + ".value"], "pool")],
            "features",
            axis=1,
        )
        self._node("Gemm", ["features", "classifier.weight", "classifier.bias"], "logits", transB=1)

    def backward(self) -> None:
        self._loss()
        for layer in reversed(self.tail.layers):
            name = layer.name
            gradient = self._inside(layer, self._sum(self.gradients[name], name + ".gradient"))
            if isinstance(layer, IntegerConv):
                self._conv(layer, gradient)
            else:
                for source in layer.sources:
                    self._pass(source, gradient)
        self._update()

    def _loss(self) -> None:
        """Cross-entropy, and its gradient down to the last layer: softmax minus what was wanted."""
        tail, node = self.tail, self._node
        masked = node("Add", ["logits", "mask"], "masked")
        told = node("Mul", ["wanted", node("LogSoftmax", [masked], "log_p", axis=1)], "told")
        share = self._constant("minus.share", np.float32(-1 / tail.batch))
        node("Mul", [node("ReduceSum", [told], "told.sum", keepdims=0), share], "loss")
        missed = node("Sub", ["wanted", node("Softmax", [masked], "p", axis=1)], "missed")
        missed = node("Mul", [missed, share], "logits.gradient")
        self.found["classifier.weight"] = node("Gemm", [missed, "features"], "classifier.weight.gradient", transA=1)
        axes = self._constant("axes.0", np.array([0], np.int64))
        self.found["classifier.bias"] = node("ReduceSum", [missed, axes], "classifier.bias.gradient", keepdims=0)
        back = node("MatMul", [missed, "classifier.weight"], "features.gradient")
        back = self._reshape(back, (tail.batch, -1, 1, 1), "pool.gradient")
        pixels = self._constant("pixels", np.float32(tail.pixels))
        self._pass(tail.layers[-1].name, node("Div", [back, pixels], "mean.gradient"))

    def _conv(self, layer: IntegerConv, gradient: str) -> None:
        name, (source,) = layer.name, layer.sources
        axes = self._constant("axes.023", np.array([0, 2, 3], np.int64))
        self.found[name + ".bias"] = self._node("ReduceSum", [gradient, axes], name + ".bias.gradient", keepdims=0)
        if not is_depthwise(layer):
            self.found[name + ".weight"] = self._weight_gradient(layer, gradient)
        if source != self.tail.cut:
            self._pass(source, self._source_gradient(layer, gradient))

    def _weight_gradient(self, layer: IntegerConv, gradient: str) -> str:
        name, geometry, (height, width) = layer.name, layer.geometry, layer.weight.shape[2:]
        turned = [
            self._node("Transpose", [value], f"{name}.{side}.turned", perm=_SWAPPED)
            for side, value in (("input", layer.sources[0] + ".value"), ("gradient", gradient))
        ]
        if (height, width) == geometry.stride == (1, 1):  # (O, pixels) @ (pixels, I)
            given, missed = (self._reshape(value, (0, -1), value + ".flat") for value in turned)
            given = self._node("Transpose", [given], name + ".input.back", perm=[1, 0])
            return self._node("MatMul", [missed, given], name + ".weight.gradient")
        # Channels as pictures and pictures as channels: the input convolved with the gradient as its kernel
        made = self._node("Conv", turned, name + ".weight.turned", pads=geometry.pads, dilations=geometry.stride)
        if geometry.stride != (1, 1):  # no stride reaches the input's last row, and it makes the kernel too large
            zeros, ends = self._constant("zeros", np.array([0, 0])), np.array([height, width])
            limits = [zeros, self._constant(name + ".kernel", ends), self._constant("axes.23", np.array([2, 3]))]
            made = self._node("Slice", [made, *limits], name + ".weight.cut")
        return self._node("Transpose", [made], name + ".weight.gradient", perm=_SWAPPED)

    def _source_gradient(self, layer: IntegerConv, gradient: str) -> str:
        """The gradient convolved with the flipped kernel, whose channels change sides."""
        name, geometry, (height, width) = layer.name, layer.geometry, layer.weight.shape[2:]
        top, left, bottom, right = geometry.pads
        pads = (height - 1 - top, width - 1 - left, height - 1 - bottom, width - 1 - right)
        if is_depthwise(layer):
            kernel = self._constant(name + ".flipped", np.ascontiguousarray(float_weight(layer)[:, :, ::-1, ::-1]))
        else:
            kernel = self._node("Transpose", [name + ".weight"], name + ".weight.back", perm=_SWAPPED)
            if (height, width) != (1, 1):
                kernel = self._flip(kernel, name + ".weight.flipped")
        output = f"{layer.sources[0]}.gradient.{name}"
        return self._node("Conv", [gradient, kernel], output, pads=pads, group=geometry.groups)

    def _flip(self, value: str, output: str) -> str:
        starts, ends = self._constant("last", np.array([-1, -1])), self._constant("first", np.array([-(1 << 31)] * 2))
        axes, steps = self._constant("axes.23", np.array([2, 3])), self._constant("back", np.array([-1, -1]))
        return self._node("Slice", [value, starts, ends, axes, steps], output)

    def _inside(self, layer: IntegerLayer, gradient: str) -> str:
        """Nothing passes where the sum was clipped."""
        low, high = self._range(layer)
        total, name = layer.name + ".sum", layer.name
        above = self._node("Greater", [total, low], name + ".above")
        below = self._node("Less", [total, high], name + ".below")
        inside = self._node("And", [above, below], name + ".inside")
        zero = self._constant("zero", np.float32(0))
        return self._node("Where", [inside, gradient, zero], name + ".sum.gradient")

    def _update(self) -> None:
        node, constant = self._node, self._constant
        parts = [
            self._reshape(self.found[parameter.name], (-1,), parameter.name + ".flat")
            for parameter in parameters(self.tail)
        ]
        gradient = node("Concat", parts, "gradient", axis=0)
        length = node(
            "Div",
            [node("ReduceL2", [gradient], "norm", keepdims=0), constant("longest", np.float32(LONGEST))],
            "length",
        )
        length = node("Max", [length, constant("one", np.float32(1))], "excess")
        kept = node("Mul", ["momentum", constant("friction", np.float32(MOMENTUM))], "kept")
        node("Add", [kept, node("Div", [gradient, length], "shortened")], "momentum_after")
        node("Sub", ["weights", node("Mul", ["momentum_after", "rate"], "change")], "weights_after")

    def _take(self, parameter: Parameter) -> None:
        """The parameter, cut out of the flat vector."""
        ends = [self._constant(f"at.{at}", np.array([at], np.int64)) for at in (parameter.start, parameter.end)]
        part = self._node("Slice", ["weights", *ends], parameter.name + ".part")
        self._reshape(part, parameter.value.shape, parameter.name)

    def _weight(self, layer: IntegerConv) -> str:
        name = layer.name + ".weight"
        return self._constant(name, float_weight(layer)) if is_depthwise(layer) else name

    def _range(self, layer: IntegerLayer) -> list[str]:
        """The lowest and highest value that the layer's codes stand for."""
        scale, zero = self.tail.scales[layer.name], self.tail.zeros.get(layer.name, 0)
        sides = zip(("low", "high"), code_range(layer.activation, float(scale)), strict=True)
        return [self._constant(f"{layer.name}.{side}", np.float32((code - zero) * scale)) for side, code in sides]

    def _zero_point(self) -> str:
        """Of the latents, which are the u8 file's codes."""
        return self._constant("cut.zero", np.uint8(128 + self.tail.zeros.get(self.tail.cut, 0)))

    def _pass(self, tensor: str, gradient: str) -> None:
        if tensor != self.tail.cut:
            self.gradients.setdefault(tensor, []).append(gradient)

    def _sum(self, parts: list[str], output: str) -> str:
        return parts[0] if len(parts) == 1 else self._node("Sum", parts, output)

    def _reshape(self, value: str, shape: tuple[int, ...], output: str) -> str:
        return self._node("Reshape", [value, self._constant(output + ".shape", np.array(shape, np.int64))], output)

    def _constant(self, name: str, value: Any) -> str:
        return self.graph.constant(name, value)

    def _node(self, op: str, inputs: list[str], output: str, **attributes: Any) -> str:
        return self.graph.node(op, inputs, output, **attributes)


def _floats(name: str, shape: list[Any]) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)


def _weights(tail: Tail, name: str) -> onnx.ValueInfoProto:
    return _floats(name, [flat(tail).size])


def _latents(tail: Tail, batch: str | int) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info("latents", TensorProto.UINT8, [batch, *tail.shape])


def _answers(tail: Tail) -> list[onnx.ValueInfoProto]:
    return [_floats("features", ["N", tail.weight.shape[1]]), _floats("logits", ["N", tail.slots])]
