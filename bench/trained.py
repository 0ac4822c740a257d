"""Rows of what finished trainings are worth: their answers made again, beside heads on ImageNet's frozen features."""

from collections.abc import Callable
from dataclasses import dataclass, fields
from pathlib import Path
from statistics import mean
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression, RidgeClassifierCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from bench.rows import Row, at_least, at_most
from edge.contract.errors import InputError
from train.data import DataSet, Pictures
from train.loop import begin_network
from train.predict import predict
from train.recipe import Recipe, load_recipe
from train.run_folder import MODEL, Run, load_run, load_run_data, read_report

_RIDGE, _LOGISTIC = "ridge on frozen features", "logistic regression on frozen features"
_HEADS: dict[str, Callable[[], Any]] = {  # the ridge's strength by leave-one-out on the training pictures
    _RIDGE: lambda: RidgeClassifierCV(alphas=np.logspace(-2, 5, 15)),
    _LOGISTIC: lambda: make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000)),
}

Progress = Callable[[int, int], None]
Right = NDArray[np.bool_]  # (N,), of val and then test


@dataclass(frozen=True)
class Claim:
    group: str  # of the runs: RUNS/trashnet-0, RUNS/trashnet-1 ...
    recipe: str
    least: float  # percent of the test pictures, the mean over seeds
    least_seed: float | None = None  # percent, each
    least_gain: float | None = None  # points over the frozen ridge head, on val + test
    most_minutes: float | None = None


@dataclass(frozen=True)
class Measured:
    """One finished run."""

    run: Run
    right: Right
    tests: int  # how many of `right`, at its end, are test pictures
    minutes: float  # as the run's report has them: the only figure that is not measured again

    @property
    def test_percent(self) -> float:
        return 100 * float(self.right[-self.tests :].mean())

    @property
    def both_percent(self) -> float:
        return 100 * float(self.right.mean())


def trained_rows(claim: Claim, runs: Path, seeds: int, command: str, progress: Progress) -> list[Row]:
    """The rows of a group of runs, at most `seeds` of them. Raises InputError where there is none."""
    folders = sorted(folder.parent for folder in runs.glob(f"{claim.group}-*/{MODEL}"))[:seeds]
    if not folders:
        raise InputError(f"{runs} holds no finished {claim.group}-0", "run folders", "run scripts/int8_runs.py")
    measured = []
    heads: dict[str, dict[str, Right]] = {}  # by the hashes of the pictures: seeds may share them
    for done, folder in enumerate(folders, 1):
        run = load_run(folder)
        data = load_run_data(run)
        measured.append(_measure(run, data))
        if run.recipe.pretrained and str(run.sha256) not in heads:
            heads[str(run.sha256)] = _frozen_heads(run.recipe, data)
        progress(done, len(folders))
    return _rows(claim, measured, [heads[str(m.run.sha256)] for m in measured if m.run.recipe.pretrained], command)


def _measure(run: Run, data: DataSet) -> Measured:
    right = np.concatenate([predict(run.network, its.pixels)[1].argmax(1) == its.targets for its in _held_out(data)])
    return Measured(run, right, len(data.test.targets), read_report(run.folder)["seconds"] / 60)


def _frozen_heads(recipe: Recipe, data: DataSet) -> dict[str, Right]:
    """By head: what it reads right on the features of the network that the run began with."""
    parts = (data.train, *_held_out(data))
    height, width, channels = data.train.pixels.shape[1:]
    network = begin_network(recipe, channels, len(data.labels), (height, width))
    x, *held_out = (predict(network, its.pixels)[0] for its in parts)
    found = {}
    for name, head in _HEADS.items():
        fitted = head().fit(x, data.train.targets)
        answers = [fitted.predict(features) for features in held_out]
        found[name] = np.concatenate([a == its.targets for a, its in zip(answers, _held_out(data), strict=True)])
    return found


def _held_out(data: DataSet) -> tuple[Pictures, Pictures]:
    return data.val, data.test


def _rows(claim: Claim, measured: list[Measured], heads: list[dict[str, Right]], command: str) -> list[Row]:
    """heads: as many as `measured`, or none for networks that began from scratch."""
    tests, minutes = [one.test_percent for one in measured], [one.minutes for one in measured]
    settings = _settings(claim.recipe, measured[0].run.recipe)
    must, holds = at_least(claim.least, mean(tests))
    if claim.least_seed is not None:
        must, holds = f"{must}, no seed < {claim.least_seed:g}", holds and min(tests) >= claim.least_seed
    unit = f"% of {measured[0].tests} test pictures ({_spread(tests)}; {settings})"
    pairs = list(zip(heads, measured, strict=False))
    peers: dict[str, float | str] = {}
    if heads:
        peers = {name: mean(100 * float(right[name][-one.tests :].mean()) for right, one in pairs) for name in _HEADS}
    rows = [Row(f"{claim.group}: top-1", mean(tests), unit, must, holds, command, peers)]
    if claim.least_gain is not None:
        gains = [one.both_percent - 100 * float(right[_RIDGE].mean()) for right, one in pairs]
        unit = f"points on {len(measured[0].right)} val and test pictures ({_spread(gains)})"
        must, holds = at_least(claim.least_gain, mean(gains))
        rows.append(Row(f"{claim.group}: fine-tuned minus {_RIDGE}", mean(gains), unit, must, holds, command))
    must, in_time = at_most(claim.most_minutes, max(minutes)) if claim.most_minutes else ("", None)
    unit = f"minutes, as the runs' reports have it ({settings})"
    return [*rows, Row(f"{claim.group}: the longest training", max(minutes), unit, must, in_time, command)]


def _spread(values: list[float]) -> str:
    return "1 seed" if len(values) == 1 else f"{len(values)} seeds, {min(values):.2f} to {max(values):.2f}"


def _settings(name: str, recipe: Recipe) -> str:
    """The recipe's name, and what was told otherwise."""
    usual = load_recipe(name)
    names = [field.name for field in fields(Recipe) if field.name != "seed"]
    other = [f"{field} {getattr(recipe, field)}" for field in names if getattr(recipe, field) != getattr(usual, field)]
    return f"recipe {name}" + (f" but {', '.join(other)}" if other else "")
