"""The rows of the deeper pass: where the head cannot follow, what it brings, what it costs, seconds and memory.

RUNS holds mnist-0 and trashnet-0, as scripts/int8_runs.py makes them; DATA mnist, animal_silhouettes and trashnet.
"""

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.features import read_photos
from bench.rows import Row, at_least, at_most
from edge.backbone import Backbone
from edge.base import Rows, encode, make_base, write_base
from edge.contract.errors import InputError
from edge.contract.labels import parse_labels
from edge.contract.spec import ModelSpec, parse_spec_text, spec_text
from edge.deep import Deep, TunedEngine
from edge.deepen import STEPS, deepen
from edge.engine import Engine, run_in_batches
from edge.head import Head, scores
from edge.judge import mean_of_classes
from edge.solve import solve
from quantize.deep import write_deep
from quantize.parse import parse_u8
from train.data import Pictures, load_data

SHOTS = 20
_DRAWS = 20  # where something is demanded: whether a pass is promoted differs by draw
_FEW_DRAWS = 5
_FIRST_SEED = 1000  # of the draws reported on; the rates were chosen on draws below it and on other pictures
_LEAST_GAIN, _MOST_LOST = 3.0, 1.0  # points
_MOST_STEPS_S, _MOST_HEAD_MB, _MOST_DEEPER_MB = 1.0, 40.0, 150.0
_ONE_THREAD = dict.fromkeys(("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"), "1")

Progress = Callable[[str, int, int], None]


@dataclass(frozen=True)
class World:
    """A network, the pictures that it knows, and others of classes that it does not."""

    name: str
    run: str  # under RUNS
    known: dict[str, Pictures]  # train, val and test, targets in the order of the run's labels
    new: dict[str, Pictures]  # pool to draw examples from, and test
    new_labels: tuple[str, ...]


@dataclass(frozen=True)
class Found:
    """Of one draw: accuracies, means over classes, by the head alone and as the board runs after the lesson."""

    new: tuple[float, float]
    known: tuple[float, float]
    promoted: bool


def silhouettes(data: Path, spec: ModelSpec) -> World:
    digits, animals = (
        load_data(str(_present(data / name / f"{name}.npz")), 0, (spec.height, spec.width), spec.channels)
        for name in ("mnist", "animal_silhouettes")
    )
    known = {"train": digits.train, "val": digits.val, "test": digits.test}
    new = {"pool": animals.train, "test": animals.test}
    return World("mnist + 10 silhouettes", "mnist-0", known, new, animals.labels)


def trash(data: Path, spec: ModelSpec) -> World:
    labels = ("cardboard", "glass", "metal", "paper", "plastic", "trash")
    pixels: dict[str, list[NDArray[np.uint8]]] = {}
    targets: dict[str, list[int]] = {}
    for its, names, parts in read_photos(_present(data / "trashnet" / "trashnet_256.zip"), spec):
        for one, name, part in zip(its, names, parts, strict=True):
            key = {"trash train": "pool", "trash val": "pool", "trash test": "new test"}.get(f"{name} {part}", part)
            pixels.setdefault(key, []).append(one)
            targets.setdefault(key, []).append(labels.index(name) % 5)
    found = {key: Pictures(np.stack(pixels[key]), np.array(targets[key], np.int64)) for key in pixels}
    known = {part: found[part] for part in ("train", "val", "test")}
    return World(
        "trashnet, tuned 5+1", "trashnet-0", known, {"pool": found["pool"], "test": found["new test"]}, ("trash",)
    )


def deeper_rows(runs: Path, data: Path, command: str, progress: Progress) -> list[Row]:
    """Every row. Raises InputError for a run or data set that is not there."""
    rows: list[Row] = []
    for make, demanded in ((silhouettes, True), (trash, False)):
        run = runs / ("mnist-0" if make is silhouettes else "trashnet-0")
        spec = parse_spec_text(_present(run / "int8" / "spec.json").read_text("utf-8"))
        with tempfile.TemporaryDirectory() as scratch:
            folder = Path(scratch)
            world = make(data, spec)
            backbone = prepare_folder(folder, run, spec, world)
            rows += _gain_rows(backbone, world, demanded, command, progress)
            rows += _cost_rows(folder, world, demanded, command)
    return rows


def prepare_folder(folder: Path, run: Path, spec: ModelSpec, world: World) -> Backbone:
    """The network's u8 file, its deep/ files, head.npz and examples, as a release would bring them; opened."""
    shutil.copy(run / "int8" / "model.u8.onnx", folder)
    (folder / "spec.json").write_text(spec_text(spec), "utf-8")
    integers = parse_u8(folder / "model.u8.onnx", spec)
    parts = [world.known[part] for part in ("train", "val", "test")]
    write_deep(folder, integers, spec, parts, 0)
    engine = Engine(str(folder / "model.u8.onnx"))
    train, choose, report = (Rows(run_in_batches(engine, part.pixels)[0], part.targets) for part in parts)
    base = make_base(train, choose, report, integers.weight.T, integers.bias, 0)
    write_base(str(folder / "head.npz"), base)
    drawn = draw(world, _FIRST_SEED)
    examples: dict[str, Any] = {label: world.new["pool"].pixels[rows] for label, rows in drawn.items()}
    np.savez(folder / "examples.npz", **examples)
    labels = parse_labels((run / "labels.txt").read_text("utf-8"))
    return Backbone(labels, spec, engine, base, "", Deep(str(folder), "", "", spec))


def draw(world: World, seed: int) -> dict[str, NDArray[np.int64]]:
    """Rows of the pool, SHOTS of each new class, by label."""
    random = np.random.default_rng(seed)
    targets = world.new["pool"].targets
    return {label: random.permutation(np.flatnonzero(targets == c))[:SHOTS] for c, label in enumerate(world.new_labels)}


def measure(backbone: Backbone, world: World, seed: int) -> Found:
    """One draw: taught to the head, then a deeper pass; what was not promoted is the head's again."""
    pixels = {label: world.new["pool"].pixels[rows] for label, rows in draw(world, seed).items()}
    deep = backbone.deep
    if deep is None:
        raise InputError("a network without deep/ files", "one", "prepare it")
    codes = {
        label: encode(run_in_batches(backbone.engine, its)[0], backbone.base.step) for label, its in pixels.items()
    }
    head = solve(backbone.base, backbone.labels, codes).head
    alone = _accuracies(world, backbone.engine, head)
    latents = {label: deep.latents(its) for label, its in pixels.items()}
    attempt = deepen(backbone, deep, latents, lambda *_: None)
    if not attempt.promoted:
        return Found((alone[0], alone[0]), (alone[1], alone[1]), False)
    engine, base = TunedEngine(deep, attempt.weights), attempt.base
    codes = {label: encode(engine.features(its), base.step) for label, its in latents.items()}
    head = solve(base, backbone.labels, codes, is_retrained=True).head
    after = _accuracies(world, engine, head)
    return Found((alone[0], after[0]), (alone[1], after[1]), True)


def _accuracies(world: World, engine: Any, head: Head) -> tuple[float, float]:
    """Of the new classes' test pictures and of the known ones', means over classes."""
    found = []
    for part, first in ((world.new["test"], len(head.labels) - len(world.new_labels)), (world.known["test"], 0)):
        answers = scores(head, run_in_batches(engine, part.pixels)[0]).argmax(1)
        found.append(float(mean_of_classes(answers == part.targets + first, part.targets)))
    return found[0], found[1]


def _gain_rows(backbone: Backbone, world: World, demanded: bool, command: str, progress: Progress) -> list[Row]:
    found, draws = [], _DRAWS if demanded else _FEW_DRAWS
    for number in range(draws):
        found.append(measure(backbone, world, _FIRST_SEED + number))
        progress(f"deeper, {world.name}", number + 1, draws)
    new, known = (100 * np.array([getattr(each, name) for each in found]) for name in ("new", "known"))
    gains, losses = new[:, 1] - new[:, 0], known[:, 0] - known[:, 1]
    name = f"{world.name}, {SHOTS} shots: the deeper pass"
    kept = f"promoted in {sum(each.promoted for each in found)} of {len(found)} draws"
    rows = []
    for what, values, both, claim in (
        ("gain on the new classes over the head", gains, new, at_least(_LEAST_GAIN, float(gains.mean()))),
        ("lost on the known classes to the head", losses, known, at_most(_MOST_LOST, float(losses.mean()))),
    ):
        half = 1.96 * float(np.std(values, ddof=1)) / np.sqrt(len(values))
        unit = f"± {half:.1f} points ({both[:, 1].mean():.1f} % against {both[:, 0].mean():.1f} %; {kept})"
        must, holds = claim if demanded else ("", None)
        rows.append(Row(f"{name}, {what}", float(values.mean()), unit, must, holds, command))
    return rows


def _cost_rows(folder: Path, world: World, is_small: bool, command: str) -> list[Row]:
    """Seconds and memory; the demands are for a network of Lite0's size."""
    network, head, deeper, steps = (_cost(folder, what) for what in ("network", "head", "deeper", "steps"))

    def cpu(found: dict[str, float]) -> dict[str, float | str]:
        return {"the processor's time alone": f"{found['cpu_s']:.2f} s"}

    def row(what: str, value: float, unit: str, most: float | None, peers: dict[str, float | str]) -> Row:
        must, holds = ("", None) if most is None else at_most(most, value)
        return Row(f"{world.name}, {SHOTS} shots: {what}, one core", value, unit, must, holds, command, peers)

    base = network["peak_mb"]
    return [
        row(f"{STEPS} steps", steps["wall_s"], "s", None if is_small else _MOST_STEPS_S, cpu(steps)),
        row("the whole lesson, with the passes that judge it", deeper["wall_s"], "s", None, cpu(deeper)),
        row("memory of the head, peak RSS", head["peak_mb"] - base, f"MB over {base:.0f}", _MOST_HEAD_MB, {}),
        row(
            "memory of the deeper pass, peak RSS", deeper["peak_mb"] - base, f"MB over {base:.0f}", _MOST_DEEPER_MB, {}
        ),
    ]


def _cost(folder: Path, what: str) -> dict[str, float]:
    command = [sys.executable, "-m", "bench.deep_cost", str(folder), what]
    root = Path(__file__).resolve().parents[1]
    done = subprocess.run(command, env={**os.environ, **_ONE_THREAD}, cwd=root, capture_output=True, check=True)
    found: dict[str, float] = json.loads(done.stdout)
    return found


def _present(path: Path) -> Path:
    if not path.exists():
        raise InputError(f"{path} is missing", "a run of scripts/int8_runs.py, or a data set", "name --runs and --data")
    return path
