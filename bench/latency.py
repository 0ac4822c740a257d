"""The row of latency: one picture at a time, one thread, ours and every peer's file in turn."""

from collections.abc import Callable
from functools import partial
from typing import Any

from bench.float_model import float_input
from bench.peer import Failure, open_file
from bench.rows import Row, at_most
from bench.scores import FP32, OURS, Given, Made
from bench.timing import Latency, interleave
from edge.engine import Engine

_MOST = 0.5  # of onnxruntime's time for FP32
_CALLS = 20  # a block


def latency_row(given: Given, made: Made, rounds: int, command: str, progress: Callable[[int, int], None]) -> Row:
    """Times the first test picture: ours is fed its bytes, the others floats made beforehand."""
    pixels = given.test[:1]
    floats = float_input(pixels)
    ours = Engine(str(given.ours), threads=1)
    engines: dict[str, Callable[[], Any]] = {OURS: lambda: ours.run(pixels)}
    peers: dict[str, float | str] = {}
    for name, path in made.items():
        engine = path if isinstance(path, Failure) else open_file(path, 1, floats.shape)
        if isinstance(engine, Failure):
            peers[name] = str(engine)
        else:
            engines[name] = partial(engine, floats)
    times = interleave(engines, FP32, rounds, _CALLS, progress=progress)
    found = times.pop(OURS)
    spec = given.run.spec
    peers |= {name: _text(time) for name, time in times.items()}
    return Row(
        f"{spec.network} {spec.width}x{spec.height}: u8 time / FP32 time, one thread",
        found.ratio,
        f"({found.milliseconds:.2f} ms; quartiles {found.low:.2f} to {found.high:.2f})",
        *at_most(_MOST, round(found.ratio, 4)),
        command,
        peers,
    )


def _text(time: Latency) -> str:
    return f"{time.ratio:.2f} ({time.milliseconds:.2f} ms; {time.low:.2f} to {time.high:.2f})"
