"""One feature file for everything that `edgewise bench learning` compares, made by the u8 files that boards run.

RUNS holds imagenet (Lite0 as it comes), trashnet-0 (trained on five classes) and learning/seven (digits 0 to 6), as
scripts/learning_runs.py makes them; DATA holds trashnet, animals_photo, omniglot and mnist.
"""

import hashlib
import json
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from edge.contract.errors import InputError
from edge.contract.files import write_whole
from edge.contract.spec import ModelSpec, parse_spec_text
from edge.engine import Engine, run_in_batches
from edge.preprocess import decode_bytes, prepare
from train.data import load_data

Progress = Callable[[int, int], None]

FILE = "learning/features"  # .npz and .json under RUNS
_DRAWERS = {"train": range(1, 11), "val": range(11, 14), "test": range(14, 21)}  # of Omniglot


@dataclass(frozen=True)
class Features:
    """Pictures of one set as one network sees them."""

    x: NDArray[np.float32]  # (N, D)
    label: NDArray[np.str_]  # (N,)
    part: NDArray[np.str_]  # (N,): train, val or test


@dataclass(frozen=True)
class Source:
    run: str  # under RUNS
    data: str  # under DATA
    read: Callable[[Path, ModelSpec], Iterator[tuple[NDArray[np.uint8], list[str], list[str]]]]


def load_features(runs: Path, data: Path, progress: Callable[[str, int, int], None]) -> dict[str, Features]:
    """Every set of SOURCES by name, from RUNS/learning/features.npz if that was made by the same model files.

    Raises InputError for a run or data set that is not there.
    """
    hashes = {name: _model_hash(runs / source.run) for name, source in SOURCES.items()}
    arrays, record = runs / f"{FILE}.npz", runs / f"{FILE}.json"
    if not (arrays.exists() and record.exists() and json.loads(record.read_text("utf-8")) == hashes):
        made = {name: _extract(source, runs, data, name, progress) for name, source in SOURCES.items()}
        arrays.parent.mkdir(parents=True, exist_ok=True)
        with arrays.open("wb") as file:
            np.savez(
                file, **{f"{name}.{key}": value for name, part in made.items() for key, value in vars(part).items()}
            )
        write_whole(str(record), json.dumps(hashes).encode())
    with np.load(arrays, allow_pickle=False) as file:
        return {name: Features(*(file[f"{name}.{key}"] for key in ("x", "label", "part"))) for name in SOURCES}


def _extract(source: Source, runs: Path, data: Path, name: str, progress: Callable[[str, int, int], None]) -> Features:
    folder = runs / source.run
    spec = parse_spec_text((folder / "int8" / "spec.json").read_text("utf-8"))
    engine = Engine(str(folder / "int8" / "model.u8.onnx"))
    path = data / source.data
    if not path.exists():
        raise InputError(f"{path} is missing", "the data set of that name", "name its folder with --data")
    features, labels, parts = [], [], []
    for done, (pixels, label, part) in enumerate(source.read(path, spec), 1):
        features.append(run_in_batches(engine, pixels)[0])
        labels += label
        parts += part
        progress(f"features, {name}", done, done + 1)
    return Features(np.concatenate(features), np.array(labels), np.array(parts))


def read_photos(path: Path, spec: ModelSpec) -> Iterator[tuple[NDArray[np.uint8], list[str], list[str]]]:
    """A zip of PART/CLASS/*.jpg, a class at a time. Without a val part, every eighth training picture is in it."""
    with zipfile.ZipFile(path) as archive:
        names = sorted(name for name in archive.namelist() if name.endswith(".jpg"))
        places = [(name.split("/")[-3], name.split("/")[-2]) for name in names]
        has_val = any(part == "val" for part, _ in places)
        for place in sorted(set(places)):
            its = [name for name, other in zip(names, places, strict=True) if other == place]
            pixels = np.stack([prepare(decode_bytes(archive.read(name), name), spec) for name in its])
            parts = [place[0]] * len(its)
            if place[0] == "train" and not has_val:
                parts = ["val" if i % 8 == 7 else "train" for i in range(len(its))]
            yield pixels, [place[1]] * len(its), parts


def _characters(path: Path, spec: ModelSpec) -> Iterator[tuple[NDArray[np.uint8], list[str], list[str]]]:
    """Omniglot, black on white; the drawers are the parts."""
    with np.load(path) as file:
        drawn = 255 - 255 * np.unpackbits(file["images_packed"], axis=-1, count=105)
        names, drawers = file["names"][file["char"]], file["drawer"]
    part_of = {drawer: part for part, group in _DRAWERS.items() for drawer in group}
    for start in range(0, len(drawn), 64):
        chunk = slice(start, start + 64)
        pixels = np.stack([prepare(cv2.cvtColor(one, cv2.COLOR_GRAY2BGR), spec) for one in drawn[chunk]])
        yield pixels, [str(name) for name in names[chunk]], [part_of[int(d)] for d in drawers[chunk]]


def _digits(path: Path, spec: ModelSpec) -> Iterator[tuple[NDArray[np.uint8], list[str], list[str]]]:
    loaded = load_data(str(path), 0, (spec.height, spec.width), spec.channels)
    for name, part in loaded.parts.items():
        yield part.pixels, [str(target) for target in part.targets], [name] * len(part.targets)


def _model_hash(folder: Path) -> str:
    path = folder / "int8" / "model.u8.onnx"
    if not path.exists():
        raise InputError(f"{path} is missing", "a quantized run", "run scripts/learning_runs.py")
    return hashlib.sha256(path.read_bytes()).hexdigest()


SOURCES = {
    "trashnet": Source("imagenet", "trashnet/trashnet_256.zip", read_photos),
    "trashnet, tuned": Source("trashnet-0", "trashnet/trashnet_256.zip", read_photos),
    "animals": Source("imagenet", "animals_photo/animals_photo.zip", read_photos),
    "omniglot": Source("imagenet", "omniglot/omniglot_small1.npz", _characters),
    "mnist": Source("learning/seven", "mnist/mnist.npz", _digits),
}
