"""accept, as a person types it."""

import dataclasses
import json
from pathlib import Path
from typing import Annotated

import typer

from deploy.accept import AcceptReport
from deploy.accept import accept as prove
from deploy.verbs import Progress, Target
from edge.contract.results import Outcome


def accept(
    target: Target,
    key: Annotated[Path, typer.Option(help="Your private key, NAME.key: it signs what the board shows.")],
    progress: Progress,
    source: Annotated[str | None, typer.Argument(help="A camera of the board, such as csi:0.")] = None,
    seconds: Annotated[float, typer.Option(help="Of frames from the camera.")] = 30.0,
    minutes: Annotated[float, typer.Option(help="Of inference without a pause, for the heat.")] = 10.0,
    out: Annotated[Path | None, typer.Option(help="The file to write, and its signature beside it.")] = None,
) -> Outcome:
    """Have a board prove what nobody could prove without it: its engines, its camera's frames a second, its heat.

    The file and its .sig can be added to docs/proved-on, from which the README's table is made. No name of a host or a
    user, no address and no picture is in them. Where the board is not one that edgewise knows, it is a stand-in, and
    says so.

    Example: edgewise accept nano@192.168.55.1 csi:0 --key mine.key
    """
    done = prove(target, key, source, seconds, minutes, out, progress)
    return Outcome(_lines(done), json.loads(json.dumps(dataclasses.asdict(done), default=str)))


def _lines(done: AcceptReport) -> tuple[str, ...]:
    seen = done.acceptance
    lines = [f"{seen.software.board or 'a stand-in, not a board'}: {seen.checks.get('board', '')}"]
    for each in seen.engines:
        ran = f"{each.median_ms:.2f} ms a picture" if each.median_ms is not None else each.why
        lines.append(f"{each.name}: {ran}")
    if seen.camera is not None:
        lines.append(f"camera ({seen.camera.kind}): {seen.camera.frames_per_second:.1f} frames a second")
    first, last = seen.heat[0], seen.heat[-1]
    heat = f"heat: {first.median_ms:.2f} ms at first, {last.median_ms:.2f} ms after {last.seconds / 60:g} minutes"
    warmest = max(last.celsius.values(), default=None)
    lines.append(heat + (f", {warmest:.0f} degrees C" if warmest is not None else ", this system tells no temperature"))
    lines.append(f"{done.file} and {done.signature.name}, signed by {done.key_id}")
    return tuple(lines)
