"""The story of `edgewise bench learning`: groups of rows, each row written as soon as it is measured."""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from bench.contest import Outcome, calibration, ours, peer, teach
from bench.deeper import deeper_rows
from bench.features import Features, load_features
from bench.groups import chosen_groups
from bench.learners import PEERS, Fit
from bench.paper_looks import paper_rows
from bench.photo_looks import photo_look_rows
from bench.rows import Row, at_least, at_most, machine, write
from bench.tasks import Task, animals, draw, mnist, omniglot, trashnet
from bench.unknowns import OURS, SOFTMAX, aurocs
from bench.writers import writer_rows
from edge.base import encode, write_base
from edge.head import even
from edge.unknown import FALSE_ALARMS, threshold, unlikeness

NAME = "learning"
_COST = 0.03  # of the known classes' accuracy, in the table's first comparison
_LEAD, _BEHIND = 5.0, -1.0  # points of harmonic mean
_LEAST_AUROC = {"trashnet 5+1": 0.82, "animals 12+4": 0.90}
_MOST_ECE = 0.05
_MOST_PASS_MS = 200.0
ACCURACIES = "% right of known and of new classes"  # the row that scripts/learning_plots.py draws
_FIRST_SEED = 1000  # of the draws reported on; choices were made on others, below it
_FIRST_HALVES = 3000  # of writers: those from 1000 and 2000 on were looked at before the weight of corrections was set

Progress = Callable[[str, int, int], None]


@dataclass(frozen=True)
class Settings:
    draws: int  # of TrashNet's new class, for each number of shots
    others: int  # of every other set's, over all of its orders
    shots: tuple[int, ...]
    photo_looks: int  # draws, for each corruption
    papers: int
    halves: int  # of every writer's digits

    def __str__(self) -> str:
        return (
            f"{self.draws} paired draws of TrashNet, {self.others} of others; {', '.join(map(str, self.shots))} shots; "
            f"looks: {self.photo_looks} draws of photos, {self.papers} of digits; {self.halves} halves of writers"
        )


FULL = Settings(20, 5, (5, 10, 20), 3, 10, 10)
QUICK = Settings(3, 0, (5,), 0, 2, 1)


@dataclass(frozen=True)
class Drawn:
    """One draw: the outcome of each learner, ours first, and how ours is calibrated and what it calls unknown."""

    outcomes: dict[str, Outcome]
    calibration: tuple[float, float]  # its error, and what the error of right probabilities would be
    alarms: tuple[float, float]  # share of the test pictures of known and of taught classes called unknown


class LearningBench:
    def __init__(self, runs: Path, data: Path, out: Path, settings: Settings, command: str, progress: Progress) -> None:
        self.runs, self.data, self.out, self.settings = runs, data, out, settings
        self.command, self.progress = command, progress
        self.machine = {**machine(), "settings": str(settings)}
        self.rows: list[Row] = []

    def measure(self, only: str | None) -> list[Row]:
        """Every row, or those of one group. Raises UsageError for another name, InputError for a run or data set that
        is not there.
        """
        for measure in chosen_groups(self.groups(), only):
            measure()
        return self.rows

    def groups(self) -> dict[str, Callable[[], None]]:
        """What can be measured alone, by name, in the order of the table."""
        settings, others = self.settings, self.settings.others
        halves = _seeds(_FIRST_HALVES, settings.halves)
        papers, photos = _seeds(_FIRST_SEED, settings.papers), _seeds(_FIRST_SEED, settings.photo_looks)
        return {
            "time": lambda: self.time(trashnet(self.features)),
            "trashnet": lambda: self.contest([trashnet(self.features)], settings.draws),
            "animals": lambda: self.contest(animals(self.features), others),
            "mnist": lambda: self.contest([mnist(self.features)], others),
            "omniglot": lambda: self.contest(omniglot(self.features), others),
            "tuned": lambda: self.contest([trashnet(self.features, tuned=True)], others),
            "writers": lambda: self.add(*writer_rows(self.runs, self.data, halves, self.command)),
            "paper": lambda: self.add(*paper_rows(self.runs, self.data, papers, self.command)),
            "photo-looks": lambda: self.look_at_photos(photos),
            "deeper": lambda: self.add(*deeper_rows(self.runs, self.data, self.command, self.progress)),
        }

    @cached_property
    def features(self) -> dict[str, Features]:
        return load_features(self.runs, self.data, self.progress)

    def look_at_photos(self, seeds: range) -> None:
        if seeds:
            self.add(*photo_look_rows(self.runs, self.data, seeds, self.command, self.progress))

    def contest(self, of_set: Iterable[Task], draws: int) -> None:
        """The rows of one set: its orders, each with its share of the draws."""
        if draws == 0:
            return
        orders = list(of_set)
        learners = [{name: learner(task) for name, learner in PEERS.items()} for task in orders]
        self.add(*unknown_rows(orders, self.command))
        for shots in self.settings.shots:
            if shots > min(np.bincount(task.pool.targets)[task.known :].min() for task in orders):
                continue
            name = f"{orders[0].name}, {shots} shots"
            drawn = []
            for number in range(draws):
                at = number % len(orders)
                drawn.append(measure_draw(orders[at], learners[at], shots, _FIRST_SEED + number))
                self.progress(name, number + 1, draws)
            self.add(*contest_rows(name, drawn, self.command), *trust_rows(name, drawn, self.command))

    def time(self, task: Task) -> None:
        examples = draw(task, 10, _FIRST_SEED)
        with tempfile.TemporaryDirectory() as scratch:
            base, codes = Path(scratch) / "head.npz", Path(scratch) / "codes.npy"
            write_base(str(base), task.base)
            np.save(codes, encode(examples.x, task.base.step))
            for label, kind in (("new", "a new class"), ("class 0", "corrections")):
                found = pass_ms(base, codes, label)
                must, holds = at_most(_MOST_PASS_MS, found)
                name = f"a pass of 10 examples, {kind}, one core, {task.base.step.size} features"
                self.add(Row(name, found, "ms", must, holds, self.command))

    def add(self, *rows: Row) -> None:
        self.rows.extend(rows)
        write(self.out, NAME, self.machine, self.rows)


def _seeds(first: int, draws: int) -> range:
    return range(first, first + draws)


def pass_ms(base: Path, codes: Path, label: str) -> float:
    one_thread = dict.fromkeys(("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"), "1")
    command = [sys.executable, "-m", "bench.pass_time", str(base), str(codes), label]
    root = Path(__file__).resolve().parents[1]
    done = subprocess.run(command, env={**os.environ, **one_thread}, cwd=root, capture_output=True, check=True)
    return float(json.loads(done.stdout))


def measure_draw(task: Task, learners: dict[str, Fit], shots: int, seed: int) -> Drawn:
    examples = draw(task, shots, seed)
    solved = teach(task, examples)
    alarms = unlikeness(solved.unlikeness, even(task.test.x)) > threshold(solved.unlikeness, FALSE_ALARMS)
    is_old = task.test.targets < task.known
    outcomes = {OURS: ours(task, solved)}
    outcomes |= {name: peer(task, fit, examples) for name, fit in learners.items()}
    return Drawn(outcomes, calibration(task, solved), (float(alarms[is_old].mean()), float(alarms[~is_old].mean())))


def contest_rows(name: str, drawn: list[Drawn], command: str) -> list[Row]:
    """Ours minus the best peer, among those that cost known classes little and among all; means over the draws."""
    learners = list(drawn[0].outcomes)
    costs = {learner: mean_of(drawn, learner, lambda o: o.cost) for learner in learners}
    harmonics = {learner: mean_of(drawn, learner, lambda o: o.harmonic) for learner in learners}
    peers = {learner: f"{100 * harmonics[learner]:.1f} (costs {100 * costs[learner]:.1f})" for learner in learners}
    mine = peers.pop(OURS)
    spared = [learner for learner in peers if costs[learner] <= _COST]
    lead = _LEAD if name.startswith("trashnet 5+1") else _BEHIND
    rows = [_lead_row(f"{name}: at most 3 points lost on known classes", mine, drawn, spared, lead, peers, command)]
    if costs[OURS] > _COST:
        rows[0] = Row(
            rows[0].name, f"ours costs {100 * costs[OURS]:.1f} points", "", "<= 3", False, command, dict(peers)
        )
    rows.append(_lead_row(f"{name}: no limit", mine, drawn, list(peers), _BEHIND, {}, command))
    sides = {learner: _sides(drawn, learner) for learner in learners}
    rows.append(Row(f"{name}: {ACCURACIES}", sides.pop(OURS), "", "", None, command, dict(sides)))
    return rows


def _sides(drawn: list[Drawn], learner: str) -> str:
    old, new = (100 * mean_of(drawn, learner, of) for of in (lambda o: o.old, lambda o: o.new))
    return f"{old:.1f} and {new:.1f}"


def _lead_row(
    name: str, mine: str, drawn: list[Drawn], rivals: list[str], least: float, peers: dict[str, str], command: str
) -> Row:
    if not rivals:
        return Row(name, f"{mine}; no peer stays within it", "", f">= {least:g}", True, command, dict(peers))
    best = max(rivals, key=lambda rival: mean_of(drawn, rival, lambda o: o.harmonic))
    leads = [100 * (each.outcomes[OURS].harmonic - each.outcomes[best].harmonic) for each in drawn]
    lead, half = float(np.mean(leads)), 1.96 * float(np.std(leads, ddof=1)) / np.sqrt(len(leads))
    must, holds = at_least(least, lead)
    unit = f"± {half:.1f} points of harmonic mean over {best} (ours {mine})"
    return Row(name, lead, unit, must, holds, command, dict(peers))


def mean_of(drawn: list[Drawn], learner: str, figure: Callable[[Outcome], float]) -> float:
    return float(np.mean([figure(each.outcomes[learner]) for each in drawn]))


def trust_rows(name: str, drawn: list[Drawn], command: str) -> list[Row]:
    """Calibration after teaching, and what the threshold calls unknown."""
    error, of_right = (float(each) for each in np.mean([each.calibration for each in drawn], axis=0))
    must, holds = at_most(_MOST_ECE, error)
    old, new = np.mean([each.alarms for each in drawn], axis=0)
    unit = f"of known classes' test pictures, {new:.3f} of the taught ones'"
    return [
        Row(f"{name}: expected calibration error", error, "", must, holds, command, {"right probabilities": of_right}),
        Row(f"{name}: called unknown at {FALSE_ALARMS:g}", float(old), unit, "", None, command),
    ]


def unknown_rows(orders: list[Task], command: str) -> list[Row]:
    """AUROC before anything is taught, every tried score beside it; and the lead over max-softmax."""
    found = [aurocs(task) for task in orders]
    means = {name: float(np.mean([each[name] for each in found])) for name in found[0]}
    own, worst = means.pop(OURS), min(each[OURS] - each[SOFTMAX] for each in found)
    name = f"{orders[0].name}: AUROC of unknown"
    must, holds = at_least(_LEAST_AUROC[orders[0].name], own) if orders[0].name in _LEAST_AUROC else ("", None)
    least = f"least lead of {len(found)}" if len(found) > 1 else ""
    return [
        Row(name, own, "", must, holds, command, dict(means)),
        Row(f"{name} minus max-softmax", worst, least, *at_least(0.0, worst), command),
    ]
