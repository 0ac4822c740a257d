"""Makes what docs/examples/animals.md tells: PYTHONPATH=. python scripts/example_animals.py DATA OUT

DATA holds animal_silhouettes and animals_photo as their READMEs say. OUT gets a run of each and animals.jpg, with the
surest mistakes of both. Six core-minutes in all.
"""

import sys
from pathlib import Path

import cv2
import numpy as np
from call_edgewise import edgewise
from numpy.typing import NDArray

from train.answers import read_answers
from train.run_folder import load_run, load_run_data
from train.run_page import surest_mistakes

SHOWN, TILE, LINE = 8, 112, 18  # mistakes of each run; pixels

Pixels = NDArray[np.uint8]


def main() -> None:
    data, out = Path(sys.argv[1]), Path(sys.argv[2])
    out.mkdir(parents=True)
    silhouettes, photos = out / "silhouettes", out / "photos"
    edgewise("train", str(data / "animal_silhouettes" / "animal_silhouettes.npz"), "--out", str(silhouettes))
    edgewise("train", str(data / "animals_photo" / "animals_photo.zip"), "--out", str(photos))
    cv2.imwrite(str(out / "animals.jpg"), np.vstack([mistakes(silhouettes), mistakes(photos)]))


def mistakes(folder: Path) -> Pixels:
    """The surest mistakes side by side, each with what it is and what it was taken for."""
    run = load_run(folder)
    test = load_run_data(run).test
    answers = read_answers(folder, len(run.labels))["test"]
    row = np.full((TILE + 2 * LINE + 8, SHOWN * (TILE + 8), 3), 255, np.uint8)
    for column, i in enumerate(surest_mistakes(answers)[:SHOWN]):
        left = column * (TILE + 8)
        picture = test.pixels[i] if test.pixels.shape[3] == 3 else np.repeat(test.pixels[i], 3, axis=2)
        row[:TILE, left : left + TILE] = cv2.resize(picture, (TILE, TILE), interpolation=cv2.INTER_AREA)
        for line, text in enumerate((f"is {run.labels[answers.targets[i]]}", f"read {run.labels[answers.chosen[i]]}")):
            at = (left, TILE + (line + 1) * LINE)
            cv2.putText(row, text, at, cv2.FONT_HERSHEY_SIMPLEX, 0.45, (40, 40, 40), 1, cv2.LINE_AA)
    return row


if __name__ == "__main__":
    main()
