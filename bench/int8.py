"""The story of `edgewise bench int8`: finished runs in, rows out, each written as soon as it is measured."""

import json
import re
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np

from bench.accuracy import Scored, label_free_row, labelled_row, score, seed_rows
from bench.exact import exact_rows, fused_row, old_engine_row
from bench.imagenet import labelled, unlabelled
from bench.latency import latency_row
from bench.planted import faults_row
from bench.rows import Row, machine, write
from bench.scores import Given, Made, Settings, answers, quantized
from bench.step_time import step_row
from edge.contract.errors import InputError
from quantize.claims import REPORT, Certified
from train.run_folder import load_run, load_run_data

NAME = "int8"
FULL = Settings(calibration_pictures=64, test_pictures=10_000, seeds=5, qat_steps=20, rounds=15)
QUICK = Settings(calibration_pictures=16, test_pictures=100, seeds=1, qat_steps=0, rounds=5)

_HELD_OUT_PICTURES = 2000
_OLD_ENGINE_PICTURES = 16
_STEP_BATCH = 8
_EXACT = "mnist"  # the group whose every test picture is compared bit by bit: a photo takes the reference too long
_EXACT_PHOTOS = 32  # of each other group
_LITE0 = ("efficientnet-lite0", 224, 224)  # the network whose latency is claimed

Progress = Callable[[str, int, int], None]


class Int8Bench:
    """Rows so far, and what the later ones need: every run's u8 file, and a Lite0's files for the latency."""

    def __init__(self, runs: Path, out: Path, settings: Settings, command: str, progress: Progress) -> None:
        self.runs, self.out, self.settings, self.command, self.progress = runs, out, settings, command, progress
        self.machine = {**machine(), "settings": str(settings)}
        self.rows: list[Row] = []
        self.first: dict[str, Given] = {}  # the first run of each group
        self.models: dict[str, Path] = {}  # the u8 file of every run

    def measure(self, python36: Path | None) -> list[Row]:
        """Every row. Raises InputError for a folder without a finished run."""
        for group, folders in find_groups(self.runs).items():
            chosen = folders[: self.settings.seeds]
            if load_run(chosen[0]).source is None:
                self.label_free(group, chosen[0])
            else:
                self.seeds(group, chosen)
            self.models |= {folder.name: folder / "int8" / "model.u8.onnx" for folder in folders}
        for group, given in self.first.items():
            count = len(given.test) if group == _EXACT else _EXACT_PHOTOS
            self.add(*exact_rows(group, replace(given, test=given.test[:count]), self.command))
        self.add(fused_row(self.models, self.command))
        pixels = {group: (given.ours, given.test[:_OLD_ENGINE_PICTURES]) for group, given in self.first.items()}
        self.add(old_engine_row(pixels, python36, self.command))
        smallest = min(self.first.values(), key=lambda given: given.ours.stat().st_size)
        report = json.loads((smallest.ours.parent / REPORT).read_text("utf-8"))
        certified = Certified(smallest.ours.parent, report, smallest.run.spec, smallest.run.labels)
        self.add(faults_row(certified, self.command, partial(self.progress, "planted faults")))
        rounds = self.settings.rounds
        self.add(step_row(rounds, _STEP_BATCH, self.command, partial(self.progress, "QAT step")))
        return self.rows

    def seeds(self, group: str, folders: list[Path]) -> None:
        """The rows of a group of trained runs that differ in the seed."""
        scored: list[Scored] = []
        for folder in folders:
            run = load_run(folder)
            data = load_run_data(run)
            limit = self.settings.test_pictures
            chosen = np.random.default_rng(self.settings.seed).permutation(len(data.test.targets))[:limit]
            given = Given(run, data.train.pixels, data.test.pixels[chosen])
            with_qat = not scored and self.settings.qat_steps > 0
            step = partial(self.progress, f"peers, {folder.name}")
            with quantized(given, self.settings, with_qat, step) as made:
                scored.append(score(answers(given, made), data.test.targets[chosen]))
                self.keep(group, given, made)
        self.add(*seed_rows(group, scored, self.command))

    def label_free(self, group: str, folder: Path) -> None:
        """The rows of an imported run, which has no pictures of its own."""
        run, settings = load_run(folder), self.settings
        tuning = unlabelled(self.runs, "tuning", run.spec, settings.calibration_pictures, settings.seed)
        count = min(_HELD_OUT_PICTURES, 2 * settings.test_pictures)
        held_out = unlabelled(self.runs, "held_out", run.spec, count, settings.seed)
        given = Given(run, tuning, held_out)
        with quantized(given, settings, False, partial(self.progress, f"peers, {folder.name}")) as made:
            self.add(label_free_row(group, answers(given, made), self.command))
            known = labelled(self.runs, run.spec)
            if known is not None:
                pixels, targets = known
                self.add(labelled_row(group, answers(replace(given, test=pixels), made), targets, self.command))
            self.keep(group, given, made)

    def keep(self, group: str, given: Given, made: Made) -> None:
        """Takes what later rows need; the latency is measured while the peers' files are there."""
        self.first.setdefault(group, given)
        spec = given.run.spec
        if (spec.network, spec.height, spec.width) == _LITE0 and not self.has_latency():
            rounds = self.settings.rounds
            self.add(latency_row(given, made, rounds, self.command, partial(self.progress, "latency")))

    def has_latency(self) -> bool:
        return any(row.name.startswith(_LITE0[0]) for row in self.rows)

    def add(self, *rows: Row) -> None:
        self.rows.extend(rows)
        write(self.out, NAME, self.machine, self.rows)


def find_groups(runs: Path) -> dict[str, list[Path]]:
    """The finished run folders under `runs`, by name without its seed: trashnet-0 and trashnet-1 are one group."""
    folders = sorted(report.parents[1] for report in runs.glob("*/int8/report.json"))
    if not folders:
        raise InputError(f"{runs} holds no quantized run", "folders as NAME-SEED/int8", "run scripts/int8_runs")
    groups: dict[str, list[Path]] = {}
    for folder in folders:
        groups.setdefault(re.sub(r"-\d+$", "", folder.name), []).append(folder)
    return groups
