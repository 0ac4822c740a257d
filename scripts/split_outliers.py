"""What turning bottlenecks and splitting channels do for EfficientNet-Lite0 as ImageNet has it: docs/int8.md.

.venv/bin/python scripts/split_outliers.py PICTURES [--time]   (a folder, a zip or a film; 912 of its pictures are used)

Divergence and agreement after rounding, and the multiply-adds. With --time the u8 files' times instead, taking turns
with the unsplit one's.
"""

import sys
import tempfile
from pathlib import Path
from statistics import median
from unittest import mock

import numpy as np
import torch
from activation_steps import compare
from float_blocks import take_turns
from numpy.typing import NDArray

from edge.contract.spec import ModelSpec
from quantize.certificate import multiply_adds
from quantize.emit import emit
from quantize.fake import FakeQuant
from quantize.integers import extract
from quantize.outliers import find_outliers
from quantize.plan import Plan
from quantize.rounding import round_weights
from quantize.split import Split, split_channels
from quantize.trace import make_plan
from train.memory import keep_freed_memory
from train.network import build_network, to_input
from train.pretrained import load_pretrained
from train.unlabelled import load_unlabelled

NAME = "efficientnet-lite0"
CALIBRATION, COMPARED, LOOKED_AT = 512, 400, 128  # pictures: the last are those that channels are chosen by
SPEC = ModelSpec(NAME, 224, 224, 3, 1280, 1000)


def main() -> None:
    keep_freed_memory()
    torch.set_num_threads(1)
    pixels = load_unlabelled(sys.argv[1], SPEC, CALIBRATION + COMPARED, 0)
    inputs = to_input(torch.from_numpy(pixels))
    network = build_network(NAME, 3, 1000, (224, 224))
    load_pretrained(network, NAME)
    plan = make_plan(network)
    calibration = inputs[:CALIBRATION]
    if "--time" not in sys.argv:
        with mock.patch("quantize.trace.rotate_bottlenecks", lambda plan: plan):
            unturned = make_plan(network)
        report("neither", unturned, (), rounded(unturned, calibration), inputs, pixels)
    whole = rounded(plan, calibration)
    with tempfile.TemporaryDirectory() as scratch:
        first = Path(scratch) / "whole.onnx"
        emit(extract(whole), SPEC, "u8", first)
        for title, splits in choices(whole, inputs[:LOOKED_AT]).items():
            if "--time" not in sys.argv:
                model = rounded(split_channels(plan, splits), calibration) if splits else whole
                report(title, plan, splits, model, inputs, pixels)
                continue
            model = FakeQuant(split_channels(plan, splits))  # weights do not change the time
            model.calibrate(inputs[:LOOKED_AT])
            path = Path(scratch) / "split.onnx"
            emit(extract(model), SPEC, "u8", path)
            times = [median(found) for found in take_turns([first, path])]
            print(f"| {title} | {times[1]:.2f} ms | {times[1] / times[0]:.3f} of unsplit |", flush=True)


def rounded(plan: Plan, inputs: torch.Tensor) -> FakeQuant:
    model = FakeQuant(plan)
    model.calibrate(inputs)
    round_weights(model, inputs, torch.Generator().manual_seed(0))
    return model


def report(
    title: str,
    plan: Plan,
    splits: tuple[Split, ...],
    model: FakeQuant,
    inputs: torch.Tensor,
    pixels: NDArray[np.uint8],
) -> None:
    agreement, divergence = compare(plan, model, inputs[CALIBRATION:])
    work = multiply_adds(extract(model), pixels[:1])["integer"] / 1e6
    count = sum(len(split.channels) for split in splits)
    print(f"| {title} | {count} | {work:.0f} million | {agreement:.1f} % | {divergence:.5f} |", flush=True)


def choices(model: FakeQuant, inputs: torch.Tensor) -> dict[str, tuple[Split, ...]]:
    first = model.plan.layers[0].name
    return {
        "turned, none split": (),
        "the first layer alone, for 2 %": find_outliers(model, inputs, 0.02, [first]),
        **{f"all, for {share:.0%}": find_outliers(model, inputs, share) for share in (0.02, 0.05, 0.1, 0.2)},
    }


if __name__ == "__main__":
    main()
