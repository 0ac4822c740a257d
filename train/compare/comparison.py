"""Runs beside the first of them: what they read right, what they were told differently, and where they differ."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge.contract.errors import InputError
from train.answers import Answers, read_answers
from train.compare.paired import Paired, compare_paired
from train.data import Pictures, Progress
from train.measures import Share
from train.run_folder import Run, load_run, load_run_data, read_report

_CHANCE = 0.05  # a p below it is called more than chance gives
_MOST_TOLD = 6  # settings in a line; the page has all


@dataclass(frozen=True)
class Entry:
    run: Run
    answers: Mapping[str, Answers]  # by part, val and test
    report: Mapping[str, Any]  # train.json
    paired: Paired | None  # with the first; None for the first, and where the test pictures are others

    @property
    def name(self) -> str:
        return str(self.run.folder)

    @property
    def test(self) -> Answers:
        return self.answers["test"]

    @property
    def right(self) -> Share:
        """Of the test pictures."""
        return Share(int(self.test.right.sum()), len(self.test.targets))


@dataclass(frozen=True)
class Comparison:
    entries: tuple[Entry, ...]
    settings: tuple[tuple[str, tuple[str, ...]], ...]  # what not all were told alike, and a value for each run
    pictures: Pictures | None  # of the first's test part; None where they are gone

    @property
    def alike(self) -> tuple[Entry, ...]:
        """The first, and those with its test pictures."""
        return (self.entries[0], *(entry for entry in self.entries[1:] if entry.paired))

    @property
    def differing(self) -> NDArray[np.int64]:
        """Test pictures that those of `alike` do not answer alike.

        First come those that one reads right and another wrong, and of these the surest mistakes.
        """
        tests = [entry.test for entry in self.alike]
        chosen, right = np.stack([test.chosen for test in tests]), np.stack([test.right for test in tests])
        sure = np.max([np.where(test.right, 0, test.probabilities.max(1)) for test in tests], axis=0)
        differ = np.flatnonzero((chosen != chosen[0]).any(0))
        matters = (right != right[0]).any(0)[differ]
        return np.asarray(differ[np.lexsort((-sure[differ], ~matters))])


def compare_runs(folders: Sequence[Path], progress: Progress | None = None) -> Comparison:
    """The runs in `folders`, two or more. Raises FormatError for one that is unfinished or damaged."""
    runs = [load_run(folder) for folder in folders]
    answers = [read_answers(run.folder, len(run.labels)) for run in runs]
    pictures = _test_pictures(runs[0], progress)
    entries = []
    for i, (run, its) in enumerate(zip(runs, answers, strict=True)):
        same = i > 0 and _same_pictures(runs[0], answers[0]["test"], pictures is not None, run, its["test"])
        paired = compare_paired(answers[0]["test"].right, its["test"].right) if same else None
        entries.append(Entry(run, its, read_report(run.folder), paired))
    return Comparison(tuple(entries), _settings(entries), pictures)


def summary(found: Comparison) -> list[str]:
    """A line a run, then what they were told differently."""
    lines = [line(entry, found.entries[0]) for entry in found.entries]
    if found.settings:
        told = [f"{name} {' / '.join(values)}" for name, values in found.settings[:_MOST_TOLD]]
        more = len(found.settings) - len(told)
        lines.append("different: " + ", ".join(told) + (f" and {more} more" if more else ""))
    return lines


def line(entry: Entry, first: Entry) -> str:
    low, high = entry.right.interval
    reads = f"{entry.name}: {100 * entry.right.share:.2f} % of {entry.right.of} ({100 * low:.1f} to {100 * high:.1f})"
    if entry is first:
        return reads
    if entry.paired is None:
        return f"{reads}, of other test pictures than {first.name}: not compared one by one"
    gained, lost, p = entry.paired
    points = f"{100 * (entry.right.share - first.right.share):+.2f} points to {first.name}"
    told = "more than chance gives" if p < _CHANCE else "no more than chance gives"
    return f"{reads}, {points}: {gained} gained, {lost} lost, p = {p:.2g} (McNemar), {told}"


def _test_pictures(run: Run, progress: Progress | None) -> Pictures | None:
    try:
        return load_run_data(run, progress).test
    except InputError:
        return None


def _same_pictures(first: Run, its: Answers, unchanged: bool, other: Run, others: Answers) -> bool:
    """Whether both were measured on the same pictures, perhaps at other sizes.

    A hash is of pixels at a run's own size. Where that differs, the pictures are the same if both runs took them from
    the same place with the same split, and it still holds what each took.
    """
    if first.labels != other.labels or not np.array_equal(its.targets, others.targets):
        return False
    if first.sha256["test"] == other.sha256["test"]:
        return True
    return (
        (first.source, first.seed) == (other.source, other.seed)
        and unchanged
        and _test_pictures(other, None) is not None
    )


def _settings(entries: Sequence[Entry]) -> tuple[tuple[str, tuple[str, ...]], ...]:
    told = [_told(entry) for entry in entries]
    names = dict.fromkeys(name for its in told for name in its)
    values = {name: tuple(str(its.get(name, "")) for its in told) for name in names}
    return tuple((name, its) for name, its in values.items() if len(set(its)) > 1)


def _told(entry: Entry) -> dict[str, Any]:
    recipe = asdict(entry.run.recipe)
    augmentation = {f"augmentation.{name}": value for name, value in recipe.pop("augmentation").items()}
    counts = {f"{part} pictures": count for part, count in entry.report["counts"].items()}
    done = {"epochs done": entry.report["epochs"], "rate": entry.report["rate"], "device": entry.report["device"]}
    return {**recipe, **augmentation, "data": entry.run.source, "split seed": entry.run.seed, **counts, **done}
