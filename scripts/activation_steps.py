"""What the steps of activations cost EfficientNet-Lite0 as ImageNet has it: the table of ADR 12.

.venv/bin/python scripts/activation_steps.py PICTURES   (a folder, a zip or a film; 448 of its pictures are used)
"""

import sys

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from edge.contract.spec import ModelSpec
from quantize.fake import FakeQuant
from quantize.plan import Conv, Layer, Plan, activate, float_logits, unsigned_tensors
from quantize.rounding import round_weights
from quantize.trace import make_plan
from train.memory import keep_freed_memory
from train.network import build_network, to_input
from train.pretrained import load_pretrained
from train.unlabelled import load_unlabelled

CALIBRATION, COMPARED, BATCH = 128, 320, 16


class FloatActivations(FakeQuant):
    """Weights and biases on their grids, activations as they come."""

    def round_output(self, layer: Layer, value: Tensor) -> Tensor:
        return activate(value, layer.activation)


def main() -> None:
    keep_freed_memory()
    torch.set_num_threads(1)
    name = "efficientnet-lite0"
    spec = ModelSpec(name, 224, 224, 3, 1280, 1000)
    pixels = load_unlabelled(sys.argv[1], spec, CALIBRATION + COMPARED, 0)
    inputs = to_input(torch.from_numpy(pixels))
    network = build_network(name, 3, 1000, (224, 224))
    load_pretrained(network, name)
    plan = make_plan(network)
    unpadded = frozenset(
        name
        for name in unsigned_tensors(plan.layers)
        if not any(isinstance(x, Conv) and any(x.geometry.pads) for x in plan.layers if name in x.sources)
    )
    print("| activations | agreement | divergence |\n| --- | --- | --- |")
    for title, kind, unsigned in (
        ("float", FloatActivations, None),
        ("0 to 127", FakeQuant, frozenset[str]()),
        ("0 to 255 where no reader pads", FakeQuant, unpadded),
        ("0 to 255 as in unsigned_tensors", FakeQuant, None),
    ):
        model = kind(plan)
        model.unsigned = model.unsigned if unsigned is None else unsigned
        model.calibrate(inputs[:CALIBRATION])
        round_weights(model, inputs[:CALIBRATION], torch.Generator().manual_seed(0))
        agreement, divergence = compare(plan, model, inputs[CALIBRATION:])
        print(f"| {title} | {agreement:.1f} % | {divergence:.4f} |", flush=True)


@torch.no_grad()
def compare(plan: Plan, model: FakeQuant, inputs: Tensor) -> tuple[float, float]:
    """Percent of equal answers, and the Kullback-Leibler divergence from the float network's."""
    parts = torch.split(inputs, BATCH)
    exact = torch.cat([float_logits(plan, part) for part in parts])
    given = torch.cat([model(part)[1] for part in parts])
    divergence = F.kl_div(given.log_softmax(1), exact.log_softmax(1), log_target=True, reduction="batchmean")
    return float(100 * np.mean((given.argmax(1) == exact.argmax(1)).numpy())), float(divergence)


if __name__ == "__main__":
    main()
