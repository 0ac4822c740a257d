"""Would a float block make a u8 file faster? python scripts/float_blocks.py NETWORK ...

For each network, with random weights: of all runs of layers one after the other that where float gains most, layer by
layer, is left in float in the u8 file, and both whole files are timed. One thread, taking turns.
"""

import sys
import tempfile
import time
from pathlib import Path
from statistics import median

import numpy as np
import onnxruntime
from compare_layers import SIDE, by_layer, random_integers
from onnx import TensorProto, helper

from edge.contract.spec import ModelSpec
from quantize.emit import U8, Float, emit, save
from quantize.integers import Integers
from quantize.plan import INPUT

LONGEST = (2, 8, 1000)  # layers of a block: the best of each length is tried
RUNS, WARM_UP = 60, 5


def main() -> None:
    print("| network | layers in float | gain of the layers | u8 | with the float block | with it / u8 |")
    print("| --- | --- | --- | --- | --- | --- |")
    for name in sys.argv[1:]:
        integers, spec = random_integers(name)
        with tempfile.TemporaryDirectory() as scratch:
            u8, float32 = Path(scratch) / "u8.onnx", Path(scratch) / "float.onnx"
            emit(integers, spec, "u8", u8)
            emit(integers, spec, "float", float32)
            gains = layer_gains(integers, u8, float32)
            blocks = dict.fromkeys(best_run(gains, longest) for longest in LONGEST)
            for first, end in blocks:
                mixed = Path(scratch) / "mixed.onnx"
                emit_mixed(integers, spec, range(first, end), mixed)
                times = take_turns([u8, mixed])
                title = f"{integers.layers[first].name} to {integers.layers[end - 1].name} ({end - first})"
                ratio = median(np.array(times[1]) / np.array(times[0]))
                cells = (name, title, f"{sum(gains[first:end]):.0f} us", *(f"{median(t):.2f} ms" for t in times))
                print("| " + " | ".join((*cells, f"{ratio:.3f}")) + " |", flush=True)


def layer_gains(integers: Integers, u8: Path, float32: Path) -> list[float]:
    """Microseconds that each layer would gain in float."""
    times = [by_layer(path) for path in (u8, float32)]
    return [times[0].get(layer.name, 0) - times[1].get(layer.name, 0) for layer in integers.layers]


def best_run(gains: list[float], longest: int) -> tuple[int, int]:
    """First and end of the layers one after the other, at most `longest`, that gain most together."""
    sums = np.concatenate([[0], np.cumsum(gains)])
    count = len(gains)
    runs = ((first, end) for first in range(count) for end in range(first + 1, min(count, first + longest) + 1))
    return max(runs, key=lambda run: sums[run[1]] - sums[run[0]])


def emit_mixed(integers: Integers, spec: ModelSpec, block: range, path: Path) -> None:
    """The u8 file with the layers of `block` in float: dequantized where it begins, quantized where it ends."""
    u8, inside = U8(integers, spec), Float(integers)
    inside.graph, inside.tensors = u8.graph, {}
    if block.start == 0:
        u8.blocked = None
    u8.start()
    for place, layer in enumerate(integers.layers):
        for source in layer.sources:
            if place in block and source not in inside.tensors:
                inside.tensors[source] = _convert(u8, inside, "DequantizeLinear", source + ".q", source, ".float")
        (inside if place in block else u8).layer(layer)
        outside = [x for later, x in enumerate(integers.layers) if layer.name in x.sources and later not in block]
        if place in block and (outside or layer is integers.layers[-1]):
            _convert(u8, inside, "QuantizeLinear", inside.tensors[layer.name], layer.name, ".q")
    pooled = u8.graph.node("GlobalAveragePool", [u8.value(integers.layers[-1].name, "pool")], "pool")
    u8.graph.node("Flatten", [pooled], "features", axis=1)
    pixels = helper.make_tensor_value_info("pixels", TensorProto.UINT8, ["N", spec.height, spec.width, spec.channels])
    features = helper.make_tensor_value_info("features", TensorProto.FLOAT, ["N", spec.features])
    save(u8.graph, [pixels], [features], path)


def _convert(u8: U8, inside: Float, operator: str, value: str, tensor: str, suffix: str) -> str:
    """Between codes and the float form, which counts some tensors from another code, and pixels in whole numbers."""
    scale = np.float32(1) if tensor == INPUT else inside.integers.scales[tensor]
    zero = np.uint8(128 + inside.borders.get(tensor, 0))
    name = tensor + suffix
    inputs = [value, u8.graph.constant(name + ".scale", scale), u8.graph.constant(name + ".zero", zero)]
    return u8.graph.node(operator, inputs, name)


def take_turns(models: list[Path]) -> list[list[float]]:
    """Milliseconds of each run of each model, which take turns on one thread."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    sessions = [onnxruntime.InferenceSession(str(m), options, providers=["CPUExecutionProvider"]) for m in models]
    pixels = np.random.default_rng(0).integers(0, 256, (1, SIDE, SIDE, 3)).astype(np.uint8)
    times: list[list[float]] = [[] for _ in models]
    for turn in range(RUNS + WARM_UP):
        for session, found in zip(sessions, times, strict=True):
            start = time.thread_time()
            session.run(["features"], {"pixels": pixels})
            if turn >= WARM_UP:
                found.append(1000 * (time.thread_time() - start))
    return times


if __name__ == "__main__":
    main()
