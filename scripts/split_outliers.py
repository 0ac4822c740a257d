"""What outlier channel splitting does for EfficientNet-Lite0 as ImageNet has it: "What was tried" in docs/int8.md.

.venv/bin/python scripts/split_outliers.py PICTURES [--time]   (a folder, a zip or a film; 448 of its pictures are used)

Divergence and agreement after rounding, as scripts/activation_steps.py has them, and the multiply-adds. With --time
the u8 files' times instead, taking turns with the unsplit one's; nothing is rounded then.
"""

import sys
import tempfile
from pathlib import Path
from statistics import median

import torch
from activation_steps import CALIBRATION, COMPARED, compare
from float_blocks import take_turns

from edge.contract.spec import ModelSpec
from quantize.certificate import multiply_adds
from quantize.emit import emit
from quantize.fake import FakeQuant
from quantize.integers import extract
from quantize.plan import Plan
from quantize.rounding import round_weights
from quantize.outliers import find_outliers
from quantize.split import Split, split_channels
from quantize.trace import make_plan
from train.memory import keep_freed_memory
from train.network import build_network, to_input
from train.pretrained import load_pretrained
from train.unlabelled import load_unlabelled

NAME, LOOKED_AT = "efficientnet-lite0", 32  # pictures that outliers are looked for on
SPEC = ModelSpec(NAME, 224, 224, 3, 1280, 1000)


def main() -> None:
    keep_freed_memory()
    torch.set_num_threads(1)
    pixels = load_unlabelled(sys.argv[1], SPEC, CALIBRATION + COMPARED, 0)
    inputs = to_input(torch.from_numpy(pixels))
    network = build_network(NAME, 3, 1000, (224, 224))
    load_pretrained(network, NAME)
    plan = make_plan(network)
    with tempfile.TemporaryDirectory() as scratch:
        whole = Path(scratch) / "whole.onnx"
        for title, splits in choices(plan, inputs[:LOOKED_AT]).items():
            model = FakeQuant(split_channels(plan, splits))
            model.calibrate(inputs[:CALIBRATION] if "--time" not in sys.argv else inputs[:LOOKED_AT])
            if "--time" in sys.argv:
                path = Path(scratch) / "split.onnx" if splits else whole
                emit(extract(model), SPEC, "u8", path)
                times = [median(found) for found in take_turns([whole, path])]
                figures = [f"{times[1]:.2f} ms, {times[1] / times[0]:.3f} of unsplit"]
            else:
                round_weights(model, inputs[:CALIBRATION], torch.Generator().manual_seed(0))
                agreement, divergence = compare(plan, model, inputs[CALIBRATION:])
                figures = [f"{agreement:.1f} %", f"{divergence:.5f}"]
            work = multiply_adds(extract(model), pixels[:1])["integer"] / 1e6
            count = sum(len(split.channels) for split in splits)
            print("| " + " | ".join([title, str(count), f"{work:.0f} million", *figures]) + " |", flush=True)


def choices(plan: Plan, inputs: torch.Tensor) -> dict[str, tuple[Split, ...]]:
    first = find_outliers(plan, inputs, 1.0, [plan.layers[0].name])
    linear = tuple(split for split in find_outliers(plan, inputs, 0.1) if split.divided)
    return {
        "none": (),
        "the first layer's, as many again": first,
        "tensors without ReLU6, a tenth": linear,
        "all tensors, a twentieth": find_outliers(plan, inputs, 0.05),
        "the first two together": first + linear,
    }


if __name__ == "__main__":
    main()
