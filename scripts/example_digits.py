"""Makes what docs/examples/digits.md tells: PYTHONPATH=. python scripts/example_digits.py OUT

OUT gets three runs, of scikit-learn's digits as they are, with their inverted pictures beside them, and by the recipe
`digits`; and digits.png. What each reads is printed. A few minutes on two cores.
"""

import sys
from pathlib import Path

import cv2
import numpy as np
from call_edgewise import edgewise
from numpy.typing import NDArray

from bench.run_backbone import open_run
from edge.backbone import features_seen
from edge.base import base_head
from edge.contract.spec import ModelSpec
from edge.fitting import answers_of, fit_look
from edge.head import scores
from edge.look import identity
from edge.preprocess import prepare
from train.data import DataSet, load_data
from train.demo.scenes import Reading, Scene, before_after_picture, paper
from train.predict import predict
from train.run_folder import load_run

TRAINED = {"trained as they are": "plain", "inverted ones, too": "both", "by the recipe digits": "toned"}
SHOWN = ("1", "2", "3", "4", "7", "8", "9")
SPEC = ModelSpec("resnet-s", 32, 32, 1, 1, 10)  # the pictures that the recipe `small` takes
UNLABELLED = 10  # paper digits that the look is fitted to

Pixels = NDArray[np.uint8]
Answers = NDArray[np.int64]


def main() -> None:
    out = Path(sys.argv[1])
    out.mkdir(parents=True)
    digits = load_data("digits", 0)
    write_sets(digits, out)
    edgewise("train", str(out / "plain.npz"), "--out", str(out / "plain"))
    edgewise("train", str(out / "both.npz"), "--out", str(out / "both"))
    edgewise("train", str(out / "plain.npz"), "--recipe", "digits", "--out", str(out / "toned"))
    edgewise("quantize", str(out / "plain"))
    random = np.random.default_rng(0)
    lesson = photographed(digits.train.pixels[random.permutation(len(digits.train.targets))[:UNLABELLED]], random)
    test = digits.test.pixels
    shown = {"white on black": test, "inverted": 255 - test, "ink on paper": photographed(test, random)}
    found = {look: read_all(out, pixels, lesson) for look, pixels in shown.items()}
    tell(found, digits.test.targets)
    draw(out / "digits.png", digits, found["ink on paper"])


def write_sets(digits: DataSet, out: Path) -> None:
    """plain.npz, and both.npz, where each training digit is there inverted, too. The test digits are the same."""
    seen = np.concatenate([digits.train.pixels, digits.val.pixels])
    labels = np.concatenate([digits.train.targets, digits.val.targets])
    test = {"x_test": digits.test.pixels, "y_test": digits.test.targets}
    np.savez(out / "plain.npz", x_train=seen, y_train=labels, **test)
    np.savez(out / "both.npz", x_train=np.concatenate([seen, 255 - seen]), y_train=np.tile(labels, 2), **test)


def photographed(pixels: Pixels, random: np.random.Generator) -> Pixels:
    """(N, 32, 32, 1) white on black -> the same shape, as a camera sees them in ink on paper."""
    return np.stack([prepare(paper(one[..., 0], random), SPEC) for one in pixels])


def read_all(out: Path, pixels: Pixels, lesson: Pixels) -> dict[str, Answers]:
    """By what was done: what is read. lesson: paper digits without labels."""
    found = {name: predict(load_run(out / run).network, pixels)[1].argmax(1) for name, run in TRAINED.items()}
    backbone = open_run(out / "plain")
    look = fit_look(lesson, None, answers_of(backbone), identity(backbone.spec.channels), lambda step, steps: None).look
    head = base_head(backbone.base, backbone.labels)
    found["look fitted"] = scores(head, features_seen(backbone, pixels, look)).argmax(axis=1)
    return found


def tell(found: dict[str, dict[str, Answers]], targets: Answers) -> None:
    print("| read right, % | " + " | ".join(found) + " |")
    print("| --- |" + " --- |" * len(found))
    for name in next(iter(found.values())):
        shares = (100 * float((answers[name] == targets).mean()) for answers in found.values())
        print(f"| {name} | " + " | ".join(f"{share:.1f}" for share in shares) + " |")


def draw(path: Path, digits: DataSet, found: dict[str, Answers]) -> None:
    """A few test digits on paper, and what each network made of them."""
    targets = digits.test.targets
    chosen = [int(np.flatnonzero(targets == digits.labels.index(label))[0]) for label in SHOWN]
    scenes = [Scene(label, digits.test.pixels[i, ..., 0]) for label, i in zip(SHOWN, chosen, strict=True)]
    readings = [Reading(name, [digits.labels[answers[i]] for i in chosen]) for name, answers in found.items()]
    right = ", ".join(f"{name} {100 * float((answers == targets).mean()):.1f} %" for name, answers in found.items())
    caption = f"{len(targets)} test digits on paper: {right}"
    before_after_picture(path, "Digits in ink on paper", caption, scenes, readings, np.random.default_rng(0))
    large = cv2.imread(str(path))
    cv2.imwrite(str(path), cv2.resize(large, None, fx=0.4, fy=0.4, interpolation=cv2.INTER_AREA))


if __name__ == "__main__":
    main()
