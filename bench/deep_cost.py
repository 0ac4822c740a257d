"""What a pass asks of a board: python -m bench.deep_cost FOLDER network|head|deeper|steps -> seconds, MB of peak RSS.

A process of its own for each, so that one's memory is not in the other's. FOLDER holds a network with its deep/ files,
head.npz, spec.json and examples.npz, pixels by label. `network` runs the u8 file alone, what a board does that learns
nothing; `head` teaches the examples as far as the verdict; `deeper` is a whole deeper pass after that, with the passes
that judge it; `steps` the steps of one pass alone.
"""

import json
import sys
import time
from pathlib import Path

import numpy as np

from edge.backbone import Backbone, codes_of
from edge.base import read_base
from edge.contract.spec import parse_spec_text
from edge.deep import Deep
from edge.deepen import deepen, train
from edge.engine import Engine
from edge.look import identity
from edge.solve import solve


def main(folder: Path, what: str) -> dict[str, float]:
    spec = parse_spec_text((folder / "spec.json").read_text("utf-8"))
    engine = Engine(str(folder / "model.u8.onnx"))
    with np.load(folder / "examples.npz") as file:
        pixels = {label: file[label] for label in file.files}
    engine.run(next(iter(pixels.values()))[:1])
    started = time.perf_counter(), time.process_time()
    if what != "network":
        base = read_base(str(folder / "head.npz"), spec)
        labels = tuple(f"known {c}" for c in range(spec.classes))
        deep = Deep(str(folder), "", "", spec)
        backbone = Backbone(labels, spec, engine, base, "", deep)
        started = time.perf_counter(), time.process_time()
        if what in ("head", "deeper"):
            look = identity(spec.channels)
            codes = {label: codes_of(backbone, its, look) for label, its in pixels.items()}
            solve(base, labels, codes)
        if what == "deeper":
            deepen(backbone, deep, {label: deep.latents(its) for label, its in pixels.items()}, lambda *_: None)
        if what == "steps":
            latents = np.concatenate([deep.latents(its) for its in pixels.values()])
            targets = np.repeat(np.arange(len(pixels)) + spec.classes, [len(its) for its in pixels.values()])
            replay = deep.replay()
            marks: list[tuple[float, float]] = []
            train(deep, replay, latents, targets, spec.classes + len(pixels), lambda _: marks.append(_now()))
            first, last = marks[0], marks[-1]
            part = len(marks) / (len(marks) - 1)  # the first step's end is where the clock starts
            return {"wall_s": part * (last[0] - first[0]), "cpu_s": part * (last[1] - first[1]), "peak_mb": _peak_mb()}
    ended = _now()
    return {"wall_s": ended[0] - started[0], "cpu_s": ended[1] - started[1], "peak_mb": _peak_mb()}


def _now() -> tuple[float, float]:
    return time.perf_counter(), time.process_time()


def _peak_mb() -> float:
    """Of this process alone; what getrusage says may be the parent's."""
    lines = Path("/proc/self/status").read_text("ascii", "replace").splitlines()
    return int(next(line for line in lines if line.startswith("VmHWM")).split()[1]) * 1024 / 1e6


if __name__ == "__main__":
    sys.stdout.write(json.dumps(main(Path(sys.argv[1]), sys.argv[2])))
