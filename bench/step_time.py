"""The row of QAT's cost: a step of it beside a step of plain training, of the same network on the same pictures."""

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from bench.rows import Row, at_most
from bench.timing import interleave
from quantize.fake import FakeQuant
from quantize.qat import distance
from quantize.trace import make_plan
from train.network import build_network

_NETWORK, _SIDE, _CLASSES = "efficientnet-lite0", 224, 10
_MOST = 1.6
_TRAINING, _QAT = "training", "QAT"


def step_row(rounds: int, batch: int, command: str, progress: Callable[[int, int], None]) -> Row:
    """Times forward, backward and update of both in turn, one thread. The teacher's forward belongs to QAT's."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        generator = torch.Generator().manual_seed(0)
        pixels = torch.rand((batch, 3, _SIDE, _SIDE), generator=generator) * 2 - 1
        targets = torch.arange(batch) % _CLASSES
        network = build_network(_NETWORK, 3, _CLASSES, (_SIDE, _SIDE))
        teacher = make_plan(network.eval())
        network.train().to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        model = FakeQuant(teacher)
        model.calibrate(pixels)
        model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        trained = [*model.weight_parameters(), *model.scale_parameters()]
        steps = {
            _TRAINING: _step(list(network.parameters()), lambda: F.cross_entropy(network(pixels)[1], targets)),
            _QAT: _step(trained, lambda: distance(teacher, model, pixels)),
        }
        found = interleave(steps, _TRAINING, rounds, calls=1, warm_up=1, progress=progress)
    finally:
        torch.set_num_threads(threads)
    qat = found[_QAT]
    return Row(
        f"{_NETWORK} {_SIDE}: QAT step / training step, batch {batch}, one thread",
        qat.ratio,
        f"({qat.milliseconds:.0f} ms; quartiles {qat.low:.2f} to {qat.high:.2f})",
        *at_most(_MOST, round(qat.ratio, 4)),
        command,
        {_TRAINING: f"{found[_TRAINING].milliseconds:.0f} ms"},
    )


def _step(parameters: list[nn.Parameter], loss: Callable[[], Tensor]) -> Callable[[], None]:
    optimizer = torch.optim.SGD(parameters, 1e-4, 0.9)

    def step() -> None:
        optimizer.zero_grad()
        loss().backward()  # type: ignore[no-untyped-call]
        optimizer.step()

    return step
