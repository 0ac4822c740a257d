"""The certificate: what the three files do on the test pictures, measured with the engine that the board runs."""

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

from edge.contract.spec import FORMS
from edge.engine import Engine, run_in_batches
from quantize.fake import FakeQuant
from quantize.gates import Fused, find_fused
from quantize.integers import Float32, Integers
from quantize.lsq import INPUT_SCALE
from quantize.plan import INPUT, float_layer, sources
from quantize.reference import layer_codes, reference_features
from train.data import Pictures
from train.network import to_input

_Z95 = 1.959964  # standard normal quantile of a two-sided 95 % interval
_ERROR_PICTURES = 256


@dataclass(frozen=True)
class Measured:
    """Everything measured once; logits (N, classes) by name: fp32, qat, u8, s8, float."""

    logits: dict[str, Float32]
    reference: Float32  # (N, D) features of the integer reference
    features: Float32  # (N, D) of the u8 file, optimized
    unoptimized: dict[str, Float32]  # (N, D) of u8 and s8 with onnxruntime's optimizations off
    fused: Fused


def measure(
    network: nn.Module,
    model: FakeQuant,
    integers: Integers,
    folder: Path,
    pixels: NDArray[np.uint8],
    progress: Callable[[int, int], None],
) -> Measured:
    """Runs every form over pixels (N, H, W, C) uint8. `folder` holds model.{u8,s8,float}.onnx."""
    logits = {"fp32": _torch_logits(network, pixels), "qat": _torch_logits(model, pixels)}
    steps = len(FORMS) + 3
    progress(1, steps)
    with tempfile.TemporaryDirectory() as scratch:
        optimized = Path(scratch) / "optimized.onnx"
        engine = Engine(str(folder / "model.u8.onnx"), optimized_path=str(optimized))
        fused = find_fused(integers, optimized)
    features, logits["u8"] = run_in_batches(engine, pixels)
    progress(2, steps)
    for step, form in enumerate(("s8", "float"), 3):
        _, logits[form] = run_in_batches(Engine(str(folder / f"model.{form}.onnx")), pixels)
        progress(step, steps)
    unoptimized = {}
    for form in ("u8", "s8"):
        plain = Engine(str(folder / f"model.{form}.onnx"), optimize=False)
        unoptimized[form], _ = run_in_batches(plain, pixels[:_ERROR_PICTURES])
    progress(steps - 1, steps)
    reference = reference_features(integers, pixels)
    progress(steps, steps)
    return Measured(logits, reference, features, unoptimized, fused)


def certificate(measured: Measured, model: FakeQuant, integers: Integers, test: Pictures) -> dict[str, Any]:
    """report.json without files, machine and verdict: its keys are listed in docs/architecture.md."""
    targets = test.targets
    qat = measured.logits["qat"].argmax(1)
    same = int((measured.features == measured.reference).all(1).sum())
    plain = measured.unoptimized
    return {
        "test_count": len(targets),
        "accuracy": {name: round(accuracy(values, targets), 4) for name, values in measured.logits.items()},
        "agreement": {name: _agreement(qat, measured.logits[name].argmax(1)) for name in ("u8", "s8")},
        "exact": {
            "u8": same == len(targets),
            "u8_pictures": same,
            "s8_equals_u8_unoptimized": bool((plain["u8"] == plain["s8"]).all()),
        },
        "integer_layers": {
            "planned": model.plan.planned,
            "fused": len(measured.fused.fused),
            "left_in_float": list(measured.fused.left_in_float),
        },
        "layers": layer_errors(model, integers, test.pixels[:_ERROR_PICTURES]),
        "scales": {INPUT: INPUT_SCALE} | {layer.name: float(layer.scale) for layer in integers.layers},
    }


def accuracy(logits: Float32, targets: NDArray[np.int64]) -> float:
    """Percent of the rows of logits (N, classes) whose largest value is the target's."""
    return float(100 * (logits.argmax(1) == targets).mean())


def wilson(hits: int, count: int) -> tuple[float, float]:
    """Wilson's 95 % interval for hits of count, in percent (Wilson 1927)."""
    p, z2 = hits / count, _Z95 * _Z95
    centre = (p + z2 / (2 * count)) / (1 + z2 / count)
    half = _Z95 / (1 + z2 / count) * (p * (1 - p) / count + z2 / (4 * count * count)) ** 0.5
    return 100 * max(0.0, centre - half), 100 * min(1.0, centre + half)


@torch.no_grad()
def layer_errors(model: FakeQuant, integers: Integers, pixels: NDArray[np.uint8]) -> list[dict[str, Any]]:
    """Signal to quantization noise of each layer's output in dB, against the FP32 network's own tensor."""
    values: dict[str, Tensor] = {INPUT: to_input(torch.from_numpy(pixels))}
    errors = []
    for layer, (_, codes) in zip(model.plan.layers, layer_codes(integers, pixels), strict=True):
        exact = float_layer(layer, tuple(values[name] for name in sources(layer)))
        values[layer.name] = exact
        noise = codes * float(integers.scale_of(layer.name)) - exact
        ratio = float((exact.square().sum() / noise.square().sum().clamp_min(1e-20)).item())
        errors.append({"name": layer.name, "kind": type(layer).__name__, "sqnr_db": round(10 * np.log10(ratio), 2)})
    return errors


def file_hash(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _agreement(first: NDArray[np.int64], second: NDArray[np.int64]) -> dict[str, float]:
    hits = int((first == second).sum())
    low, high = wilson(hits, len(first))
    return {"percent": round(100 * hits / len(first), 4), "low": round(low, 4), "high": round(high, 4)}


@torch.no_grad()
def _torch_logits(module: nn.Module, pixels: NDArray[np.uint8], batch: int = 500) -> Float32:
    parts = [module(to_input(torch.from_numpy(pixels[i : i + batch])))[1] for i in range(0, len(pixels), batch)]
    logits: Float32 = torch.cat(parts).numpy()
    return logits
