"""How long one pass takes on one core: python -m bench.pass_time BASE.npz CODES.npy LABEL -> milliseconds, as JSON.

A process of its own, since BLAS reads the number of its threads when it is loaded. CODES are those of ten examples. A
pass is what follows the network: the examples stored and on disk, the head, its offset, what is unknown, the verdict.
"""

import json
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from edge.backbone import Backbone
from edge.base import Base
from edge.contract.spec import ModelSpec
from edge.enough import enough_lines
from edge.recall import key_of, look_in_force, recall
from edge.rows import NewExample
from edge.store import open_store

_ROUNDS = 15


def main(base_path: str, codes_path: str, label: str) -> None:
    with np.load(base_path, allow_pickle=False) as file:
        base = Base(**{name: file[name] for name in file.files})
    codes = np.load(codes_path)
    size, classes = base.weights.shape
    labels = tuple(f"class {c}" for c in range(classes))
    spec = ModelSpec("cached", 1, 1, 1, size, classes)
    backbone = Backbone(labels, spec, None, base, "cached")  # type: ignore[arg-type]  # not run
    taken = []
    for _ in range(_ROUNDS):
        with tempfile.TemporaryDirectory() as folder, open_store(str(Path(folder) / "learned.sqlite")) as store:
            key = key_of(backbone, look_in_force(backbone, store))
            started = time.perf_counter()
            store.add(label, "", key, [NewExample("", row, None) for row in codes])
            enough_lines(recall(backbone, store).verdict.enough)
            taken.append(1e3 * (time.perf_counter() - started))
    sys.stdout.write(json.dumps(float(np.median(taken))))


if __name__ == "__main__":
    main(*sys.argv[1:])
