"""The exported step of training against torch's own differentiation, and where a network is cut."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from edge.contract.errors import GateError, InputError
from edge.contract.spec import ModelSpec
from edge.deep import BODY, FILES, REPLAY, STEP, TAIL, Deep
from quantize.deep import first_other_file, write_deep
from quantize.emit import emit
from quantize.grid import code_range
from quantize.integers import IntegerConv, IntegerLayer, Integers
from quantize.plan import INPUT, Add, Geometry, MaxPool
from quantize.reference import float_features, layer_codes, reference_features
from quantize.step import LONGEST, MOMENTUM, emit_step, emit_tail
from quantize.tail import SPARE, Tail, find_tail, flat, float_weight, is_depthwise, parameters
from train.data import Pictures

SPEC = ModelSpec("small", 16, 16, 1, 12, 3)


def conv(
    name: str, source: str, shape: tuple[int, ...], stride: int = 1, groups: int = 1, end: str = "relu"
) -> IntegerConv:
    """A convolution with random weights."""
    random = np.random.default_rng(sum(map(ord, name)))
    weight = random.integers(-127, 128, shape).astype(np.int8)
    scale = np.full(shape[0], 1 / (60 * np.sqrt(weight[0].size)), np.float32)
    step = scale * np.float32(1 / 128 if source == INPUT else 1 / 32)
    bias = random.integers(-2000, 2001, shape[0]).astype(np.int32)
    pad = shape[2] // 2
    geometry = Geometry((stride, stride), (pad, pad, pad, pad), (1, 1), groups)
    return IntegerConv(name, (source,), weight, scale, bias, step, geometry, end)  # type: ignore[arg-type]


def network(*layers: IntegerLayer) -> Integers:
    random = np.random.default_rng(1)
    scales = {INPUT: np.float32(1 / 128)} | {layer.name: np.float32(1 / 32) for layer in layers}
    last = next(layer for layer in reversed(layers) if isinstance(layer, IntegerConv))
    weight = random.normal(size=(3, len(last.weight))).astype(np.float32)
    return Integers(layers, scales, weight, np.zeros(3, np.float32))


STEM = (conv("stem", INPUT, (8, 1, 3, 3)), conv("wide", "stem", (8, 8, 3, 3)))
RESIDUAL = network(
    *STEM,
    conv("one", "wide", (12, 8, 3, 3), stride=2),
    conv("two", "one", (12, 12, 3, 3), end="none"),
    conv("short", "wide", (12, 8, 1, 1), stride=2, end="none"),
    Add("sum", ("two", "short"), "relu"),
)
DEPTHWISE = network(
    *STEM,
    conv("down", "wide", (8, 8, 3, 3), stride=2),
    conv("expand", "down", (24, 8, 1, 1), end="relu6"),
    conv("depth", "expand", (24, 1, 3, 3), groups=24, end="relu6"),
    conv("project", "depth", (8, 24, 1, 1), end="none"),
    Add("again", ("project", "down")),
    conv("last", "again", (12, 8, 1, 1), end="relu6"),
)
PADDED = network(  # a tensor of 255 steps, which a depthwise convolution pads with the code of 0
    *STEM,
    conv("down", "wide", (8, 8, 3, 3), stride=2),
    conv("expand", "down", (24, 8, 1, 1), end="none"),
    replace(conv("depth", "expand", (24, 1, 3, 3), groups=24, end="none"), border=-128),
    conv("last", "depth", (12, 24, 1, 1), end="relu"),
)


def torch_logits(tail: Tail, weights: Tensor, latents: Tensor) -> tuple[Tensor, Tensor]:
    """Features and logits of the tail in torch."""
    found = {p.name: weights[p.start : p.end].reshape(p.value.shape) for p in parameters(tail)}
    values = {tail.cut: (latents.float() - 128) * float(tail.scale)}
    for layer in tail.layers:
        if isinstance(layer, IntegerConv):
            kernel = torch.from_numpy(float_weight(layer)) if is_depthwise(layer) else found[layer.name + ".weight"]
            geometry = layer.geometry
            total = F.conv2d(
                values[layer.sources[0]],
                kernel,
                found[layer.name + ".bias"],
                geometry.stride,
                geometry.pads[:2],
                1,
                geometry.groups,
            )
        else:
            total = values[layer.sources[0]] + values[layer.sources[1]]
        scale = float(tail.scales[layer.name])
        low, high = (code - tail.zeros.get(layer.name, 0) for code in code_range(layer.activation, scale))
        values[layer.name] = total.clamp(low * scale, high * scale)
    features = values[tail.layers[-1].name].mean((2, 3))
    return features, F.linear(features, found["classifier.weight"], found["classifier.bias"])


@pytest.mark.parametrize("integers, cut", [(RESIDUAL, "wide"), (DEPTHWISE, "wide"), (PADDED, "wide")])
def test_the_step_is_torchs_own(tmp_path: Path, integers: Integers, cut: str) -> None:
    tail = find_tail(integers, SPEC)
    assert tail.cut == cut
    emit_step(tail, tmp_path / "step.onnx")
    session = onnxruntime.InferenceSession(str(tmp_path / "step.onnx"), providers=["CPUExecutionProvider"])
    random = np.random.default_rng(0)
    mask = np.where(np.arange(tail.slots) < 5, 0, -1e9).astype(np.float32)
    weights, momentum = flat(tail), np.zeros_like(flat(tail))
    own, own_momentum = torch.from_numpy(weights.copy()), torch.zeros(len(weights))
    for rate in (0.05, 0.1, 0.05):
        latents = random.integers(100, 250, (tail.batch, *tail.shape)).astype(np.uint8)
        wanted = np.eye(tail.slots, dtype=np.float32)[random.integers(0, 5, tail.batch)]
        wanted = 0.9 * wanted + 0.02 * (np.arange(tail.slots) < 5).astype(np.float32)
        given = {"weights": weights, "momentum": momentum, "latents": latents, "wanted": wanted, "mask": mask}
        loss, weights, momentum = session.run(None, given | {"rate": np.array(rate, np.float32)})
        leaf = own.clone().requires_grad_(True)
        logits = torch_logits(tail, leaf, torch.from_numpy(latents))[1] + torch.from_numpy(mask)
        expected = -(torch.from_numpy(wanted) * F.log_softmax(logits, 1)).sum(1).mean()
        (gradient,) = torch.autograd.grad(expected, leaf)
        own_momentum = MOMENTUM * own_momentum + gradient / max(1.0, float(gradient.norm()) / LONGEST)
        own = own - rate * own_momentum
        assert float(loss) == pytest.approx(expected.item(), rel=1e-4)
    moved = float((own - torch.from_numpy(flat(tail))).abs().max())
    assert np.abs(weights - own.numpy()).max() < 1e-3 * moved
    assert moved > 0.01


@pytest.mark.parametrize("integers", [RESIDUAL, DEPTHWISE, PADDED])
def test_body_and_tail_together_are_the_network(tmp_path: Path, integers: Integers) -> None:
    random = np.random.default_rng(2)
    parts = [Pictures(random.integers(0, 256, (9, 16, 16, 1)).astype(np.uint8), np.arange(9) % 3) for _ in range(3)]
    emit(integers, SPEC, "u8", tmp_path / "model.u8.onnx")
    write_deep(tmp_path, integers, SPEC, parts, 0)
    assert all((tmp_path / name).is_file() for name in FILES)
    deep, tail = Deep(str(tmp_path), "", "", SPEC), find_tail(integers, SPEC)
    codes = dict(layer_codes(integers, parts[0].pixels))[tail.cut].numpy()
    latents = deep.latents(parts[0].pixels)
    assert np.array_equal(latents.astype(int) - 128, codes)
    features, logits = deep.answers(deep.replay().weights, latents)
    off = np.abs(features - reference_features(integers, parts[0].pixels)).max()
    assert off < 0.05 * features.max()  # the tail rounds no code
    assert first_other_file(tmp_path, integers, SPEC) is None
    assert first_other_file(tmp_path, replace(integers, weight=integers.weight + 1), SPEC) == REPLAY
    shifted = replace(integers.layers[0], bias=integers.layers[0].bias + 1)
    assert first_other_file(tmp_path, replace(integers, layers=(shifted, *integers.layers[1:])), SPEC) == BODY
    assert logits.shape == (9, 3 + SPARE) and not logits[:, 3:].any()
    assert (
        deep.replay().train_latents.shape[0] == 9 and float_features(integers, parts[0].pixels).shape == features.shape
    )


def test_the_files_are_what_a_boards_onnxruntime_loads(tmp_path: Path) -> None:
    tail = find_tail(DEPTHWISE, SPEC)
    for write, name in ((emit_tail, TAIL), (emit_step, STEP)):
        path = tmp_path / Path(name).name
        write(tail, path)
        model = onnx.load(str(path))
        assert (model.ir_version, [(each.domain, each.version) for each in model.opset_import]) == (7, [("", 13)])
        assert {node.domain for node in model.graph.node} == {""}


def test_a_network_without_an_affordable_end_is_refused() -> None:
    pooled = network(*STEM, MaxPool("pooled", ("wide",), (2, 2), (2, 2), (0, 0, 0, 0)))
    with pytest.raises(InputError, match="no last blocks"):
        find_tail(pooled, SPEC)


def test_more_classes_than_latents_have_room_for_are_refused(tmp_path: Path) -> None:
    crowded = SPEC._replace(classes=5000)
    pictures = Pictures(np.zeros((1, 16, 16, 1), np.uint8), np.zeros(1, np.int64))
    emit(DEPTHWISE, SPEC, "u8", tmp_path / "model.u8.onnx")
    with pytest.raises(InputError, match="5000 classes"):
        write_deep(tmp_path, DEPTHWISE, crowded, [pictures] * 3, 0)


def test_a_body_with_other_codes_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pictures = Pictures(np.zeros((6, 16, 16, 1), np.uint8), np.arange(6) % 3)
    emit(DEPTHWISE, SPEC, "u8", tmp_path / "model.u8.onnx")
    monkeypatch.setattr(Deep, "latents", lambda self, pixels: np.zeros((len(pixels), 8, 16, 16), np.uint8))
    with pytest.raises(GateError, match="differ from the reference"):
        write_deep(tmp_path, DEPTHWISE, SPEC, [pictures] * 3, 0)
    assert (tmp_path / BODY).exists() and not (tmp_path / REPLAY).exists()
