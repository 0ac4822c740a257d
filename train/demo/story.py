"""`edgewise demo`: the whole story, told with the commands that a person would type.

A network that saw only white ink on black is trained, quantized, signed and flashed to a board in a folder. Its camera
then films dark ink on paper, which it misreads. Two lessons on the board cure that: the camera's look, from ten
pictures without labels, and a new sign, from five.
"""

import collections
import json
import logging
import shlex
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import cv2
import numpy as np
import typer
from numpy.typing import NDArray

from edge.contract.errors import BoardError, UsageError
from edge.contract.results import Outcome
from train.data import DataSet, load_data
from train.demo.scenes import Reading, Scene, before_after_picture, film, paper, sign

READS = ("1", "2", "3", "4", "7", "8", "8")
SIGN = "cross"
SIGNS_TAUGHT, SIGNS_TESTED, DIGITS_TAUGHT = 5, 20, 2
FRAMES_PER_SCENE, FRAMES_PER_SECOND = 20, 15.0
_MARKER = "made-by-edgewise-demo"
_log = logging.getLogger("edgewise")


@dataclass(frozen=True)
class Views:
    """What is asked of the board at one time: labels read, by the name of what was shown."""

    scenes: tuple[str, ...]
    paper: float  # percent of the test digits on paper
    original: float  # percent of the test digits as they are, white on black
    signs: float  # percent of the new sign on paper


class Story:
    """A folder and the commands that were run in it, with their seconds."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.seconds: dict[str, float] = {}

    def edgewise(self, step: str, *arguments: str, quiet: bool = False) -> list[dict[str, Any]]:
        """Runs `edgewise` in a process of its own, as a person would. Returns its lines of JSON.

        Its text for people, progress bars among it, is shown unless `quiet`.
        """
        _log.info("$ edgewise %s", shlex.join(arguments))
        started = time.monotonic()
        command = [sys.executable, "-m", "edgewise", *arguments, "--json"]
        errors = subprocess.PIPE if quiet else None
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=errors, check=False)
        self.seconds[step] = self.seconds.get(step, 0.0) + time.monotonic() - started
        if done.returncode:
            said = (done.stderr or b"").decode(errors="replace").strip()
            found = f"`edgewise {arguments[0]}` ended with {done.returncode}: {said or 'see its line above'}"
            raise BoardError(found, "0", "run that command by hand")
        return [json.loads(line) for line in done.stdout.splitlines()]

    def on_board(self, step: str, *arguments: str) -> list[dict[str, Any]]:
        return self.edgewise(step, *arguments, "--board", f"local:{self.folder / 'board'}", quiet=True)


def demo(
    out: Annotated[Path, typer.Option(help="The folder to write; an earlier demo there is replaced.")] = Path("demo"),
    seed: Annotated[int, typer.Option(help="Seed of everything.")] = 0,
) -> Outcome:
    """The whole story on this machine: train, quantize, sign, flash, run, teach, and run again.

    Example: edgewise demo --out /tmp/demo
    """
    started = time.monotonic()
    story = Story(_fresh(out))
    release = _make_release(story, seed)
    digits = load_data("digits", seed)
    rng = np.random.default_rng(seed)
    scenes = _draw(story.folder, digits, rng)
    before = _look_around(story, scenes, "before")
    story.on_board("fit the look", "fit", str(out / "lessons" / "look"))
    fitted = _look_around(story, scenes, "fitted")
    taught = _teach(story)
    after = _look_around(story, scenes, "after")
    views = {"before": before, "fitted": fitted, "after": after}
    facts = _facts(story, release, taught, views, time.monotonic() - started)
    picture = out / "before-after.png"
    readings = [
        Reading("before", before.scenes),
        Reading("look fitted", fitted.scenes),
        Reading(f"{SIGN} taught", after.scenes),
    ]
    caption = (
        f"{len(digits.test.targets)} test digits on paper: {before.paper:.1f} % read right before, "
        f"{fitted.paper:.1f} % with the look, {after.paper:.1f} % after the lessons"
    )
    title = "Trained on white ink on black. Taught on the board to read paper, and a new sign."
    before_after_picture(picture, title, caption, scenes, readings, np.random.default_rng(seed))
    return Outcome((*_table(facts), "", *_plainly(facts, scenes, after), f"picture: {picture}"), facts)


def _fresh(folder: Path) -> Path:
    if folder.exists() and any(folder.iterdir()):
        if not (folder / _MARKER).exists():
            raise UsageError(f"{folder} holds something else", "a new folder or an earlier demo", "name another: --out")
        shutil.rmtree(folder)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / _MARKER).touch()
    return folder


def _make_release(story: Story, seed: int) -> dict[str, Any]:
    """Digits to a flashed board. Returns what the commands said, by verb."""
    run, key = story.folder / "run", story.folder / "demo"
    archive = story.folder / "digits-1.edge"
    target = f"local:{story.folder / 'board'}"
    (trained,) = story.edgewise("train", "train", "digits", "--out", str(run), "--seed", str(seed))
    (quantized,) = story.edgewise("quantize", "quantize", str(run))
    story.edgewise("sign", "keygen", str(key))
    (packed,) = story.edgewise(
        "sign", "pack", str(run), "--key", f"{key}.key", "--name", "digits", "--out", str(archive)
    )
    (flashed,) = story.edgewise("flash", "flash", str(archive), target, "--trust", f"{key}.pub")
    return {"train": trained, "quantize": quantized, "pack": packed, "flash": flashed}


def _draw(folder: Path, digits: DataSet, rng: np.random.Generator) -> list[Scene]:
    """Writes all pictures and the film. Lessons are from training digits, what is measured from test digits."""
    test, train = digits.test, digits.train
    chosen = [_pick(test.targets, digits.labels.index(label), i) for i, label in enumerate(READS)]
    scenes = [Scene(label, test.pixels[i, ..., 0]) for label, i in zip(READS, chosen, strict=True)]
    scenes.append(Scene(SIGN, sign(rng, SIGN)))
    for i, (pixels, target) in enumerate(zip(test.pixels, test.targets, strict=True)):
        name = f"{i:04}-{digits.labels[target]}"
        _write(folder / "pictures" / "original" / f"{name}.png", pixels)
        _write(folder / "pictures" / "paper" / f"{name}.jpg", paper(pixels[..., 0], rng))
    for target, label in enumerate(digits.labels):
        first, *rest = np.flatnonzero(train.targets == target)[: 1 + DIGITS_TAUGHT]
        _write(folder / "lessons" / "look" / f"{first}.jpg", paper(train.pixels[first, ..., 0], rng))
        for i in rest:
            _write(folder / "lessons" / label / f"{i}.jpg", paper(train.pixels[i, ..., 0], rng))
    for i in range(SIGNS_TAUGHT):
        _write(folder / "lessons" / SIGN / f"{i}.jpg", paper(sign(rng, SIGN), rng))
    for i in range(SIGNS_TESTED):
        _write(folder / "pictures" / "signs" / f"{i:04}-{SIGN}.jpg", paper(sign(rng, SIGN), rng))
    film(folder / "film.mp4", scenes, FRAMES_PER_SCENE, FRAMES_PER_SECOND, rng)
    return scenes


def _pick(targets: NDArray[np.int64], target: int, index: int) -> int:
    """A test picture of a class, another for each index."""
    return int(np.flatnonzero(targets == target)[index])


def _write(path: Path, picture: NDArray[np.uint8]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    if not cv2.imwrite(str(path), picture):  # JPEG quality 95, OpenCV's default
        raise BoardError(f"{path} could not be written", "room on the disk", "free some")


def _look_around(story: Story, scenes: list[Scene], when: str) -> Views:
    """Plays the film and shows all test pictures to the board."""
    recorded = str(story.folder / f"{when}.mp4")
    frames = story.on_board("play the film", "run", str(story.folder / "film.mp4"), "--out", recorded)
    read = []
    for i in range(len(scenes)):
        labels = [frame["label"] for frame in frames[i * FRAMES_PER_SCENE : (i + 1) * FRAMES_PER_SCENE]]
        read.append(collections.Counter(labels).most_common(1)[0][0])
    shares = {}
    for shown, options in (("paper", ()), ("original", ("--no-look",)), ("signs", ())):
        frames = story.on_board("measure", "run", str(story.folder / "pictures" / shown), *options)
        shares[shown] = 100 * float(np.mean([Path(f["name"]).stem.split("-")[1] == f["label"] for f in frames]))
    return Views(tuple(read), shares["paper"], shares["original"], shares["signs"])


def _teach(story: Story) -> dict[str, Any]:
    """The new sign and a handful of paper digits. Returns what the last lesson said."""
    said: dict[str, Any] = {}
    for folder in sorted((story.folder / "lessons").iterdir()):
        if folder.name != "look":
            (said,) = story.on_board("teach", "teach", "--label", folder.name, str(folder))
    return said


def _facts(
    story: Story, release: dict[str, Any], taught: dict[str, Any], views: dict[str, Views], seconds: float
) -> dict[str, Any]:
    accuracy = release["quantize"]["accuracy"]
    store = story.folder / "board" / "personal" / "learned.sqlite"
    return {
        "fp32": accuracy["fp32"],
        "int8": accuracy["u8"],
        "exact_pictures": release["quantize"]["exact"]["u8_pictures"],
        "test_count": release["quantize"]["test_count"],
        "views": {name: view.__dict__ for name, view in views.items()},
        "truth": [*READS, SIGN],
        "solve_ms": taught["solve_ms"],
        "bytes": {
            "release": release["pack"]["archive_bytes"],
            "sent": release["flash"]["bytes_sent"],
            "model": (story.folder / "run" / "int8" / "model.u8.onnx").stat().st_size,
            "learned": store.stat().st_size,
        },
        "seconds": {step: round(s, 1) for step, s in story.seconds.items()} | {"all": round(seconds, 1)},
    }


def _table(facts: dict[str, Any]) -> list[str]:
    views, size, seconds = facts["views"], facts["bytes"], facts["seconds"]
    count = facts["test_count"]
    rows = [
        (f"{count} test digits, white on black, FP32", f"{facts['fp32']:.2f} %"),
        (f"{count} test digits, white on black, INT8", f"{facts['int8']:.2f} %"),
        ("bit-identical to the integer reference", f"{facts['exact_pictures']} of {count}"),
        ("on paper, before", f"{views['before']['paper']:.2f} %"),
        ("on paper, the look fitted", f"{views['fitted']['paper']:.2f} %"),
        ("on paper, after the lessons", f"{views['after']['paper']:.2f} %"),
        ("originals, before", f"{views['before']['original']:.2f} %"),
        ("originals, after the lessons", f"{views['after']['original']:.2f} %"),
        (f"{SIGNS_TESTED} pictures of a {SIGN}, after", f"{views['after']['signs']:.2f} %"),
        ("the head solved anew", f"{facts['solve_ms']:.1f} ms"),
        (
            "model / release / sent / learnt",
            " / ".join(f"{size[k]:,}" for k in ("model", "release", "sent", "learned")),
        ),
    ]
    rows += [(f"seconds: {step}", f"{value:.1f}") for step, value in seconds.items()]
    width = max(len(name) for name, _ in rows)
    return [f"{name:<{width}}  {value}" for name, value in rows]


def _plainly(facts: dict[str, Any], scenes: list[Scene], after: Views) -> list[str]:
    """What was read, and where the cure is incomplete."""
    lines = [f"{name:<7} {' '.join(view['scenes'])}" for name, view in facts["views"].items()]
    lines.append(f"{'truth':<7} {' '.join(scene.label for scene in scenes)}")
    wrong = [scene.label for scene, read in zip(scenes, after.scenes, strict=True) if scene.label != read]
    if wrong:
        lines.append(f"not cured: the scenes {', '.join(wrong)}")
    for what, before in (
        ("paper", facts["views"]["fitted"]["paper"]),
        ("original", facts["views"]["before"]["original"]),
    ):
        lost = before - getattr(after, what)
        if lost > 0:
            lines.append(f"the price of teaching: {lost:.2f} points of the {what} digits")
    return lines
