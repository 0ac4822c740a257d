"""Makes what `edgewise bench int8` and `bench train` measure: .venv/bin/python scripts/int8_runs.py DATA OUT [SEEDS]

DATA holds mnist, trashnet, animals_photo, imagenet_labelled and video as their READMEs say. OUT gets a run folder for
each network and seed, trained and quantized, and the pictures of the label-free run. What is there already is kept, so
that it can be stopped and started. On two cores it takes about two hours.
"""

import shutil
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from call_edgewise import edgewise

TUNING = 760  # of TrashNet's pictures; the rest are held out


def main() -> None:
    data, out = Path(sys.argv[1]), Path(sys.argv[2])
    seeds = range(int(sys.argv[3]) if len(sys.argv) > 3 else 3)
    out.mkdir(parents=True, exist_ok=True)
    five = unpack(data / "trashnet" / "trashnet_256.zip", out / "data" / "trashnet", "/trash/")
    animals = unpack(data / "animals_photo" / "animals_photo.zip", out / "data" / "animals")
    make(out / "mnist-0", data / "mnist" / "mnist.npz")
    for seed in seeds:
        make(out / f"trashnet-{seed}", five, "--recipe", "photos", "--seed", str(seed))
        make(out / f"animals-{seed}", animals, "--recipe", "photos-few", "--seed", str(seed))
    label_free(data, out)


def make(run: Path, source: Path, *options: str) -> None:
    """Trains and quantizes, unless that is done."""
    if not (run / "model.safetensors").exists():
        edgewise("train", str(source), "--out", str(run), *options)
    if not (run / "int8" / "report.json").exists():
        edgewise("quantize", str(run))


def label_free(data: Path, out: Path) -> None:
    """ImageNet's Lite0 as it comes, tuned on pictures that are neither held out nor labelled."""
    if not (out / "tuning").exists():
        split_pictures(data, out)
    run = out / "imagenet"
    if not (run / "model.safetensors").exists():
        edgewise("import", "efficientnet-lite0", "--out", str(run))
    if not (run / "int8" / "report.json").exists():
        edgewise("quantize", str(run), "--pictures", str(out / "tuning"), "--split-outliers", "0.05")


def split_pictures(data: Path, out: Path) -> None:
    """OUT/tuning and OUT/held_out. Animals that may also be in imagenet_labelled are all held out."""
    for name in ("tuning", "held_out"):
        (out / name).mkdir(exist_ok=True)
    trash = list(members(data / "trashnet" / "trashnet_256.zip"))
    order = np.random.default_rng(0).permutation(len(trash))
    for place, index in enumerate(order):
        write(out / ("tuning" if place < TUNING else "held_out"), *trash[index])
    for name, content in members(data / "animals_photo" / "animals_photo.zip"):
        write(out / ("tuning" if "train/" in name else "held_out"), name, content)
    shutil.copy(data / "imagenet_labelled" / "imagenet_labelled.zip", out / "labelled.zip")


def members(path: Path) -> Iterator[tuple[str, bytes]]:
    with zipfile.ZipFile(path) as archive:
        for name in sorted(archive.namelist()):
            if name.endswith(".jpg"):
                yield name, archive.read(name)


def write(folder: Path, name: str, content: bytes) -> None:
    (folder / name.replace("/", "_")).write_bytes(content)


def unpack(path: Path, folder: Path, without: str = "\0") -> Path:
    """The pictures in the zip, but for the class folder `without`."""
    if not folder.exists():
        with zipfile.ZipFile(path) as archive:
            archive.extractall(folder, [name for name in archive.namelist() if without not in name])
    return folder


if __name__ == "__main__":
    main()
