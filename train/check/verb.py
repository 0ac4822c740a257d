"""`edgewise check`, as a person types it."""

from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer

from edge.contract.results import Outcome
from train.check.findings import Findings, look_through
from train.check.report import MOST_SUSPECTS, render, summary
from train.data import open_data
from train.page import write_page


def check(
    data: Annotated[str, typer.Argument(help="A folder, zip or .npz of pictures, or a name: digits, mnist, cifar10.")],
    progress: Callable[[str, int, int], None],
    out: Annotated[Path, typer.Option(help="The page to write.")] = Path("check.html"),
) -> Outcome:
    """Look through pictures before training on them, and write a page of what was found.

    Broken files, copies, copies that are in train and in test, labels that the other pictures contradict, pictures that
    lie on their side, classes with too few pictures. Nothing is changed.

    Examples: edgewise check photos/; edgewise check photos.zip --out look.html --json
    """
    with open_data(data) as raw:
        found = look_through(raw, progress)
        write_page(out, render(found, raw))
    return Outcome((*summary(found), f"written: {out}"), _fields(found, out))


def _fields(found: Findings, out: Path) -> dict[str, object]:
    pictures = found.survey.pictures
    return {
        "page": str(out),
        "pictures": len(pictures),
        "counts": {part: dict(zip(found.labels, its.tolist(), strict=True)) for part, its in found.counts.items()},
        "broken": [{"name": name, "why": why} for name, why in found.survey.broken],
        "turned": list(found.survey.turned),
        **{
            name: [[seen.name for seen in group] for group in getattr(found, name)]
            for name in ("leaks", "contradictions", "copies")
        },
        "suspects": [
            {
                "name": pictures[suspect.picture].name,
                "label": found.labels[pictures[suspect.picture].target],
                "likeliest": found.labels[suspect.likeliest],
                "probability": suspect.given,
            }
            for suspect in found.suspects[:MOST_SUSPECTS]
        ],
        "sideways": [
            {"name": pictures[each.picture].name, "turn_clockwise": each.turn, "times_as_upright": each.times}
            for each in found.sideways[:MOST_SUSPECTS]
        ],
        "judged_by": found.judged_by,
        "thin": list(found.thin),
    }
