"""The pictures of the label-free run: those that nothing was tuned on, and the ones with ImageNet labels.

They lie beside the runs: tuning and held_out, each a folder or zip of pictures, and labelled.zip with labels.csv
(file,index,...) inside.
"""

import csv
import io
import zipfile
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edge.contract.errors import InputError
from edge.contract.spec import ModelSpec
from edge.preprocess import decode_bytes, prepare
from train.unlabelled import load_unlabelled


def unlabelled(runs: Path, name: str, spec: ModelSpec, limit: int, seed: int) -> NDArray[np.uint8]:
    """(N, H, W, C) uint8 of RUNS/name or RUNS/name.zip. Raises InputError if there is neither."""
    folder = runs / name
    source = folder if folder.is_dir() else folder.with_suffix(".zip")
    return load_unlabelled(str(source), spec, limit, seed)


def labelled(runs: Path, spec: ModelSpec) -> tuple[NDArray[np.uint8], NDArray[np.int64]] | None:
    """Pixels (N, H, W, C) uint8 and ImageNet indices (N,) of RUNS/labelled.zip; None if it is not there."""
    path = runs / "labelled.zip"
    if not path.exists():
        return None
    try:
        with zipfile.ZipFile(path) as archive:
            table = list(csv.DictReader(io.StringIO(archive.read("labels.csv").decode())))
            pixels = [prepare(decode_bytes(archive.read(row["file"]), row["file"]), spec) for row in table]
            targets = [int(row["index"]) for row in table]
    except (zipfile.BadZipFile, KeyError, ValueError) as error:
        raise InputError(f"{path}: {error}", "labels.csv with file and index, and its pictures", "copy it") from None
    return np.stack(pixels), np.array(targets, np.int64)
