"""An ONNX file of quantize.emit -> the integers in it, from the file alone; nothing that emit would not write passes.

What is read is written again, and both files must agree in every node, attribute and constant. So a zero point, a clip,
a pad or an opset that is not of the form cannot hide: the reader does not look at it, the comparison does.
"""

import tempfile
from collections.abc import Callable
from dataclasses import replace
from itertools import zip_longest
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from google.protobuf.message import DecodeError  # type: ignore[import-untyped]
from numpy.typing import NDArray
from onnx import helper, numpy_helper

from edge.contract.errors import FormatError
from edge.contract.spec import ModelSpec
from quantize.blocks import Window, from_blocks
from quantize.emit import BLOCKS_KEY, emit, summed_in_float
from quantize.grid import CODE_MAX, INPUT_SCALE
from quantize.integers import IntegerConv, IntegerLayer, Integers, canonical
from quantize.plan import INPUT, Activation, Add, AveragePool, Concat, Curve, Geometry, MaxPool, Mul, shared_grids

_ZERO_POINT = 128
_REMEDY = "make it again with `edgewise quantize`"
_MISFITS = (  # what sizes, types and names raise that make no network
    ValueError,
    TypeError,
    KeyError,
    IndexError,
    ArithmeticError,
    onnx.checker.ValidationError,
    onnx.shape_inference.InferenceError,
)
_LAYER_OPERATORS = ("Conv", "Add", "Mul", "GlobalAveragePool", "MaxPool", "Concat")


def parse_u8(path: Path, spec: ModelSpec) -> Integers:
    """The integers of a model.u8.onnx.

    A ReLU6 whose 6 lies beyond code 127 is read as the ReLU that it is: see `canonical`. Raises FormatError that names
    the first node, constant or field which `emit` would not have written.
    """
    return _parse(path, "u8", spec)


def parse_s8(path: Path, spec: ModelSpec) -> Integers:
    """The integers of a model.s8.onnx. Raises FormatError as parse_u8 does."""
    return _parse(path, "s8", spec)


def parse_s8_identity(path: Path, spec: ModelSpec) -> Integers:
    """Those of a model.s8_identity.onnx: no scale is in it for a tensor that it does not round. Raises FormatError."""
    return _parse(path, "s8_identity", spec)


def without_unrounded(integers: Integers) -> Integers:
    """What of these integers a model.s8_identity.onnx holds."""
    gone = summed_in_float(integers)
    return replace(integers, scales={name: scale for name, scale in integers.scales.items() if name not in gone})


def first_difference(found: Integers, expected: Integers) -> str | None:
    """Where two sets of integers differ in a bit, as `LAYER: field`; None if they do not."""
    for a, b in zip_longest(found.layers, expected.layers):
        if type(a) is not type(b):
            named = a if a is not None else b
            return f"{named.name}: one of the two has another layer there"
        for field in vars(a):
            if not _same(getattr(a, field), getattr(b, field)):
                return f"{a.name}: {field}"
    for name in dict.fromkeys((*found.scales, *expected.scales)):
        if not _same(found.scales.get(name), expected.scales.get(name)):
            return f"{name}: scale"
    if not _same(found.weight, expected.weight) or not _same(found.bias, expected.bias):
        return "classifier: weight or bias"
    return None


def require_written(path: Path, form: str, integers: Integers, spec: ModelSpec) -> None:
    """Raises FormatError that names the first difference unless `path` is what `emit` writes of `integers`."""
    _require_same(path, _load(path), _emitted(path, form, integers, spec))


def _parse(path: Path, form: str, spec: ModelSpec) -> Integers:
    model = _load(path)
    try:
        integers = _Reader(path, model, form).read()
    except _MISFITS as error:
        raise _misfit(path, error) from None
    _require_same(path, model, _emitted(path, form, integers, spec))
    return integers


class _Reader:
    """Takes out of a model what its form holds of the integers, by the names that `emit` gives."""

    def __init__(self, path: Path, model: onnx.ModelProto, form: str) -> None:
        self.path, self.form = path, form
        self.nodes = list(model.graph.node)
        self.outputs = {output: node for node in self.nodes for output in node.output}
        self.constants = {tensor.name: tensor for tensor in model.graph.initializer}
        self.metadata = {entry.key: entry.value for entry in model.metadata_props}

    def read(self) -> Integers:
        layers = tuple(self.layer(node) for node in self.nodes if self.is_layer(node))
        found = Integers(
            layers,
            self.scales(layers),
            self.array("classifier.weight", np.float32, 2),
            self.array("classifier.bias", np.float32, 1),
        )
        return canonical(found) if self.form == "u8" else found

    def is_layer(self, node: onnx.NodeProto) -> bool:
        """emit ends a layer's own output in .sum, or in .q where it only moves codes; a curve's is its last Mul."""
        return node.op_type in _LAYER_OPERATORS and node.output[0].endswith((".sum", ".q"))

    def layer(self, node: onnx.NodeProto) -> IntegerLayer:
        name, source = tensor_of(node.output[0]), tensor_of(node.input[0])
        if node.op_type == "Conv":
            return self.conv(node, name, source)
        if node.op_type == "MaxPool":
            kernel, stride = self.pair(node, "kernel_shape"), self.pair(node, "strides")
            return MaxPool(name, (source,), kernel, stride, self.four(node, "pads"))
        if node.op_type == "Concat":
            return Concat(name, tuple(tensor_of(value) for value in node.input))
        if node.op_type == "GlobalAveragePool":
            return AveragePool(name, (source,), self.activation(name))
        if "sixth.float" in node.input:
            source = tensor_of(self.node(name + ".add3").input[0])
            return Curve(name, (source,), "hardswish" if name + ".six" in self.outputs else "hardsigmoid")
        kind = Add if node.op_type == "Add" else Mul
        return kind(name, (source, tensor_of(node.input[1])), self.activation(name))

    def activation(self, name: str) -> Activation:
        if self.form == "u8":
            if name + ".q.all" not in self.outputs:
                return "none"
            upper = list(self.node(name + ".q").input[2:])
            return "relu" if upper == [f"code.u8.{_ZERO_POINT + CODE_MAX}"] else "relu6"
        return "relu6" if name + ".relu6" in self.outputs else "relu" if name + ".relu" in self.outputs else "none"

    def scales(self, layers: tuple[IntegerLayer, ...]) -> dict[str, np.float32]:
        """Of every tensor: its own, or that of one which a max pool or a concat ties it to."""
        grids = shared_grids(layers)
        known = {grids[name]: self.scale(name) for name in reversed(grids) if name + ".scale" in self.constants}
        return {name: known[grid] for name, grid in grids.items() if grid in known}

    def scale(self, tensor: str) -> np.float32:
        found = np.float32(self.array(tensor + ".scale", np.float32, 0))
        if not (np.isfinite(found) and found > 0):
            raise self.odd(f"the scale of {tensor} is {found}", "a number above 0")
        # the TensorRT files take pixels with a scale of 1, and divide the first weights
        return np.float32(INPUT_SCALE) if tensor == INPUT and self.form != "u8" else found

    def conv(self, node: onnx.NodeProto, name: str, source: str) -> IntegerConv:
        group: int = self.attribute(node, "group")
        pads, border = self.four(node, "pads"), 0
        if name + ".padded" in self.outputs:
            top, left, bottom, right = self.array(name + ".padded.sides", np.int64, 1)[[2, 3, 6, 7]].tolist()
            pads, border = (top, left, bottom, right), int(self.array(name + ".padded.border", np.int8, 0))
        geometry = Geometry(self.pair(node, "strides"), pads, self.pair(node, "dilations"), group)
        weight = self.array(name + ".weight.codes", np.int8, 4)
        scale = self.array(name + ".weight.scale", np.float32, 1)
        if self.form == "u8":
            bias, step = self.array(name + ".bias.codes", np.int32, 1), self.array(name + ".bias.scale", np.float32, 1)
            border = int(self.array(self.node(node.input[0]).input[2], np.uint8, 0)) - _ZERO_POINT
            bias = bias - border * weight.sum((1, 2, 3), dtype=np.int32)
        else:
            scale = (scale / np.float32(INPUT_SCALE) if source == INPUT else scale).astype(np.float32)
            step = self.scale(source) * scale
            bias = self.bias_codes(name, step)
        if not len(weight) == len(scale) == len(bias) == len(step) or weight.size == 0:
            raise self.odd(f"weight, bias and scales of {name} differ in length", "one a channel")
        layer = IntegerConv(name, (source,), weight, scale, bias, step, geometry, self.activation(name), border)
        return self.unblocked(layer) if source == INPUT and BLOCKS_KEY in self.metadata else layer

    def unblocked(self, layer: IntegerConv) -> IntegerConv:
        """The first convolution on single pixels: the file has it on blocks of them."""
        kernel, left, right = (int(number) for number in self.metadata[BLOCKS_KEY].split(" "))
        return from_blocks(layer, Window(kernel, left), right)

    def bias_codes(self, name: str, step: NDArray[np.float32]) -> NDArray[np.int32]:
        """The codes that a float bias was made of: below 2^23 no two give the same float32."""
        bias = self.array(name + ".bias", np.float32, 1)
        if bias.shape != step.shape or not (np.isfinite(bias).all() and np.isfinite(step).all() and step.all()):
            raise self.odd(f"the bias of {name} is no multiple of its scale", "finite numbers, one a channel")
        codes = np.rint(bias.astype(np.float64) / step.astype(np.float64))
        return np.clip(codes, -(1 << 31), (1 << 31) - 1).astype(np.int32)

    def array(self, name: str, kind: type[Any], dimensions: int) -> NDArray[Any]:
        if name not in self.constants:
            raise self.odd(f"the constant {name} is missing", "all that `edgewise quantize` writes")
        if self.constants[name].data_location == onnx.TensorProto.EXTERNAL:
            raise self.odd(f"the constant {name} lies in another file", "all in one file")
        try:
            value: NDArray[Any] = numpy_helper.to_array(self.constants[name])
        except _MISFITS as error:  # an unknown type, or bytes that do not fill the shape
            raise self.odd(f"the constant {name} cannot be read ({error})", "a whole one") from None
        if value.dtype != kind or value.ndim != dimensions:
            expected = f"{np.dtype(kind)} of {dimensions} dimensions"
            raise self.odd(f"the constant {name} is {value.dtype} of {value.ndim}", expected)
        return value.copy()

    def node(self, output: str) -> onnx.NodeProto:
        if output not in self.outputs or not self.outputs[output].input:
            raise self.odd(f"the node {output} is missing", "all that `edgewise quantize` writes")
        found: onnx.NodeProto = self.outputs[output]
        return found

    def attribute(self, node: onnx.NodeProto, name: str) -> Any:
        for attribute in node.attribute:
            if attribute.name == name:
                return helper.get_attribute_value(attribute)
        raise self.odd(f"the node {node.name} has no {name}", "the attributes that `edgewise quantize` writes")

    def pair(self, node: onnx.NodeProto, name: str) -> tuple[int, int]:
        first, second = self.attribute(node, name)
        return first, second

    def four(self, node: onnx.NodeProto, name: str) -> tuple[int, int, int, int]:
        top, left, bottom, right = self.attribute(node, name)
        return top, left, bottom, right

    def odd(self, found: str, expected: str) -> FormatError:
        return FormatError(f"{self.path}: {found}", expected, _REMEDY)


def tensor_of(value: str) -> str:
    """The layer's tensor that an ONNX value is a stage of: `TENSOR.q`, `TENSOR.to.READER` and so on."""
    return value.partition(".")[0]


def _same(a: Any, b: Any) -> bool:
    if isinstance(a, np.ndarray) and isinstance(b, np.ndarray):
        return a.dtype == b.dtype and a.shape == b.shape and a.tobytes() == b.tobytes()
    return type(a) is type(b) and bool(a == b)


def _load(path: Path) -> onnx.ModelProto:
    try:
        model: onnx.ModelProto = onnx.ModelProto.FromString(path.read_bytes())
    except (OSError, DecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is cut short or no ONNX file"
        raise FormatError(f"{path}: {reason}", "a file that `edgewise quantize` wrote", _REMEDY) from None
    return model


def _emitted(path: Path, form: str, integers: Integers, spec: ModelSpec) -> onnx.ModelProto:
    with tempfile.TemporaryDirectory() as scratch:
        written = Path(scratch) / "model.onnx"
        try:
            emit(integers, spec, form, written)
        except _MISFITS as error:
            raise _misfit(path, error) from None
        return _load(written)


def _misfit(path: Path, error: Exception) -> FormatError:
    reason = (str(error).strip() or type(error).__name__).splitlines()[0]
    return FormatError(f"{path}: its parts do not fit together ({reason})", "a whole network", _REMEDY)


def _require_same(path: Path, found: onnx.ModelProto, expected: onnx.ModelProto) -> None:
    name_of: tuple[tuple[str, Callable[[onnx.ModelProto], Any]], ...] = (
        ("node", lambda model: model.graph.node),
        ("constant", lambda model: model.graph.initializer),
        ("input", lambda model: model.graph.input),
        ("output", lambda model: model.graph.output),
        ("opset", lambda model: model.opset_import),
    )
    for kind, parts in name_of:
        for a, b in zip_longest(parts(found), parts(expected)):
            if a != b:
                part = a if a is not None else b
                name = part.version if kind == "opset" else part.name
                raise FormatError(f"{path}: the {kind} {name} is not of the form", _expected(b), _REMEDY)
    if found.ir_version != expected.ir_version:
        raise FormatError(f"{path}: IR version {found.ir_version}", str(expected.ir_version), _REMEDY)
    if found.SerializeToString(deterministic=True) != expected.SerializeToString(deterministic=True):
        raise FormatError(f"{path}: it holds more than nodes and constants", "what `edgewise quantize` writes", _REMEDY)


def _expected(part: Any) -> str:
    """A node's or input's text in one short line; of a constant only its type and shape."""
    if part is None:
        return "nothing there"
    if isinstance(part, onnx.TensorProto):
        kind = helper.tensor_dtype_to_np_dtype(part.data_type)
        return f"{part.name}, {kind} {tuple(part.dims)}, as the other constants ask for"
    text = " ".join(str(part).split())
    return text if len(text) < 160 else text[:157] + "..."
