"""Reading ONNX files back: the very integers come out, and what emit would not have written is refused by name."""

import functools
import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
from hypothesis import example, given, reject, settings
from hypothesis import strategies as st
from networks import KINDS, quantized, random_net, smooth_pixels
from onnx import helper

from edge.contract.errors import FormatError, GateError
from edge.contract.spec import FORMS, ModelSpec
from quantize.emit import emit
from quantize.fake import FakeQuant
from quantize.faults import FAULTS
from quantize.gates import require_trained
from quantize.integers import IntegerConv, IntegerLayer, Integers, canonical
from quantize.parse import (
    first_difference,
    parse_s8,
    parse_s8_identity,
    parse_u8,
    require_written,
    without_unrounded,
)
from quantize.plan import Add
from quantize.simulate import simulate
from train.predict import predict

NETWORKS = {
    "seed": st.integers(0, 10_000),
    "channels": st.sampled_from([1, 3]),
    "six": st.booleans(),
    "kinds": st.sets(st.sampled_from(KINDS), min_size=1).map(sorted).map(tuple),
}


def _quantized(seed: int, channels: int, six: bool, kinds: tuple[str, ...]) -> tuple[FakeQuant, Integers, ModelSpec]:
    try:
        return quantized(random_net(seed, channels, 3, six, kinds), channels, seed)
    except GateError:  # random weights may leave a layer that no picture reaches
        reject()


@settings(max_examples=6, deadline=None)
@given(**NETWORKS)
def test_every_form_gives_back_the_integers_it_was_made_of(
    tmp_path_factory: pytest.TempPathFactory, seed: int, channels: int, six: bool, kinds: tuple[str, ...]
) -> None:
    folder = tmp_path_factory.mktemp("parse")
    _, integers, spec = _quantized(seed, channels, six, kinds)
    for form in FORMS:
        emit(integers, spec, form, folder / form)
    assert first_difference(parse_u8(folder / "u8", spec), canonical(integers)) is None
    assert first_difference(parse_s8(folder / "s8", spec), integers) is None
    assert first_difference(parse_s8_identity(folder / "s8_identity", spec), without_unrounded(integers)) is None
    require_written(folder / "float", "float", canonical(integers), spec)


@settings(max_examples=5, deadline=None)
@given(**NETWORKS)
def test_simulated_integers_read_what_the_trained_model_reads(
    seed: int, channels: int, six: bool, kinds: tuple[str, ...]
) -> None:
    model, integers, _ = _quantized(seed, channels, six, kinds)
    pixels = smooth_pixels(40, 16, channels, seed + 1)
    trained, simulated = predict(model, pixels)[1], simulate(integers, pixels)
    assert np.array_equal(trained.argmax(1), simulated.argmax(1))
    np.testing.assert_allclose(simulated, trained, rtol=1e-3, atol=1e-3 * np.abs(trained).max())


@settings(max_examples=12, deadline=None)
@given(**NETWORKS)
@example(seed=51, channels=1, six=False, kinds=("branches", "depthwise", "plain", "residual", "squeeze"))
def test_each_layer_of_the_integers_is_the_layer_that_was_trained(
    seed: int, channels: int, six: bool, kinds: tuple[str, ...]
) -> None:
    model, integers, _ = _quantized(seed, channels, six, kinds)
    require_trained(model, integers, smooth_pixels(8, 16, channels, seed + 1))


def test_integers_of_another_network_than_was_trained_are_refused_by_the_layer() -> None:
    model, integers, _ = _quantized(11, 3, True, ("depthwise",))
    pixels = smooth_pixels(8, 16, 3, 12)
    for index, layer in enumerate(integers.layers):
        wrong: IntegerLayer
        if isinstance(layer, IntegerConv):
            wrong = replace(
                layer, bias=layer.bias + 2 * np.rint(integers.scales[layer.name] / layer.bias_scale).astype(np.int32)
            )
        elif isinstance(layer, Add):
            wrong = replace(layer, activation="none" if layer.activation != "none" else "relu")
        else:
            continue
        layers = (*integers.layers[:index], wrong, *integers.layers[index + 1 :])
        with pytest.raises(GateError, match=f"the integers of {layer.name} are not what was trained"):
            require_trained(model, replace(integers, layers=layers), pixels)


@functools.cache
def _written(kinds: tuple[str, ...]) -> tuple[Integers, ModelSpec, dict[str, bytes]]:
    """A network's integers, and its files by form."""
    _, integers, spec = quantized(random_net(11, 3, 3, True, kinds), 3, 11)
    with tempfile.TemporaryDirectory() as folder:
        for form in FORMS:
            emit(integers, spec, form, Path(folder) / form)
        return integers, spec, {form: (Path(folder) / form).read_bytes() for form in FORMS}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_planted_fault_is_found_in_every_form_that_has_a_place_for_it(tmp_path: Path, fault: str) -> None:
    placed = 0
    for kinds in (("residual",), ("squeeze", "branches"), ("depthwise",)):
        integers, spec, files = _written(kinds)
        for form, content in files.items():
            model = onnx.ModelProto.FromString(content)
            if FAULTS[fault](model):
                placed += 1
                (tmp_path / form).write_bytes(model.SerializeToString())
                with pytest.raises(FormatError):
                    require_written(tmp_path / form, form, integers, spec)
    assert placed >= 2


def _set(name: str, value: object) -> Callable[[onnx.ModelProto], None]:
    return lambda model: setattr(model, name, value)


def _opset(model: onnx.ModelProto) -> None:
    model.opset_import[0].version = 14


def _attribute(model: onnx.ModelProto) -> None:
    next(n for n in model.graph.node if n.op_type == "Conv").attribute.append(helper.make_attribute("auto_pad", "SAME"))


def _extra_node(model: onnx.ModelProto) -> None:
    model.graph.node.append(helper.make_node("Identity", ["logits"], ["again"], name="again"))


def _extra_constant(model: onnx.ModelProto) -> None:
    model.graph.initializer.append(helper.make_tensor("more", onnx.TensorProto.FLOAT, [], [1.0]))


def _no_bias(model: onnx.ModelProto) -> None:
    (bias,) = [t for t in model.graph.initializer if t.name == "stem_0.bias.codes"]
    model.graph.initializer.remove(bias)


def _zero_scale(model: onnx.ModelProto) -> None:
    (scale,) = [t for t in model.graph.initializer if t.name == "stem_0.scale"]
    scale.raw_data = np.float32(0).tobytes()


def _short_weight(model: onnx.ModelProto) -> None:
    (weight,) = [t for t in model.graph.initializer if t.name == "stem_0.weight.codes"]
    weight.raw_data = weight.raw_data[:-3]


def _elsewhere(model: onnx.ModelProto) -> None:
    (weight,) = [t for t in model.graph.initializer if t.name == "stem_0.weight.codes"]
    weight.data_location = onnx.TensorProto.EXTERNAL


def _no_nodes(model: onnx.ModelProto) -> None:
    del model.graph.node[:]


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (_set("ir_version", 8), "IR version 8"),
        (_set("producer_name", "another"), "more than nodes"),
        (_set("doc_string", "x"), "more than nodes"),
        (_opset, "opset 14"),
        (_attribute, "stem_0.sum"),
        (_extra_node, "again"),
        (_extra_constant, "more"),
        (_no_bias, "stem_0.bias.codes"),
        (_zero_scale, "stem_0"),
        (_short_weight, "stem_0.weight.codes"),
        (_elsewhere, "stem_0.weight.codes"),
        (_no_nodes, "fit together"),
    ],
)
def test_what_emit_would_not_write_is_named(
    tmp_path: Path, change: Callable[[onnx.ModelProto], None], named: str
) -> None:
    _, spec, files = _written(("residual",))
    path = tmp_path / "model.onnx"
    model = onnx.ModelProto.FromString(files["u8"])
    change(model)
    path.write_bytes(model.SerializeToString())
    with pytest.raises(FormatError, match=named):
        parse_u8(path, spec)


@settings(max_examples=30, deadline=None)
@given(data=st.data())
def test_a_damaged_file_is_refused_whatever_the_damage(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    integers, spec, files = _written(("residual",))
    path = tmp_path_factory.mktemp("damaged") / "model.onnx"
    whole = files["u8"]
    at = data.draw(st.integers(0, len(whole) - 1))
    if data.draw(st.booleans()):
        path.write_bytes(whole[:at])
    else:
        path.write_bytes(whole[:at] + bytes([whole[at] ^ data.draw(st.integers(1, 255))]) + whole[at + 1 :])
    try:
        found = parse_u8(path, spec)
    except FormatError:
        return
    assert first_difference(found, canonical(integers)) is not None  # another number, in a file that is well formed


def test_another_spec_or_form_or_file_is_refused(tmp_path: Path) -> None:
    _, spec, files = _written(("residual",))
    path = tmp_path / "model.onnx"
    path.write_bytes(files["u8"])
    with pytest.raises(FormatError, match="pixels"):
        parse_u8(path, spec._replace(height=32))
    with pytest.raises(FormatError):
        parse_s8(path, spec)
    path.write_bytes(b"PK no model")
    with pytest.raises(FormatError):
        parse_u8(path, spec)
    with pytest.raises(FormatError, match="No such file"):
        parse_u8(tmp_path / "none", spec)


def test_the_first_differing_field_is_named() -> None:
    integers, _, _ = _written(("residual",))
    (stem, *others) = integers.layers
    other = replace(integers, layers=(replace(stem, bias=stem.bias + 1), *others))  # type: ignore[union-attr]
    assert first_difference(other, integers) == "stem_0: bias"
    shorter = replace(integers, layers=integers.layers[:-1])
    assert first_difference(shorter, integers) == f"{integers.layers[-1].name}: one of the two has another layer there"


def test_a_relu_whose_range_goes_beyond_six_is_read_as_one(tmp_path: Path) -> None:
    _, integers, spec = quantized(random_net(3, kinds=("residual",)), 1, 3)
    name = next(layer.name for layer in integers.layers if layer.activation == "relu")
    wide = replace(integers, scales={**integers.scales, name: np.float32(0.0625)})
    emit(wide, spec, "u8", tmp_path / "u8.onnx")
    assert first_difference(parse_u8(tmp_path / "u8.onnx", spec), wide) is None
