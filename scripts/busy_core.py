"""What work on another core costs the network: python scripts/busy_core.py RUN [ROUNDS]

A process on core 0 calls model.u8.onnx, one thread, while another on core 1 rests, computes, copies memory or decodes a
film, in turns. Milliseconds of the calling thread's processor time, median and tenth percentile: where two cores are
threads of one, or memory is what both wait for, it rises. Needs two cores.
"""

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median, quantiles

import numpy as np

from bench.film_loop import make_film, raw_network
from edge.contract.spec import parse_spec_text

CALLS = 60
ON_CORE_1 = "import os, sys; os.sched_setaffinity(0, {1})\n"
OTHERS = {
    "rests": "import time; time.sleep(600)",
    "computes": "import numpy as np; a = np.ones((256, 256), np.float32)\nwhile True: a @ a",
    "copies memory": "import numpy as np; a, b = np.ones(1 << 23), np.ones(1 << 23)\nwhile True: np.copyto(a, b)",
    "decodes a film": """
import cv2
while True:
    film = cv2.VideoCapture(sys.argv[1])
    while film.read()[0]: pass
""",
}


def main() -> None:
    folder, rounds = Path(sys.argv[1]) / "int8", int(sys.argv[2]) if len(sys.argv) > 2 else 5
    os.environ.update(OMP_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1")  # of the other process
    spec = parse_spec_text((folder / "spec.json").read_text("utf-8"))
    pixels = np.random.default_rng(0).integers(0, 256, (1, spec.height, spec.width, spec.channels), np.uint8)
    network = raw_network(str(folder / "model.u8.onnx"))
    os.sched_setaffinity(0, {0})
    times: dict[str, list[float]] = {name: [] for name in OTHERS}
    with tempfile.TemporaryDirectory() as made:
        film = make_film(Path(made), 1280, 720, 60)
        for _ in range(rounds):
            for name, code in OTHERS.items():
                with subprocess.Popen([sys.executable, "-c", ON_CORE_1 + code, str(film)]) as other:
                    time.sleep(1.0)  # it loads what it needs
                    for _ in range(CALLS):
                        started = time.thread_time()
                        network(pixels)
                        times[name].append(1e3 * (time.thread_time() - started))
                    other.kill()
    for name, taken in times.items():
        print(f"the other core {name}: {median(taken):.2f} ms, tenth percentile {quantiles(taken, n=10)[0]:.2f}")


if __name__ == "__main__":
    main()
