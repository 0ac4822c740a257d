"""Each layer's time in the u8 file and in the float file of a run: python scripts/compare_layers.py RUN/int8

A float block in the u8 file could gain time only where the float layer is the faster one, by more than the conversions
around it cost. One thread, onnxruntime's own profile, medians.
"""

import sys
from collections import defaultdict
from pathlib import Path

from profile_layers import profile


def main() -> None:
    folder = Path(sys.argv[1])
    u8, float32 = (by_layer(folder / f"model.{form}.onnx") for form in ("u8", "float"))
    print("| layer | u8, us | float, us | u8 / float |\n| --- | --- | --- | --- |")
    shared = sorted((name for name in u8 if name in float32), key=lambda name: -u8[name] / float32[name])
    for name in shared:
        print(f"| {name} | {u8[name]:.0f} | {float32[name]:.0f} | {u8[name] / float32[name]:.2f} |")


def by_layer(model: Path) -> dict[str, float]:
    """Microseconds of each layer's nodes; what onnxruntime adds between layers belongs to none."""
    times: dict[str, float] = defaultdict(float)
    for (_, node), time_us in profile(model).items():
        times[node.partition(".")[0]] += time_us
    return times


if __name__ == "__main__":
    main()
