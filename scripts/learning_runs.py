"""Makes what `edgewise bench learning` needs beside int8_runs': .venv/bin/python scripts/learning_runs.py DATA OUT

DATA holds mnist as its README says; OUT is the folder of scripts/int8_runs.py, whose imagenet and trashnet-0 are used
too. OUT/learning gets a network trained on the digits 0 to 6, quantized. Some minutes on two cores.
"""

import subprocess
import sys
from pathlib import Path

import numpy as np

EDGEWISE = Path(sys.executable).with_name("edgewise")
KNOWN = 7  # digits that the network learns; the others are taught


def main() -> None:
    data, out = Path(sys.argv[1]), Path(sys.argv[2]) / "learning"
    out.mkdir(parents=True, exist_ok=True)
    seven, run = out / "seven.npz", out / "seven"
    if not seven.exists():
        with np.load(data / "mnist" / "mnist.npz") as file:
            kept = {part: file[f"y_{part}"] < KNOWN for part in ("train", "test")}
            arrays = {f"{kind}_{part}": file[f"{kind}_{part}"][rows] for part, rows in kept.items() for kind in "xy"}
        np.savez_compressed(seven, **arrays)
    if not (run / "model.safetensors").exists():
        call("train", str(seven), "--out", str(run), "--epochs", "3")
    if not (run / "int8" / "report.json").exists():
        call("quantize", str(run), "--ptq")


def call(*arguments: str) -> None:
    print("edgewise", *arguments, flush=True)
    subprocess.run([str(EDGEWISE), *arguments], check=True)


if __name__ == "__main__":
    main()
