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
from bench.groups import chosen_groups
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
    """Rows so far, and the runs that they are measured with."""

    def __init__(
        self, runs: Path, out: Path, settings: Settings, python36: Path | None, command: str, progress: Progress
    ) -> None:
        """Raises InputError for a folder without a finished run."""
        self.runs, self.out, self.settings, self.command, self.progress = runs, out, settings, command, progress
        self.python36 = python36
        self.folders = find_groups(runs)
        self.machine = {**machine(), "settings": str(settings)}
        self.rows: list[Row] = []
        self.firsts: dict[str, Given] = {}

    def measure(self, only: str | None) -> list[Row]:
        """Every row, or those of one group. Raises UsageError for another name."""
        for measure in chosen_groups(self.groups(), only):
            measure()
        return self.rows

    def groups(self) -> dict[str, Callable[[], None]]:
        """What can be measured alone, by name, in the order of the table."""
        return {
            **{group: partial(self.accuracy, group) for group in self.folders},
            "latency": self.latency,
            "exact": self.exact,
            "python36": self.old_engine,
            "faults": self.faults,
            "step": self.step,
        }

    def accuracy(self, group: str) -> None:
        """The rows of runs that differ in the seed, or of an imported one."""
        scored: list[Scored] = []
        for folder in self.folders[group][: self.settings.seeds]:
            given = self.given(folder) if scored else self.first(group)
            with_qat = given.targets is not None and not scored and self.settings.qat_steps > 0
            step = partial(self.progress, f"peers, {folder.name}")
            with quantized(given, self.settings, with_qat, step) as made:
                if given.targets is None:
                    self.label_free(group, given, made)
                else:
                    scored.append(score(answers(given, made), given.targets))
        if scored:
            self.add(*seed_rows(group, scored, self.command))

    def label_free(self, group: str, given: Given, made: Made) -> None:
        self.add(label_free_row(group, answers(given, made), self.command))
        known = labelled(self.runs, given.run.spec)
        if known is not None:
            pixels, targets = known
            self.add(labelled_row(group, answers(replace(given, test=pixels), made), targets, self.command))

    def latency(self) -> None:
        """Of the first run of a Lite0, and of what the peers make of it."""
        for group, folders in self.folders.items():
            spec = load_run(folders[0]).spec
            if (spec.network, spec.height, spec.width) == _LITE0:
                given, step = self.first(group), partial(self.progress, f"peers, {folders[0].name}")
                with quantized(given, self.settings, self.settings.qat_steps > 0, step) as made:
                    step = partial(self.progress, "latency")
                    self.add(latency_row(given, made, self.settings.rounds, self.command, step))
                return

    def exact(self) -> None:
        for group in self.folders:
            given = self.first(group)
            count = len(given.test) if group == _EXACT else _EXACT_PHOTOS
            self.add(*exact_rows(group, replace(given, test=given.test[:count]), self.command))
        models = {folder.name: folder / "int8" / "model.u8.onnx" for runs in self.folders.values() for folder in runs}
        self.add(fused_row(models, self.command))

    def old_engine(self) -> None:
        firsts = {group: self.first(group) for group in self.folders}
        pixels = {group: (given.ours, given.test[:_OLD_ENGINE_PICTURES]) for group, given in firsts.items()}
        self.add(old_engine_row(pixels, self.python36, self.command))

    def faults(self) -> None:
        """Planted into the files of each group's first run."""
        for group in self.folders:
            run = load_run(self.folders[group][0])
            report = json.loads((run.folder / "int8" / REPORT).read_text("utf-8"))
            certified = Certified(run.folder / "int8", report, run.spec, run.labels)
            step = partial(self.progress, f"planted faults, {group}")
            self.add(faults_row(f"{group}: planted faults found from the files alone", certified, self.command, step))

    def step(self) -> None:
        step = partial(self.progress, "QAT step")
        self.add(step_row(self.settings.rounds, _STEP_BATCH, self.command, step))

    def first(self, group: str) -> Given:
        """Of a group's first run, which several rows want."""
        if group not in self.firsts:
            self.firsts[group] = self.given(self.folders[group][0])
        return self.firsts[group]

    def given(self, folder: Path) -> Given:
        """The pictures of a run; an imported one has none of its own."""
        run, settings = load_run(folder), self.settings
        if run.source is None:
            count = min(_HELD_OUT_PICTURES, 2 * settings.test_pictures)
            tuning = unlabelled(self.runs, "tuning", run.spec, settings.calibration_pictures, settings.seed)
            return Given(run, tuning, unlabelled(self.runs, "held_out", run.spec, count, settings.seed))
        data = load_run_data(run)
        chosen = np.random.default_rng(settings.seed).permutation(len(data.test.targets))[: settings.test_pictures]
        return Given(run, data.train.pixels, data.test.pixels[chosen], data.test.targets[chosen])

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
