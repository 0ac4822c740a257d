"""`edgewise compare`, as a person types it."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from edge.contract.errors import UsageError
from edge.contract.results import Outcome
from train.compare.comparison import Comparison, compare_runs, summary
from train.compare.page import render
from train.page import write_page


def compare(
    runs: Annotated[list[Path], typer.Argument(help="Two or more folders that `edgewise train` wrote.")],
    progress: Callable[[str, int, int], None],
    out: Annotated[Path, typer.Option(help="The page to write.")] = Path("compare.html"),
) -> Outcome:
    """Compare runs with the first of them, and write a page.

    Where the test pictures are the same, McNemar's test says whether a difference is more than chance gives. The page
    has what the runs were told differently, each class, and the pictures on which they differ.

    Example: edgewise compare runs/before runs/after
    """
    if len(runs) < 2:
        raise UsageError(f"one run, {runs[0]}", "two or more", "name another")
    found = compare_runs(runs, partial(progress, "pictures"))
    write_page(out, render(found))
    return Outcome((*summary(found), f"written: {out}"), _fields(found, out))


def _fields(found: Comparison, out: Path) -> dict[str, object]:
    runs = []
    for entry in found.entries:
        low, high = entry.right.interval
        share = {"test_accuracy": entry.right.share, "low": low, "high": high, "pictures": entry.right.of}
        paired = entry.paired._asdict() if entry.paired else None
        runs.append({"run": entry.name, **share, "against_the_first": paired})
    settings = {name: list(values) for name, values in found.settings}
    return {"page": str(out), "runs": runs, "settings": settings, "differing": found.differing.tolist()}
