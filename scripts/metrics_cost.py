"""What --metrics costs the loop: python scripts/metrics_cost.py RUN [FRAMES]

Processor time, which a busy machine changes less than the clock: of counting one frame, of one pass of RUN's network on
one thread, in turns; and of a scrape, which another thread makes. Medians.
"""

import sys
import time
from pathlib import Path
from statistics import median

import numpy as np

from edge.contract.results import FrameResult
from edge.contract.spec import parse_spec_text
from edge.engine import Engine
from edge.web.metrics import Metrics

WARM_UP = 10


def main() -> None:
    folder, frames = Path(sys.argv[1]) / "int8", int(sys.argv[2]) if len(sys.argv) > 2 else 300
    spec = parse_spec_text((folder / "spec.json").read_text("utf-8"))
    engine = Engine(str(folder / "model.u8.onnx"), threads=1)
    random = np.random.default_rng(0)
    pixels = random.integers(0, 256, (1, spec.height, spec.width, spec.channels), np.uint8)
    metrics = Metrics(lambda: {"cup": 20, "pen": 20})
    results = [
        FrameResult(sequence, 0, "cup", 0.9, (), False, age_ms, 1.0, age_ms / 2, "0", 2.0)
        for sequence, age_ms in enumerate(random.uniform(5, 50, frames).tolist())
    ]
    passes, counts, scrapes = [], [], []
    for result in results:
        started = time.thread_time()
        engine.run(pixels)
        passed = time.thread_time()
        metrics.see(result)
        counted = time.thread_time()
        metrics.text()
        scrapes.append(time.thread_time() - counted)
        passes.append(passed - started)
        counts.append(counted - passed)
    infer, count, scrape = (1e3 * median(times[WARM_UP:]) for times in (passes, counts, scrapes))
    print(f"a pass {infer:.2f} ms, counting a frame {count:.3f} ms: {count / infer:.2%}; a scrape {scrape:.2f} ms")


if __name__ == "__main__":
    main()
