"""Where the time of an ONNX file goes on one thread: python scripts/profile_layers.py MODEL.onnx [ROWS]

Medians over the runs of onnxruntime's own profile, by operator and by node.
"""

import json
import sys
import tempfile
from collections import defaultdict
from pathlib import Path
from statistics import median

import numpy as np
import onnxruntime

RUNS, WARM_UP = 60, 10


def profile(model: Path) -> dict[tuple[str, str], float]:
    """Microseconds of each (operator, node)."""
    with tempfile.TemporaryDirectory() as scratch:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        options.enable_profiling = True
        options.profile_file_prefix = str(Path(scratch) / "profile")
        session = onnxruntime.InferenceSession(str(model), options, providers=["CPUExecutionProvider"])
        given = session.get_inputs()[0]
        shape = [size if isinstance(size, int) else 1 for size in given.shape]
        pixels = np.random.default_rng(0).integers(0, 256, shape)
        feed = {given.name: pixels.astype(np.uint8 if "uint8" in given.type else np.float32)}
        for _ in range(RUNS):
            session.run(None, feed)
        events = json.loads(Path(session.end_profiling()).read_text())
    times = defaultdict(list)
    for event in events:
        if event.get("cat") == "Node" and event["name"].endswith("_kernel_time"):
            times[event["args"]["op_name"], event["name"].removesuffix("_kernel_time")].append(event["dur"])
    return {key: median(values[WARM_UP:]) for key, values in times.items()}


def main() -> None:
    rows = int(sys.argv[2]) if len(sys.argv) > 2 else 20
    times = profile(Path(sys.argv[1]))
    by_operator: dict[str, float] = defaultdict(float)
    for (operator, _), time_us in times.items():
        by_operator[operator] += time_us
    total = sum(by_operator.values())
    for operator, time_us in sorted(by_operator.items(), key=lambda item: -item[1]):
        print(f"{time_us:9.0f} us {100 * time_us / total:5.1f} %  {operator}")
    print(f"{total:9.0f} us in all; the slowest nodes:")
    for (operator, node), time_us in sorted(times.items(), key=lambda item: -item[1])[:rows]:
        print(f"{time_us:9.0f} us {100 * time_us / total:5.1f} %  {operator} {node}")


if __name__ == "__main__":
    main()
