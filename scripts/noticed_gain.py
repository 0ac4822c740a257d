"""What learning while used brings, and where it hurts: pictures pass a board that was taught a few, and are noticed.

From the project's folder, with a board whose release knows some of the classes in PICTURES (a zip of PART/CLASS/*.jpg
with the parts train and test); the other classes are new:
PYTHONPATH=. python scripts/noticed_gain.py BOARD PICTURES.zip
A picture stands for a scene. What counts as sure and as a question is what `run --notice` goes by.
"""

import argparse
import tempfile
import zipfile
from pathlib import Path

import numpy as np

from edge.backbone import Backbone, features_of, open_backbone
from edge.base import encode
from edge.head import Head, probabilities
from edge.look import identity
from edge.noticing import DOUBTFUL, SURE
from edge.preprocess import decode_bytes, prepare
from edge.recall import key_of, recall
from edge.release import open_release
from edge.rows import NewExample
from edge.store import open_store

WAYS = (
    "taught only",
    "what is sure, taken as it is",
    "what is sure, confirmed",
    "questions, the most telling first",
    "as many pictures, drawn by chance",
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("board", type=Path)
    parser.add_argument("pictures", type=Path)
    parser.add_argument("--draws", type=int, default=5)
    parser.add_argument("--first-draw", type=int, default=0)
    parser.add_argument("--shots", type=int, default=5, help="taught of each new class")
    parser.add_argument("--stream", type=int, default=300, help="pictures that pass by")
    parser.add_argument("--questions", type=int, default=20, help="that the person answers")
    options = parser.parse_args()
    backbone = open_backbone(open_release(str((options.board / "current").resolve())))
    pictures = Pictures(backbone, options.pictures)
    draws = range(options.first_draw, options.first_draw + options.draws)
    print("| way | new class taught before | old classes | new | harmonic mean | examples added | of them wrong |")
    print("| --- | --- | --- | --- | --- | --- | --- |")
    for before in (True, False):
        rows = [pass_by(backbone, pictures, draw, before, options) for draw in draws]
        for way, name in enumerate(WAYS):
            found = np.array([row[way] for row in rows])
            mean, half = found.mean(axis=0), 1.96 * found.std(axis=0, ddof=1) / np.sqrt(len(found))
            figures = [f"{100 * m:.1f} ± {100 * h:.1f}" for m, h in zip(mean[:3], half[:3], strict=True)]
            counts = [f"{m:.0f}" for m in mean[3:]]
            print("| " + " | ".join([name, "yes" if before else "no", *figures, *counts]) + " |")


class Pictures:
    """Codes and features of all pictures by the board's network, which of them are for testing, and their labels."""

    def __init__(self, backbone: Backbone, path: Path) -> None:
        with zipfile.ZipFile(path) as archive:
            names = sorted(name for name in archive.namelist() if name.endswith((".jpg", ".png")))
            seen = [prepare(decode_bytes(archive.read(name), name), backbone.spec) for name in names]
        pixels = np.stack(seen)
        self.features = features_of(backbone, pixels)
        self.codes = encode(self.features, backbone.base.step)
        self.is_test = np.array([name.split("/")[-3] == "test" for name in names])
        self.labels = np.array([name.split("/")[-2] for name in names])
        self.is_new = ~np.isin(self.labels, backbone.labels)


def pass_by(
    backbone: Backbone, pictures: Pictures, draw: int, before: bool, options: argparse.Namespace
) -> list[list[float]]:
    """For each way: accuracy on old classes, on new ones, harmonic mean, examples added, of them wrong.

    before: the new classes were taught before the pictures pass by; else they were nothing to the board then, so that
    it took them for something else, and are taught after.
    """
    random = np.random.default_rng(draw)
    train = random.permutation(np.flatnonzero(~pictures.is_test))
    new = sorted(set(pictures.labels[pictures.is_new]))
    taught = np.concatenate([train[pictures.labels[train] == label][: options.shots] for label in new])
    stream = np.setdiff1d(train, taught, assume_unique=True)
    stream = random.permutation(stream)[: options.stream]
    lessons = [(i, pictures.labels[i]) for i in taught]
    head = head_of(backbone, pictures, lessons if before else [])
    found = probabilities(head, pictures.features[stream])
    said = np.array(head.labels)[found.argmax(axis=1)]
    best = np.sort(found, axis=1)
    sure = best[:, -1] >= SURE
    doubtful = np.flatnonzero(best[:, -1] <= DOUBTFUL)
    doubtful = doubtful[np.argsort((best[:, -1] - best[:, -2])[doubtful], kind="stable")]
    truth = pictures.labels[stream]
    answered = doubtful[: options.questions]
    added = [
        [],
        [(stream[i], said[i]) for i in np.flatnonzero(sure)],
        [(stream[i], said[i]) for i in np.flatnonzero(sure & (said == truth))],
        [(stream[i], truth[i]) for i in answered],
        [(stream[i], truth[i]) for i in random.permutation(len(stream))[: len(answered)]],
    ]
    rows = []
    for more in added:
        scores = accuracies(head_of(backbone, pictures, lessons + more), pictures)
        rows.append([*scores, len(more), sum(pictures.labels[i] != label for i, label in more)])
    return rows


def head_of(backbone: Backbone, pictures: Pictures, lessons: list[tuple[int, str]]) -> Head:
    """The head that a board makes of these (picture, label)."""
    with tempfile.TemporaryDirectory() as folder, open_store(str(Path(folder) / "learned.sqlite")) as store:
        key = key_of(backbone, identity(backbone.spec.channels))
        for label in sorted({label for _, label in lessons}):
            its = [NewExample(str(i), pictures.codes[i], None) for i, said in lessons if said == label]
            store.add(label, "2026-11-22T05:41:00Z", key, its)
        return recall(backbone, store).head


def accuracies(head: Head, pictures: Pictures) -> tuple[float, float, float]:
    """Means over classes of the test pictures: old ones, new ones, and their harmonic mean."""
    said = np.array(head.labels)[probabilities(head, pictures.features).argmax(axis=1)]
    means = []
    for is_new in (False, True):
        its = pictures.is_test & (pictures.is_new == is_new)
        classes = sorted(set(pictures.labels[its]))
        means.append(np.mean([(said == label)[its & (pictures.labels == label)].mean() for label in classes]))
    old, new = float(means[0]), float(means[1])
    return old, new, 2 * old * new / (old + new) if old + new else 0.0


if __name__ == "__main__":
    main()
