"""What a start saves by opening the network as optimized before: python scripts/opening_cost.py RUN [ROUNDS]

Processor time, which a busy machine changes less than the clock, of opening model.u8.onnx and what was made of it, each
in processes of their own by turns; medians. And whether both answer the same bits, on random pictures.
"""

import json
import subprocess
import sys
import tempfile
from pathlib import Path
from statistics import median

import numpy as np

from edge.contract.spec import parse_spec_text
from edge.engine import Engine, open_session

PICTURES = 20
OPEN = """
import sys, time
from edge.engine import Engine
started = time.process_time()
Engine(sys.argv[1], optimize=sys.argv[2] == "model")
print(1e3 * (time.process_time() - started))
"""


def main() -> None:
    folder, rounds = Path(sys.argv[1]) / "int8", int(sys.argv[2]) if len(sys.argv) > 2 else 11
    with tempfile.TemporaryDirectory() as made:
        paths = {"model": folder / "model.u8.onnx", "optimized": Path(made, "optimized.onnx")}
        open_session(str(paths["model"]), optimized_path=str(paths["optimized"]))
        times: dict[str, list[float]] = {name: [] for name in paths}
        for _ in range(rounds):
            for name, path in paths.items():
                done = subprocess.run([sys.executable, "-c", OPEN, path, name], capture_output=True, check=True)
                times[name].append(float(done.stdout))
        spec = parse_spec_text((folder / "spec.json").read_text("utf-8"))
        shape = (PICTURES, spec.height, spec.width, spec.channels)
        pixels = np.random.default_rng(0).integers(0, 256, shape, np.uint8)
        one, other = (Engine(str(path), optimize=name == "model").run(pixels)[0] for name, path in paths.items())
    found = {f"{name}_ms": round(median(each), 1) for name, each in times.items()}
    sys.stdout.write(json.dumps({**found, "rounds": rounds, "same_bits": one.tobytes() == other.tobytes()}) + "\n")


if __name__ == "__main__":
    main()
