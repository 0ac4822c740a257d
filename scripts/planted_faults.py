"""Plants faults in pictures, counts what `edgewise check` finds: python scripts/planted_faults.py TRASHNET.zip [SEED]

Into TrashNet's five classes go 20 broken files, 30 copies within train, 10 copies from train in test and 30 pictures of
train under another class. Copies are resized, compressed, brightened or cut a little. What check finds in the pictures
as they are is not counted, but its labels to look at compete with the planted ones for the first 60 places.
"""

import json
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

EDGEWISE = Path(sys.executable).with_name("edgewise")
BROKEN, COPIES, LEAKS, FLIPPED = 20, 30, 10, 30

Picture = NDArray[np.uint8]


def main() -> None:
    random = np.random.default_rng(int(sys.argv[2]) if len(sys.argv) > 2 else 0)
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch) / "pictures"
        with zipfile.ZipFile(sys.argv[1]) as archive:
            archive.extractall(folder, [name for name in archive.namelist() if "/trash/" not in name])
        planted = plant(folder, random)
        command = [str(EDGEWISE), "check", str(folder), "--out", str(Path(scratch) / "check.html"), "--json"]
        found = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)
    broken = {entry["name"] for entry in found["broken"]}
    suspects = [entry["name"] for entry in found["suspects"][:60]]
    groups = [set(group) for name in ("copies", "leaks", "contradictions") for group in found[name]]
    leaks = [set(group) for group in found["leaks"]]
    print(f"broken files found: {len(broken & planted['broken'])} of {BROKEN}")
    print(f"copies found: {sum(any(pair <= group for group in groups) for pair in planted['copies'])} of {COPIES}")
    print(f"leaks found: {sum(any(pair <= group for group in leaks) for pair in planted['leaks'])} of {LEAKS}")
    print(f"flipped labels in the first 60: {len(planted['flipped'].intersection(suspects))} of {FLIPPED}")


def plant(folder: Path, random: np.random.Generator) -> dict[str, list[set[str]] | set[str]]:
    """Names of what was planted; of copies, with the name of what they are copies of."""
    train = sorted(folder.glob("train/*/*.jpg"))
    picked = iter([train[i] for i in random.permutation(len(train))])
    labels = sorted(path.name for path in (folder / "train").iterdir())

    def name(path: Path) -> str:
        return path.relative_to(folder).as_posix()

    broken = set()
    for i in range(BROKEN):
        path = next(picked)
        path.write_bytes(WAYS_TO_BREAK[i % len(WAYS_TO_BREAK)](path.read_bytes()))
        broken.add(name(path))
    copies, leaks, flipped = [], [], set()
    for i in range(COPIES + LEAKS):
        path = next(picked)
        part = "train" if i < COPIES else "test"
        copy = folder / part / path.parent.name / f"copy-{i}.jpg"
        changed = WAYS_TO_COPY[i % len(WAYS_TO_COPY)](cv2.imread(str(path)))
        cv2.imwrite(str(copy), changed, [cv2.IMWRITE_JPEG_QUALITY, 80])
        (copies if part == "train" else leaks).append({name(path), name(copy)})
    for i in range(FLIPPED):
        path = next(picked)
        other = labels[(labels.index(path.parent.name) + 1 + i % (len(labels) - 1)) % len(labels)]
        moved = path.rename(folder / "train" / other / f"moved-{i}.jpg")
        flipped.add(name(moved))
    return {"broken": broken, "copies": copies, "leaks": leaks, "flipped": flipped}


WAYS_TO_BREAK: tuple[Callable[[bytes], bytes], ...] = (
    lambda data: b"",
    lambda data: data[: len(data) // 2],
    lambda data: data[: len(data) - 200],
    lambda data: b"<html>404 not found</html>",
    lambda data: bytes(len(data)),
)
WAYS_TO_COPY: tuple[Callable[[Picture], Picture], ...] = (
    lambda picture: picture,
    lambda picture: np.asarray(cv2.resize(picture, None, fx=0.6, fy=0.6, interpolation=cv2.INTER_AREA), np.uint8),
    lambda picture: np.asarray(cv2.convertScaleAbs(picture, alpha=1.15, beta=8), np.uint8),
    lambda picture: np.ascontiguousarray(picture[3:-3, 3:-3]),
)


if __name__ == "__main__":
    main()
