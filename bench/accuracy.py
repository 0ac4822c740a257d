"""The rows of accuracy: INT8 against FP32 over seeds, and label-free tuning's agreement."""

from dataclasses import dataclass
from statistics import mean

import numpy as np
from numpy.typing import NDArray

from bench.peer import PTQ_PEERS, Failure
from bench.rows import Row, at_least
from bench.scores import FP32, OURS, Answers, percent_equal
from quantize.certificate import wilson

_LEAST_POINTS = {"mnist": -0.05}
_LEAST_POINTS_OF_PHOTOS = -0.3
_LEAST_AGREEMENT = 97.0

Values = dict[str, float | Failure]  # by engine


@dataclass(frozen=True)
class Scored:
    """One run: points of top-1 that each engine has more than FP32, and on what percent it answers as FP32 does."""

    points: Values
    agreement: Values
    fp32: float  # percent


def score(found: dict[str, Answers | Failure], targets: NDArray[np.int64]) -> Scored:
    """From what each engine answered, FP32 among them, and the targets (N,)."""
    top1 = {name: a if isinstance(a, Failure) else percent_equal(a, targets) for name, a in found.items()}
    fp32 = top1.pop(FP32)
    if isinstance(fp32, Failure):
        raise RuntimeError(str(fp32))  # the float file is our own
    points: Values = {name: v if isinstance(v, Failure) else v - fp32 for name, v in top1.items()}
    return Scored(points, _agreement(found), fp32)


def seed_rows(group: str, scored: list[Scored], command: str) -> list[Row]:
    """Mean points of INT8 minus FP32 over the runs of a group, and the lead over the best PTQ peer."""
    points = _means([run.points for run in scored])
    ours = float(points.pop(OURS))  # type: ignore[arg-type]  # ours never fails: it raises
    must, holds = at_least(_LEAST_POINTS.get(group, _LEAST_POINTS_OF_PHOTOS), round(ours, 6))
    fp32 = mean(run.fp32 for run in scored)
    unit = f"points (FP32 {fp32:.2f} %, {_seeds(len(scored))})"
    equal = _means([run.agreement for run in scored])
    same = float(equal.pop(OURS))  # type: ignore[arg-type]
    rows = [
        Row(f"{group}: INT8 minus FP32", ours, unit, must, holds, command, _plain(points)),
        Row(f"{group}: INT8 agrees with FP32", same, "% of the test pictures", "", None, command, _plain(equal)),
    ]
    if group not in _LEAST_POINTS:
        rows.append(_lead(group, ours, points, command))
    return rows


def label_free_row(group: str, found: dict[str, Answers | Failure], command: str) -> Row:
    """Agreement with FP32 on pictures without labels that no tuning saw."""
    equal = _agreement(found)
    ours = float(equal.pop(OURS))  # type: ignore[arg-type]
    must, holds = at_least(_LEAST_AGREEMENT, ours)
    unit = f"% of {len(found[OURS])} held-out pictures"  # type: ignore[arg-type]
    return Row(f"{group}: label-free INT8 agrees with FP32", ours, unit, must, holds, command, _plain(equal))


def labelled_row(group: str, found: dict[str, Answers | Failure], targets: NDArray[np.int64], command: str) -> Row:
    """Top-1 with Wilson's interval; FP32 stands among the peers."""
    top1: dict[str, float | str] = {}
    for name, a in found.items():
        top1[name] = str(a) if isinstance(a, Failure) else percent_equal(a, targets)
    ours = float(top1.pop(OURS))
    low, high = wilson(round(ours * len(targets) / 100), len(targets))
    unit = f"% of {len(targets)} (95 % interval {low:.1f} to {high:.1f})"
    return Row(f"{group}: top-1 of label-free INT8", ours, unit, "", None, command, top1)


def _agreement(found: dict[str, Answers | Failure]) -> Values:
    """By engine, percent of the pictures that it answers as FP32 does."""
    fp32 = found[FP32]
    if isinstance(fp32, Failure):
        raise RuntimeError(str(fp32))  # the float file is our own
    return {name: a if isinstance(a, Failure) else percent_equal(a, fp32) for name, a in found.items() if name != FP32}


def _lead(group: str, ours: float, points: Values, command: str) -> Row:
    ptq = {p.name: points[p.name] for p in PTQ_PEERS if p.name in points}
    worked = {name: value for name, value in ptq.items() if not isinstance(value, Failure)}
    name = f"{group}: ours minus the best PTQ peer"
    if not worked:
        return Row(name, "no PTQ peer worked", "", "> 0", None, command)
    best = max(worked, key=lambda peer: worked[peer])
    lead = ours - worked[best]
    return Row(name, lead, "points", "> 0", lead > 0, command, {best: worked[best]})


def _means(runs: list[Values]) -> Values:
    """By engine, over the runs that it took part in; one failure is the engine's answer."""
    means: Values = {}
    for name in dict.fromkeys(name for run in runs for name in run):
        values = [run[name] for run in runs if name in run]
        failed = [value for value in values if isinstance(value, Failure)]
        means[name] = failed[0] if failed else mean(v for v in values if not isinstance(v, Failure))
    return means


def _plain(values: Values) -> dict[str, float | str]:
    return {name: str(value) if isinstance(value, Failure) else value for name, value in values.items()}


def _seeds(count: int) -> str:
    return "1 seed" if count == 1 else f"mean of {count} seeds"
