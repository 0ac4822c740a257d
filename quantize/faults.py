"""Faults to plant in an ONNX file: what goes wrong in exporters and on the way to a board.

Each changes a model of quantize.emit in place and says whether it found something to change: not every network adds
or concatenates, and not every form has a zero point. `edgewise verify` must find each of them in each form.
"""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper, numpy_helper

Fault = Callable[[onnx.ModelProto], bool]
Array = NDArray[Any]

_STEP = 1e-3  # a bias of the float forms is moved by this


def _activation_scale(model: onnx.ModelProto) -> bool:
    names = _tensors(model, ".q.all") or _tensors(model, ".q")  # the float form keeps a scale in its bounds
    wanted = [name + ".scale" for name in names if name != "pixels"] or [name + ".high" for name in _layers(model)]
    return _edit(model, wanted, lambda scale: scale * np.float32(1.01))


def _weight_scale(model: onnx.ModelProto) -> bool:
    wanted = [name + ending for name in _layers(model) for ending in (".weight.scale", ".weight")]
    return _edit(model, wanted, lambda scale: scale * np.float32(1.01))


def _biases(model: onnx.ModelProto) -> bool:
    wanted = [name + ending for name in _layers(model) for ending in (".bias.codes", ".bias")]
    return _edit(model, wanted, lambda bias: bias + bias.dtype.type(1 if bias.dtype == np.int32 else _STEP))


def _one_weight(model: onnx.ModelProto) -> bool:
    def change(weight: Array) -> Array:
        weight.flat[0] += 1 if weight.dtype == np.float32 or weight.flat[0] < 127 else -1
        return weight

    return _edit(model, _weights(model), change)


def _channel_zeroed(model: onnx.ModelProto) -> bool:
    return _edit(model, _weights(model), lambda weight: _first_channel(weight, weight[0] * 0))


def _channel_halved(model: onnx.ModelProto) -> bool:
    return _edit(model, _weights(model), lambda weight: _first_channel(weight, weight[0] // 2))


def _channels_swapped(model: onnx.ModelProto) -> bool:
    return _edit(model, _weights(model), _swap_rows)


def _classifier_rows(model: onnx.ModelProto) -> bool:
    return _edit(model, ["classifier.weight"], _swap_rows)


def _sixth(model: onnx.ModelProto) -> bool:
    return _edit(model, ["sixth.float"], lambda _: np.float32(0.1667))


def _zero_point(model: onnx.ModelProto) -> bool:
    """Of the pixels alone: the first node that reads one."""
    for node in model.graph.node:
        if node.op_type in ("QuantizeLinear", "DequantizeLinear") and len(node.input) == 3:
            zero = next(t for t in model.graph.initializer if t.name == node.input[2])
            value = numpy_helper.to_array(zero)
            model.graph.initializer.append(numpy_helper.from_array(np.asarray(value - value.dtype.type(1)), "zero.off"))
            node.input[2] = "zero.off"
            return True
    return False


def _clip_dropped(model: onnx.ModelProto) -> bool:
    clips = [node for node in model.graph.node if node.op_type in ("Clip", "Relu")]
    return bool(clips) and _become_identity(model, clips[len(clips) // 2])


def _clip_bound(model: onnx.ModelProto) -> bool:
    """Lowers one Clip's upper bound by a code, or by a percent where it is a float."""
    for node in model.graph.node:
        if node.op_type == "Clip":
            bound = numpy_helper.to_array(next(t for t in model.graph.initializer if t.name == node.input[2]))
            lower = bound - np.uint8(1) if bound.dtype == np.uint8 else bound * np.float32(0.99)
            model.graph.initializer.append(numpy_helper.from_array(np.asarray(lower), "bound.off"))
            node.input[2] = "bound.off"
            return True
    return False


def _pads(model: onnx.ModelProto) -> bool:
    for node in model.graph.node:
        for attribute in node.attribute:
            if attribute.name == "pads" and attribute.ints[0] > 0:
                attribute.ints[0] -= 1
                attribute.ints[2] += 1
                return True
    return False


def _border(model: onnx.ModelProto) -> bool:
    """Of a convolution whose input is padded with another value than zero."""
    names = [tensor.name for tensor in model.graph.initializer if tensor.name.endswith(".border")]
    return _edit(model, names, lambda border: border + border.dtype.type(1))


def _add_scales(model: onnx.ModelProto) -> bool:
    """Swaps the scales of the two tensors that an add reads."""
    for add in _adds(model):
        inputs = [n for n in model.graph.node if n.op_type == "DequantizeLinear" and n.output[0] in add.input]
        if len(inputs) == 2 and inputs[0].input[1] != inputs[1].input[1]:
            inputs[0].input[1], inputs[1].input[1] = inputs[1].input[1], inputs[0].input[1]
            return True
    return False


def _add_order(model: onnx.ModelProto) -> bool:
    """Changes only how float32 rounds the sum: too little for any accuracy to show."""
    for add in _adds(model):
        add.input[0], add.input[1] = add.input[1], add.input[0]
        return True
    return False


def _add_dropped(model: onnx.ModelProto) -> bool:
    return any(_become_identity(model, add) for add in list(_adds(model))[:1])


def _concat_order(model: onnx.ModelProto) -> bool:
    for node in model.graph.node:
        if node.op_type == "Concat":
            node.input[0], node.input[1] = node.input[1], node.input[0]
            return True
    return False


FAULTS: dict[str, Fault] = {
    "an activation scale off by 1 %": _activation_scale,
    "weight scales off by 1 %": _weight_scale,
    "biases off by one": _biases,
    "one weight off by one": _one_weight,
    "a channel zeroed": _channel_zeroed,
    "a channel halved": _channel_halved,
    "two channels swapped": _channels_swapped,
    "two classes swapped": _classifier_rows,
    "the pixels' zero point off by one": _zero_point,
    "a clip dropped": _clip_dropped,
    "a clip's upper bound off": _clip_bound,
    "pads moved by one": _pads,
    "a border of another value": _border,
    "the scales of an add's inputs swapped": _add_scales,
    "an add's inputs in the other order": _add_order,
    "an add dropped": _add_dropped,
    "a concat in another order": _concat_order,
    "hard swish divided by another six": _sixth,
}


def _layers(model: onnx.ModelProto) -> list[str]:
    """The convolutions by name, the middle one first: not the one that reads the pixels."""
    return _middle_first([n.output[0].partition(".")[0] for n in model.graph.node if n.op_type == "Conv"])


def _tensors(model: onnx.ModelProto, ending: str) -> list[str]:
    """The names before `ending` of what QuantizeLinear nodes give."""
    outputs = [n.output[0] for n in model.graph.node if n.op_type == "QuantizeLinear"]
    return _middle_first([name[: -len(ending)] for name in outputs if name.endswith(ending)])


def _weights(model: onnx.ModelProto) -> list[str]:
    return [name + ending for name in _layers(model) for ending in (".weight.codes", ".weight")]


def _middle_first(names: list[str]) -> list[str]:
    middle = len(names) // 2
    return names[middle:] + names[:middle]


def _edit(model: onnx.ModelProto, names: list[str], change: Callable[[Array], Any]) -> bool:
    """Puts change(array) in place of the first of the constants `names` which it changes."""
    constants = {tensor.name: tensor for tensor in model.graph.initializer}
    for name in names:
        if name not in constants:
            continue
        before = numpy_helper.to_array(constants[name])
        after = np.asarray(change(before.copy()), before.dtype)
        if not np.array_equal(before, after):
            constants[name].CopyFrom(numpy_helper.from_array(after, name))
            return True
    return False


def _first_channel(weight: Array, channel: Array) -> Array:
    weight[0] = channel
    return weight


def _swap_rows(rows: Array) -> Array:
    rows[[0, 1]] = rows[[1, 0]]
    return rows


def _adds(model: onnx.ModelProto) -> Iterator[onnx.NodeProto]:
    return (node for node in model.graph.node if node.op_type == "Add" and node.output[0].endswith(".sum"))


def _become_identity(model: onnx.ModelProto, node: onnx.NodeProto) -> bool:
    """The node gives its first input."""
    replacement = helper.make_node("Identity", [node.input[0]], [node.output[0]], name=node.name)
    node.CopyFrom(replacement)
    return True
