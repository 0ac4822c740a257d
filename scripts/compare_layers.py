"""Each layer's time in the u8 file and in the float file: python scripts/compare_layers.py RUN/int8 or NETWORK ...

A float block in the u8 file could gain time only where the float layers are the faster ones, by more than the
conversions around them cost: scripts/float_blocks.py tries that. NETWORK is a name that edgewise knows, with random
weights at 224 x 224: times do not depend on weights. One thread, onnxruntime's own profile, medians.
"""

import sys
import tempfile
from collections import defaultdict
from pathlib import Path

import numpy as np
import torch
from profile_layers import profile

from edge.contract.spec import ModelSpec
from quantize.emit import emit
from quantize.fake import FakeQuant
from quantize.integers import Integers, extract
from quantize.trace import make_plan
from train.network import build_network, to_input

SIDE, CLASSES = 224, 10


def main() -> None:
    for subject in sys.argv[1:]:
        if Path(subject).is_dir():
            compare(Path(subject))
            continue
        integers, spec = random_integers(subject)
        print(f"\n{subject}\n")
        with tempfile.TemporaryDirectory() as scratch:
            for form in ("u8", "float"):
                emit(integers, spec, form, Path(scratch) / f"model.{form}.onnx")
            compare(Path(scratch))


def compare(folder: Path) -> None:
    u8, float32 = (by_layer(folder / f"model.{form}.onnx") for form in ("u8", "float"))
    print("| layer | u8, us | float, us | u8 / float |\n| --- | --- | --- | --- |")
    shared = sorted((name for name in u8 if name in float32), key=lambda name: -u8[name] / float32[name])
    for name in shared:
        print(f"| {name} | {u8[name]:.0f} | {float32[name]:.0f} | {u8[name] / float32[name]:.2f} |")


def by_layer(model: Path) -> dict[str, float]:
    """Microseconds of each layer's nodes; what onnxruntime adds between layers belongs to none."""
    times: dict[str, float] = defaultdict(float)
    for (_, node), time_us in profile(model).items():
        times[node.partition(".")[0]] += time_us
    return times


def random_integers(name: str) -> tuple[Integers, ModelSpec]:
    """Those of a network by name, its weights random and its batch norms of random pictures."""
    torch.manual_seed(0)
    network = build_network(name, 3, CLASSES, (SIDE, SIDE)).train()
    inputs = to_input(torch.from_numpy(np.random.default_rng(0).integers(0, 256, (4, SIDE, SIDE, 3)).astype(np.uint8)))
    with torch.no_grad():
        network(inputs)
    model = FakeQuant(make_plan(network))
    model.calibrate(inputs, "max")
    return extract(model), ModelSpec(name, SIDE, SIDE, 3, model.plan.weight.shape[1], CLASSES)


if __name__ == "__main__":
    main()
