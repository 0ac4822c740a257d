"""Makes what `edgewise bench learning` needs beside int8_runs': .venv/bin/python scripts/learning_runs.py DATA OUT

DATA holds mnist as its README says; OUT is the folder of scripts/int8_runs.py, whose runs are used too. OUT/learning
gets two quantized networks: `seven`, trained on the digits 0 to 6, and `writers`, trained on the digits of 40 people.
Some minutes on two cores.
"""

import sys
from pathlib import Path
from typing import Any

import numpy as np
from call_edgewise import edgewise
from numpy.typing import NDArray

from bench.writers import base_writers

KNOWN = 7  # digits that the network learns; the others are taught


def main() -> None:
    data, out = Path(sys.argv[1]), Path(sys.argv[2]) / "learning"
    out.mkdir(parents=True, exist_ok=True)
    with np.load(data / "mnist" / "mnist.npz") as file:
        mnist = {key: file[key] for key in ("x_train", "y_train", "x_test", "y_test", "writer_train")}
    seven = {part: mnist[f"y_{part}"] < KNOWN for part in ("train", "test")}
    make(out / "seven", mnist, seven, "--epochs", "3")
    theirs = np.isin(mnist["writer_train"], base_writers(mnist["writer_train"]))
    make(out / "writers", mnist, {"train": theirs, "test": np.ones(len(mnist["y_test"]), bool)})


def make(run: Path, mnist: dict[str, NDArray[Any]], rows: dict[str, NDArray[np.bool_]], *options: str) -> None:
    """Trains on some rows of both parts and quantizes, unless that is done."""
    data = run.with_suffix(".npz")
    if not data.exists():
        np.savez_compressed(
            data, **{f"{kind}_{part}": mnist[f"{kind}_{part}"][rows[part]] for part in rows for kind in "xy"}
        )
    if not (run / "model.safetensors").exists():
        edgewise("train", str(data), "--out", str(run), *options)
    if not (run / "int8" / "report.json").exists():
        edgewise("quantize", str(run), "--ptq")


if __name__ == "__main__":
    main()
