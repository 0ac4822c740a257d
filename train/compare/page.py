"""compare.html: runs side by side, with the pictures on which they differ."""

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from train.compare.comparison import Comparison, Entry, line
from train.data import Pictures
from train.measures import calibration, class_scores
from train.page import note, page, pictures, section, table, verdict

_MOST_PICTURES = 36
_PICTURE = 96  # pixels of the longer side


def render(found: Comparison) -> str:
    first = found.entries[0]
    best = max(found.entries, key=lambda entry: entry.right.share)
    shown = found.entries[1] if len(found.entries) == 2 else best
    sections = [
        verdict(line(shown, first), good=True),
        section("Runs", _runs(found)),
        section("Told differently", _settings(found)),
        section("Classes", _classes(found)),
        section("Where they differ", _differing(found)),
    ]
    return page("Runs compared", sections)


def _runs(found: Comparison) -> str:
    names = ["test accuracy", "test pictures", "points to the first", "gained / lost", "p", "val accuracy"]
    names += ["calibration error", "weights", "seconds"]
    columns = [_column(entry, found.entries[0]) for entry in found.entries]
    rows = [[("", name), *(("number", cell) for cell in its)] for name, *its in zip(names, *columns, strict=True)]
    told = (
        "Accuracy with Wilson's 95 % interval. Points, gained and lost against the first run, where the test pictures "
        "are the same; p is of McNemar's exact test, which looks only at pictures that one of the two reads right."
    )
    if len(found.entries) > 2:
        told += " Each p is of one comparison: among twenty, one is below 0.05 by chance."
    return note(told) + table(["", *(entry.name for entry in found.entries)], rows, "")


def _column(entry: Entry, first: Entry) -> list[str]:
    points, split, p = "", "", ""
    if entry.paired:
        points = f"{100 * (entry.right.share - first.right.share):+.2f}"
        split, p = f"{entry.paired.gained} / {entry.paired.lost}", f"{entry.paired.p:.2g}"
    reads = f"{100 * entry.right.share:.2f} % " + "({:.1f} to {:.1f})".format(*(100 * e for e in entry.right.interval))
    val, off = f"{100 * entry.answers['val'].accuracy:.2f} %", f"{100 * calibration(entry.test).error:.1f} points"
    spent = [f"{entry.report['parameters']:,}", f"{entry.report['seconds']:.0f}"]
    return [reads, str(entry.right.of), points, split, p, val, off, *spent]


def _settings(found: Comparison) -> str:
    if not found.settings:
        return note("Nothing: recipe, pictures and device are the same.")
    rows = [[("", name), *(("", value) for value in values)] for name, values in found.settings]
    return table(["", *(entry.name for entry in found.entries)], rows, "")


def _classes(found: Comparison) -> str:
    entries = [entry for entry in found.entries if entry.run.labels == found.entries[0].run.labels]
    if len(entries) < 2:
        return note("The runs have different classes.")
    scores = [class_scores(entry.test) for entry in entries]
    rows = []
    for label, its in zip(entries[0].run.labels, zip(*scores, strict=True), strict=True):
        change = [f"{100 * (score.recall.share - its[0].recall.share):+.1f}" for score in its[1:]]
        cells = [str(its[0].recall.of), str(its[0].recall)]
        cells += [f"{score.recall} {by}" for score, by in zip(its[1:], change, strict=True)]
        rows.append([("", label), *(("number", cell) for cell in cells)])
    return table(
        ["class", "pictures", *(entry.name for entry in entries)], rows, "Recall, and points to the first run."
    )


def _differing(found: Comparison) -> str:
    if len(found.alike) < 2:
        return note("The runs were measured on different pictures.")
    differing = found.differing
    if not differing.size:
        return note("Nowhere: they give the same answers.")
    total = len(found.entries[0].test.targets)
    told = f"{len(differing)} of {total} test pictures have different answers; first those that not all read wrong."
    if found.pictures is None:
        return note(f"{told} The pictures are no longer where {found.entries[0].name} took them from.")
    shown = differing[:_MOST_PICTURES]
    if len(shown) < len(differing):
        told += f" {len(shown)} are shown."
    return note(told) + pictures(_items(found.alike, found.pictures, shown), _PICTURE)


def _items(
    entries: Sequence[Entry], seen: Pictures, shown: NDArray[np.int64]
) -> Iterator[tuple[NDArray[np.uint8], str, Sequence[str]]]:
    labels = entries[0].run.labels
    chosen = [entry.test.chosen for entry in entries]
    percent = [100 * entry.test.probabilities.max(1) for entry in entries]
    for i in shown:
        answers = [
            f"{entry.name}: {labels[its[i]]}, {sure[i]:.0f} %"
            for entry, its, sure in zip(entries, chosen, percent, strict=True)
        ]
        yield seen.pixels[i], seen.name(i), (f"is {labels[entries[0].test.targets[i]]}", *answers, seen.name(i))
