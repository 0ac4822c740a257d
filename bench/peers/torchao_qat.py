"""A peer: torchao's PT2E quantization-aware training, exported to ONNX by torch. RUN OUT.onnx STEPS

X86InductorQuantizer's QAT setting, taught by the FP32 network as ours is, for so many steps.
"""

import copy
import math
import sys
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torchao.quantization.pt2e import allow_exported_model_train_eval
from torchao.quantization.pt2e.quantize_pt2e import convert_pt2e, prepare_qat_pt2e
from torchao.quantization.pt2e.quantizer.x86_inductor_quantizer import (
    X86InductorQuantizer,
    get_default_x86_inductor_quantization_config,
)

from bench.float_model import LogitsOnly
from train.network import to_input
from train.run_folder import load_run, load_run_data

BATCH, LEARNING_RATE, MOMENTUM = 16, 0.001, 0.9


def main(run_folder: str, out: str, steps: str) -> None:
    run = load_run(Path(run_folder))
    pixels = torch.from_numpy(load_run_data(run).train.pixels)
    example = (to_input(pixels[:BATCH]),)
    dynamic = ({0: torch.export.Dim("n", min=2)},)
    network = LogitsOnly(run.network)
    teacher = copy.deepcopy(network).eval()  # the exported graph shares the network's tensors
    graph = torch.export.export(network.train(), example, dynamic_shapes=dynamic).module()
    quantizer = X86InductorQuantizer().set_global(get_default_x86_inductor_quantization_config(is_qat=True))
    model = prepare_qat_pt2e(graph, quantizer)
    allow_exported_model_train_eval(model)
    fine_tune(model, teacher, pixels, int(steps))
    model.eval()
    exported = torch.export.export(convert_pt2e(model), example, dynamic_shapes=dynamic)
    torch.onnx.export(
        exported, example, out, dynamo=True, input_names=["pixels"], output_names=["logits"], external_data=False
    )


def fine_tune(model: nn.Module, teacher: nn.Module, pixels: Tensor, steps: int) -> None:
    """pixels: (N, H, W, C) uint8. The rate falls to 0 as a cosine."""
    generator = torch.Generator().manual_seed(0)
    optimizer = torch.optim.SGD(model.parameters(), LEARNING_RATE, MOMENTUM)
    model.train()
    for step in range(steps):
        batch = to_input(pixels[torch.randint(len(pixels), (BATCH,), generator=generator)])
        with torch.no_grad():
            target = F.log_softmax(teacher(batch), 1)
        loss = F.kl_div(F.log_softmax(model(batch), 1), target, log_target=True, reduction="batchmean")
        optimizer.param_groups[0]["lr"] = LEARNING_RATE * (1 + math.cos(math.pi * step / steps)) / 2
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()


if __name__ == "__main__":
    main(*sys.argv[1:])
