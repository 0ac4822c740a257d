"""The certificate: what the files do on the test pictures, measured with the engine that the board runs."""

import hashlib
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from edge.contract.spec import FORMS, ModelSpec
from edge.engine import Engine, run_in_batches
from edge.enough import wilson as wilson_shares
from quantize.emit import PLAIN, emit
from quantize.gates import Fused, find_fused, planned
from quantize.grid import SHIFT
from quantize.integers import Float32, IntegerConv, Integers
from quantize.plan import INPUT, Mover, Plan, float_layer, last_uses, unsigned_tensors
from quantize.reference import batches, layer_codes, reference_features
from quantize.simulate import simulate
from train.network import to_input
from train.predict import predict

_ERROR_PICTURES = 64


@dataclass(frozen=True)
class Measured:
    """Everything measured once; logits (N, classes) by name: fp32, qat, and each form."""

    logits: dict[str, Float32]
    reference: Float32  # (N, D) features of the integer reference
    features: Float32  # (N, D) of the u8 file, optimized
    unoptimized: dict[str, Float32]  # (N, D) of u8 without blocks and s8, with onnxruntime's optimizations off
    fused: Fused


def measure(
    network: nn.Module | None,
    integers: Integers,
    spec: ModelSpec,
    folder: Path,
    pixels: NDArray[np.uint8],
    progress: Callable[[int, int], None],
) -> Measured:
    """Runs every form over pixels (N, H, W, C) uint8. `folder` holds the four files.

    Without the FP32 `network`, which no release holds, there are no logits of fp32.
    """
    steps = len(FORMS) + 4
    logits = {"fp32": predict(network, pixels)[1]} if network is not None else {}
    progress(1, steps)
    logits["qat"] = simulate(integers, pixels)
    progress(2, steps)
    with tempfile.TemporaryDirectory() as scratch:
        optimized = Path(scratch) / "optimized.onnx"
        engine = Engine(str(folder / "model.u8.onnx"), optimized_path=str(optimized))
        fused = find_fused(integers, optimized)
    features, logits["u8"] = run_in_batches(engine, pixels)
    progress(3, steps)
    for step, form in enumerate(("s8", "s8_identity", "float"), 4):
        _, logits[form] = run_in_batches(Engine(str(folder / f"model.{form}.onnx")), pixels)
        progress(step, steps)
    plain = unoptimized(integers, spec, folder / "model.s8.onnx", pixels[:_ERROR_PICTURES])
    progress(steps - 1, steps)
    reference = reference_features(integers, pixels)
    progress(steps, steps)
    return Measured(logits, reference, features, plain, fused)


def unoptimized(integers: Integers, spec: ModelSpec, s8: Path, pixels: NDArray[np.uint8]) -> dict[str, Float32]:
    """Features (N, D) of the s8 file and of u8 without blocks of pixels, with onnxruntime's optimizations off.

    Both then compute in float between the same roundings, in the same order, so their bits are the same.
    """
    with tempfile.TemporaryDirectory() as scratch:
        u8 = Path(scratch) / "plain.onnx"
        emit(integers, spec, PLAIN, u8)
        paths = {"u8": u8, "s8": s8}
        return {form: run_in_batches(Engine(str(path), optimize=False), pixels)[0] for form, path in paths.items()}


def certificate(
    measured: Measured,
    plan: Plan | None,
    integers: Integers,
    pixels: NDArray[np.uint8],
    targets: NDArray[np.int64] | None,
) -> dict[str, Any]:
    """report.json's figures, which follow from the files and the test pictures: docs/int8.md lists the keys.

    plan: of the FP32 network, its channels split as the integers' are; without it, as in a release, no layer has an
    error. pixels: (N, H, W, C) uint8, targets: (N,), None for pictures without labels, which have no accuracy.
    """
    same = int((measured.features == measured.reference).all(1).sum())
    plain = measured.unoptimized
    answers = {name: logits.argmax(1) for name, logits in measured.logits.items()}
    return {
        "test_count": len(pixels),
        "accuracy": {
            name: round(accuracy(values, targets), 4) for name, values in measured.logits.items() if targets is not None
        },
        "agreement": {name: agreement(answers["qat"], answers[name]) for name in FORMS},
        "agreement_with_fp32": {
            name: agreement(answers["fp32"], answers[name]) for name in ("qat", *FORMS) if "fp32" in answers
        },
        "exact": {
            "u8": same == len(pixels),
            "u8_pictures": same,
            "s8_equals_u8_unoptimized": bool((plain["u8"] == plain["s8"]).all()),
        },
        "integer_layers": {
            "planned": planned(integers),
            "fused": len(measured.fused.fused),
            "left_in_float": list(measured.fused.left_in_float),
        },
        "multiply_adds": multiply_adds(integers, pixels[:1]),
        "dead_channels": dead_channels(integers),
        "layers": layer_errors(plan, integers, pixels[:_ERROR_PICTURES]) if plan is not None else [],
        "scales": {name: float(scale) for name, scale in integers.scales.items()},
    }


def accuracy(logits: Float32, targets: NDArray[np.int64]) -> float:
    """Percent of the rows of logits (N, classes) whose largest value is the target's."""
    return float(100 * (logits.argmax(1) == targets).mean())


def wilson(hits: int, count: int) -> tuple[float, float]:
    """Wilson's 95 % interval for hits of count, in percent."""
    low, high = wilson_shares(hits, count)
    return 100 * low, 100 * high


@torch.no_grad()
def layer_errors(plan: Plan, integers: Integers, pixels: NDArray[np.uint8]) -> list[dict[str, Any]]:
    """Signal to quantization noise of each layer's output in dB, against the FP32 network's own tensor.

    Noise is what is left after the best gain of each channel.
    """
    errors: dict[str, list[Tensor]] = {layer.name: [] for layer in plan.layers}
    done, unsigned = last_uses(plan.layers), unsigned_tensors(plan.layers)
    for batch in batches(pixels):
        values: dict[str, Tensor] = {INPUT: to_input(torch.from_numpy(batch))}
        for layer, (_, codes) in zip(plan.layers, layer_codes(integers, batch), strict=True):
            exact = float_layer(layer, tuple(values[name] for name in layer.sources))
            values[layer.name] = exact
            steps = codes + SHIFT if layer.name in unsigned else codes
            errors[layer.name].append(_moments(steps * float(integers.scales[layer.name]), exact))
            for name in done.get(layer.name, ()):
                del values[name]
    rows = []
    for layer in plan.layers:
        if isinstance(layer, Mover):
            continue
        product, power, given = torch.stack(errors[layer.name]).sum(0)
        explained = (product.square() / power.clamp_min(1e-30)).sum()
        noise = (given.sum() - explained).clamp_min(1e-20)
        ratio = round(float(10 * torch.log10(explained.clamp_min(1e-20) / noise)), 2)
        rows.append({"name": layer.name, "kind": type(layer).__name__, "sqnr_db": ratio})
    return rows


def _moments(given: Tensor, exact: Tensor) -> Tensor:
    """(3, C) float64: sums over pictures and pixels of given * exact, exact squared and given squared."""
    given, exact = given.double(), exact.double()
    return torch.stack([(given * exact).sum((0, 2, 3)), exact.square().sum((0, 2, 3)), given.square().sum((0, 2, 3))])


def multiply_adds(integers: Integers, pixels: NDArray[np.uint8]) -> dict[str, int]:
    """Of one picture, by what computes them: the integer convolutions, and the float classifier."""
    shapes = {name: codes.shape for name, codes in layer_codes(integers, pixels[:1])}
    integer = sum(
        int(np.prod(shapes[layer.name][2:])) * layer.weight.size
        for layer in integers.layers
        if isinstance(layer, IntegerConv)
    )
    return {"integer": integer, "float": integers.weight.size}


def dead_channels(integers: Integers) -> dict[str, int]:
    """By convolution that has some: output channels whose weights are all 0."""
    convs = [layer for layer in integers.layers if isinstance(layer, IntegerConv)]
    counts = {layer.name: int((layer.weight == 0).all((1, 2, 3)).sum()) for layer in convs}
    return {name: count for name, count in counts.items() if count}


def file_hash(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def agreement(first: NDArray[np.int64], second: NDArray[np.int64]) -> dict[str, float]:
    """Percent of the answers (N,) that are equal, with Wilson's 95 % interval."""
    hits = int((first == second).sum())
    low, high = wilson(hits, len(first))
    return {"percent": round(100 * hits / len(first), 4), "low": round(low, 4), "high": round(high, 4)}


def divergence(wanted: Float32, given: Float32) -> float:
    """Kullback-Leibler divergence of answers from those of FP32, both logits (N, classes); in nats, the mean."""
    log_wanted, log_given = (F.log_softmax(torch.from_numpy(logits).double(), 1) for logits in (wanted, given))
    return round(float(F.kl_div(log_given, log_wanted, log_target=True, reduction="batchmean")), 6)
