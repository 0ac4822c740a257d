"""The three files against the integer reference, bit for bit, and the gates that planted faults must not pass."""

import json
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from hypothesis import given, reject, settings
from hypothesis import strategies as st
from networks import KINDS, quantized, random_net, smooth_pixels
from onnx import TensorProto, helper
from torch import nn

from edge.contract.errors import GateError
from edge.contract.spec import FORMS, ModelSpec
from edge.engine import Engine, run_in_batches
from quantize.certificate import layer_errors
from quantize.emit import IR_VERSION, OPSET, PLAIN, emit
from quantize.fake import FakeQuant
from quantize.gates import find_fused, require_accuracy, require_exact, require_fused
from quantize.integers import IntegerConv, Integers, extract
from quantize.plan import INPUT, Add
from quantize.reference import float_features, layer_codes, output_codes, reference_features
from quantize.simulate import simulate
from quantize.trace import make_plan
from train.network import to_input
from train.predict import predict

ROOT = Path(__file__).resolve().parents[2]
PYTHON36 = ROOT / ".venv36" / "bin" / "python"


def _any_network(seed: int, channels: int, six: bool, kinds: tuple[str, ...]) -> tuple[Integers, ModelSpec]:
    try:
        return quantized(random_net(seed, channels, 3, six, kinds), channels, seed)[1:]
    except GateError as error:
        assert "calibration pictures" in error.found  # random weights sometimes leave a tensor at 0 on all of them
        reject()


@settings(max_examples=12, deadline=None)
@given(
    seed=st.integers(0, 10_000),
    channels=st.sampled_from([1, 3]),
    six=st.booleans(),
    kinds=st.sets(st.sampled_from(KINDS), min_size=1),
)
def test_onnxruntime_gives_the_references_bits_for_any_network(
    tmp_path_factory: pytest.TempPathFactory, seed: int, channels: int, six: bool, kinds: set[str]
) -> None:
    folder = tmp_path_factory.mktemp("exact")
    integers, spec = _any_network(seed, channels, six, tuple(sorted(kinds)))
    pixels = smooth_pixels(40, 16, channels, seed + 1)
    emit(integers, spec, "u8", folder / "m.onnx")
    engine = Engine(str(folder / "m.onnx"), optimized_path=str(folder / "optimized.onnx"))
    features, _ = run_in_batches(engine, pixels)
    assert np.array_equal(features, reference_features(integers, pixels))
    assert find_fused(integers, folder / "optimized.onnx").left_in_float == ()


def test_a_tensor_of_255_steps_is_padded_with_the_code_of_zero(tmp_path: Path) -> None:
    model, integers, spec = quantized(random_net(4, 3, blocks=1, kinds=("depthwise",)), 3, 4)
    first, reader = integers.layers[:2]
    assert isinstance(first, IntegerConv) and isinstance(reader, IntegerConv)
    assert first.activation == "none" and reader.border == -128 and any(reader.geometry.pads)
    pixels = smooth_pixels(20, 16, 3, 4)
    with torch.no_grad():
        trained = model.layer(model.plan.layers[0], (to_input(torch.from_numpy(pixels)),)) / model.scale_of(first.name)
    _, codes = next(layer_codes(integers, pixels))
    assert trained.min() == 0 and trained.max() > 128  # the network trained with more steps than int8 has above 0
    assert ((trained.round() - 128 - codes).abs() > 0).float().mean() < 1e-3  # float sums round otherwise, rarely
    for form in FORMS:
        emit(integers, spec, form, tmp_path / f"{form}.onnx")
        pads = [n.op_type for n in onnx.load(str(tmp_path / f"{form}.onnx")).graph.node].count("Pad")
        assert pads == (1 if form in ("s8", "s8_identity") else 0)
    features, _ = Engine(str(tmp_path / "u8.onnx")).run(pixels)
    assert np.array_equal(features, reference_features(integers, pixels))


def test_a_sum_keeps_its_clip_for_it_has_no_bias_to_take_a_shift() -> None:
    network = random_net(51, 1, kinds=("residual",))
    network.blocks[1] = nn.Sequential(nn.Conv2d(network.blocks[0].second[0].out_channels, 8, 1), nn.ReLU())
    network.classifier = nn.Linear(8, 4)
    model, integers, _ = quantized(network.eval(), 1, 51)
    (add,) = (layer for layer in integers.layers if isinstance(layer, Add))
    assert add.activation == "relu" and add.name not in model.unsigned  # though a convolution without pads reads it
    pixels = smooth_pixels(40, 16, 1, 52)
    trained = predict(model, pixels)[1]
    np.testing.assert_allclose(simulate(integers, pixels), trained, rtol=1e-3, atol=1e-3 * np.abs(trained).max())


def test_a_network_with_a_dead_channel_is_quantized_exactly(tmp_path: Path) -> None:
    net = random_net(5)
    norm = net.stem[1]
    torch.nn.init.constant_(norm.weight[:1], 0.0)
    torch.nn.init.constant_(norm.bias[:1], 0.7)
    _, integers, spec = quantized(net, 1, 5)
    pixels = smooth_pixels(20, 16, 1, 6)
    emit(integers, spec, "u8", tmp_path / "m.onnx")
    features, _ = Engine(str(tmp_path / "m.onnx")).run(pixels)
    assert np.array_equal(features, reference_features(integers, pixels))


@settings(max_examples=6, deadline=None)
@given(st.integers(0, 10_000), st.booleans())
def test_without_optimizations_the_tensorrt_form_and_the_cpu_form_are_identical(
    tmp_path_factory: pytest.TempPathFactory, seed: int, six: bool
) -> None:
    folder = tmp_path_factory.mktemp("forms")
    integers, spec = _any_network(seed, 3, six, KINDS)
    pixels = smooth_pixels(20, 16, 3, seed + 1)
    features = {}
    for form in (*FORMS, PLAIN):
        emit(integers, spec, form, folder / f"{form}.onnx")
        features[form], _ = Engine(str(folder / f"{form}.onnx"), optimize=False).run(pixels)
    assert np.array_equal(features[PLAIN], features["s8"])
    np.testing.assert_allclose(features["float"], float_features(integers, pixels), rtol=1e-4, atol=1e-5)


@settings(max_examples=6, deadline=None)
@given(st.integers(0, 10_000), st.booleans())
def test_without_optimizations_no_layer_is_more_than_one_code_off(
    tmp_path_factory: pytest.TempPathFactory, seed: int, six: bool
) -> None:
    path = tmp_path_factory.mktemp("unoptimized") / "u8.onnx"
    integers, spec = _any_network(seed, 3, six, KINDS)
    emit(integers, spec, PLAIN, path)
    model = onnx.load(str(path))
    names = [INPUT, *(layer.name for layer in integers.layers)]
    for name in names:
        shape = ["N", "C", "H", "W"]
        model.graph.output.append(helper.make_tensor_value_info(name + ".q", TensorProto.UINT8, shape))
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, ["CPUExecutionProvider"])
    given_codes = session.run([name + ".q" for name in names], {"pixels": smooth_pixels(20, 16, 3, seed + 1)})
    codes = {name: torch.from_numpy(value).float() - 128 for name, value in zip(names, given_codes)}
    for layer in integers.layers:
        expected = output_codes(integers, layer, tuple(codes[name] for name in layer.sources))
        assert (codes[layer.name] - expected).abs().max() <= 1, layer


@pytest.mark.parametrize("form", FORMS)
def test_every_file_is_opset_13_and_ir_7_with_features_and_logits(tmp_path: Path, form: str) -> None:
    _, integers, spec = quantized(random_net(0), 1, 0)
    emit(integers, spec, form, tmp_path / "m.onnx")
    model = onnx.load(str(tmp_path / "m.onnx"))
    assert [o.version for o in model.opset_import] == [OPSET] == [13]
    assert model.ir_version == IR_VERSION == 7
    assert [o.name for o in model.graph.output] == ["features", "logits"]
    kinds = {node.op_type for node in model.graph.node}
    assert ("QuantizeLinear" in kinds) == (form != "float")


def _change(integers: Integers, index: int, **fields: object) -> Integers:
    layers = list(integers.layers)
    layers[index] = replace(layers[index], **fields)  # type: ignore[arg-type]
    return replace(integers, layers=tuple(layers))


def _faulty(integers: Integers) -> int:
    """A convolution with ReLU that does not read the pixels."""
    layers = enumerate(integers.layers)
    return next(i for i, layer in layers if i and isinstance(layer, IntegerConv) and layer.activation == "relu")


def _rescaled(integers: Integers, name: str, factor: float) -> Integers:
    scale = np.float32(integers.scales[name] * np.float32(factor))
    return replace(integers, scales={**integers.scales, name: scale})


def _faults(integers: Integers) -> dict[str, Integers]:
    """What goes wrong in other people's exporters; each must be caught."""
    index = _faulty(integers)
    conv = integers.layers[index]
    assert isinstance(conv, IntegerConv)
    halved = conv.weight.copy()
    halved[0] //= 2
    rolled = np.roll(conv.weight, 1, axis=0)
    return {
        "an output scale off by 1 %": _rescaled(integers, conv.name, 1.01),
        "biases off by one step": _change(integers, index, bias=conv.bias + 1),
        "one channel halved": _change(integers, index, weight=halved),
        "channels rolled": _change(integers, index, weight=rolled),
        "weight scales off by 1 %": _change(integers, index, weight_scale=conv.weight_scale * np.float32(1.01)),
        "no activation": _change(integers, index, activation="none"),
    }


FAULTS = [
    "an output scale off by 1 %",
    "biases off by one step",
    "one channel halved",
    "channels rolled",
    "weight scales off by 1 %",
    "no activation",
]


@pytest.mark.parametrize("fault", FAULTS)
def test_a_planted_fault_in_the_file_is_caught_and_its_layer_named(tmp_path: Path, fault: str) -> None:
    _, integers, spec = quantized(random_net(11, blocks=3, kinds=("plain",)), 1, 11)
    pixels = smooth_pixels(40, 16, 1, 12)
    emit(_faults(integers)[fault], spec, "u8", tmp_path / "m.onnx")
    features, _ = Engine(str(tmp_path / "m.onnx")).run(pixels)
    with pytest.raises(GateError, match=integers.layers[_faulty(integers)].name):
        require_exact(tmp_path / "m.onnx", integers, pixels, reference_features(integers, pixels), features)


def test_a_layer_left_in_float_is_named(tmp_path: Path) -> None:
    _, integers, spec = quantized(random_net(5), 1, 5)
    emit(integers, spec, "s8", tmp_path / "m.onnx")
    Engine(str(tmp_path / "m.onnx"), optimized_path=str(tmp_path / "optimized.onnx"))
    fused = find_fused(integers, tmp_path / "optimized.onnx")  # the TensorRT form runs mostly in float on a CPU
    with pytest.raises(GateError, match=fused.left_in_float[0]):
        require_fused(fused)


def test_too_large_a_loss_of_accuracy_is_refused() -> None:
    require_accuracy(99.0, 98.5, 0.5)
    with pytest.raises(GateError, match=r"98\.40 %"):
        require_accuracy(99.0, 98.4, 0.5)


def test_every_layer_of_a_calibrated_network_keeps_its_signal() -> None:
    model, integers, _ = quantized(random_net(2, kinds=("residual",)), 1, 2)
    for row in layer_errors(model.plan, integers, smooth_pixels(16, 16, 1, 3)):
        assert row["sqnr_db"] > 10, row


def test_scales_are_fitted_to_the_middle_of_pictures_too_whose_borders_are_empty() -> None:
    pixels = np.zeros((512, 32, 32, 1), np.uint8)
    pixels[:, 8:24, 8:24] = smooth_pixels(512, 16, 1, 0)
    model = FakeQuant(make_plan(random_net(2, kinds=("residual",))))
    model.calibrate(to_input(torch.from_numpy(pixels)))
    for row in layer_errors(model.plan, extract(model.eval()), pixels[:16]):
        assert row["sqnr_db"] > 25, row


@pytest.mark.skipif(not PYTHON36.exists(), reason="no Python 3.6 with onnxruntime 1.10 (scripts/test makes .venv36)")
@pytest.mark.parametrize("kinds", [KINDS, ("plain",)])  # the second pads a tensor of 255 steps
def test_onnxruntime_1_10_on_python_3_6_fuses_every_layer_and_gives_the_same_bits(
    tmp_path: Path, kinds: tuple[str, ...]
) -> None:
    _, integers, spec = quantized(random_net(7, 3, 3, kinds=kinds), 3, 7)
    pixels = smooth_pixels(40, 16, 3, 8)
    emit(integers, spec, "u8", tmp_path / "m.onnx")
    np.save(tmp_path / "pixels.npy", pixels)
    code = (
        "import sys, json, numpy as np, onnxruntime; from edge.engine import Engine\n"
        "folder = sys.argv[1]\n"
        "engine = Engine(folder + '/m.onnx', optimized_path=folder + '/optimized.onnx')\n"
        "np.save(folder + '/features.npy', engine.run(np.load(folder + '/pixels.npy'))[0])\n"
        "print(json.dumps(onnxruntime.__version__))"
    )
    done = subprocess.run([PYTHON36, "-B", "-c", code, str(tmp_path)], cwd=ROOT, check=True, stdout=subprocess.PIPE)
    assert json.loads(done.stdout) == "1.10.0"
    assert find_fused(integers, tmp_path / "optimized.onnx").left_in_float == ()
    assert np.array_equal(np.load(tmp_path / "features.npy"), reference_features(integers, pixels))


def test_a_refused_folder_leaves_the_old_one(tmp_path: Path) -> None:
    from quantize.folder import writing

    target = tmp_path / "int8"
    with writing(target) as folder:
        (folder / "a").write_text("old")
    with pytest.raises(GateError), writing(target) as folder:
        (folder / "a").write_text("new")
        require_accuracy(99, 0, 1)
    assert (target / "a").read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["int8"]
    shutil.rmtree(target)
