"""`edgewise accept`: has a board prove what could not be proved without it, a step at a time, and signs what it said.

Each step is a verb of the board's own release, and short enough that a person at the desk sees how far it is.
"""

import dataclasses
import os
import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from deploy.acceptance import (
    Acceptance,
    Camera,
    Engine,
    Reading,
    Software,
    acceptance_bytes,
    printable,
    sign,
)
from deploy.board import Board
from deploy.care import examine_board
from deploy.installed import installed
from deploy.keys import key_id, load_private_key
from deploy.target import parse_target
from edge.contract.errors import UsageError
from edge.contract.files import write_whole

STRETCH_S = 60.0  # of inference between two readings of the heat
_CHECKS = ("board", "python", "numpy", "opencv", "onnxruntime", "Tensorrt", "CUDA", "CPU", "memory", "speed", "service")
_WITH_PATH = ("python", "numpy", "opencv")  # whose finding is a version and a path, which may tell a person's name

Progress = Callable[[str, int, int], None]


@dataclass(frozen=True)
class AcceptReport:
    acceptance: Acceptance
    file: Path
    signature: Path
    key_id: str


def accept(
    target: str,
    key: Path,
    source: str | None,
    seconds: float,
    minutes: float,
    out: Path | None,
    progress: Progress,
    now: Callable[[], datetime] = lambda: datetime.now(timezone.utc),
) -> AcceptReport:
    """Measures every engine anew, frames of `source` for `seconds`, and heat for `minutes`; writes `out` and its .sig.

    source: a camera of the board, or None. Raises InputError for no private key, UsageError for no time or no place to
    write, BoardError where no release is installed or the link is lost, and what the board reports.
    """
    if seconds <= 0 or minutes <= 0:
        raise UsageError(f"{seconds} seconds and {minutes} minutes", "more than 0", "name some")
    folder = out.parent if out else Path()
    if not os.access(folder, os.W_OK | os.X_OK):  # now, not after many minutes
        raise UsageError(f"{folder} cannot be written", "a folder that can", "name another file by --out")
    private = load_private_key(key)
    acceptance = _seen(target, source, seconds, minutes, progress, now)
    file = out or Path(_name(acceptance))
    signature = file.with_name(file.name + ".sig")
    data = acceptance_bytes(acceptance)
    for path, content in ((file, data), (signature, sign(data, private))):
        write_whole(str(path), content)
    return AcceptReport(acceptance, file, signature, key_id(private.public_key()))


def _seen(
    target: str, source: str | None, seconds: float, minutes: float, progress: Progress, now: Callable[[], datetime]
) -> Acceptance:
    with Board(parse_target(target)) as board:
        place = installed(board)
        checks = _checks(examine_board(board).checks)
        progress("engines", 0, 1)
        measured = board.run(place.runtime, "engines", "--again")
        progress("engines", 1, 1)
        camera = None
        if source is not None:
            progress("camera", 0, 1)
            camera = _camera(source, board.run(place.runtime, "soak", source, "--seconds", str(seconds)))
            progress("camera", 1, 1)
        heat = _heat(lambda s: board.run(place.runtime, "soak", "--seconds", str(s)), minutes * 60, progress)
    spec = measured["model"]
    return Acceptance(
        made=now().strftime("%Y-%m-%dT%H:%M:%SZ"),
        release=measured["release"],
        network=f"{spec['network']} {spec['width']}x{spec['height']}",
        software=Software(**measured["circumstances"]),
        checks=checks,
        engines=tuple(
            Engine(**{**row, "why": printable(row["why"].replace(place.root, ""))}) for row in measured["tried"]
        ),
        chosen=measured["name"],
        camera=camera,
        heat=heat,
    )


def _heat(soak: Callable[[float], dict[str, Any]], seconds: float, progress: Progress) -> tuple[Reading, ...]:
    stretches = max(1, round(seconds / STRETCH_S))
    readings = []
    for done in range(stretches):
        progress("heat", done, stretches)
        found = soak(seconds / stretches)
        found = {name: found[name] for name in ("pictures", "median_ms", "p95_ms", "celsius", "slowed")}
        readings.append(Reading(seconds=(done + 1) * seconds / stretches, **found))
    progress("heat", stretches, stretches)
    return tuple(readings)


def _camera(source: str, found: dict[str, Any]) -> Camera:
    width, height = found["size"]
    kind = "file"
    if found["live"]:
        protocol = re.match(r"[a-z]+(?=:)", source)  # and nothing else of it, which may hold a password
        kind = protocol.group() if protocol else "v4l2"
    numbers = {field.name: found[field.name] for field in dataclasses.fields(Camera) if field.name in found}
    return Camera(kind=kind, width=width, height=height, **numbers)


def _checks(found: list[dict[str, str]]) -> dict[str, str]:
    return {check["name"]: _said(**check) for check in found if check["name"] in _CHECKS}


def _said(name: str, found: str, **_: str) -> str:
    if name in _WITH_PATH:
        return printable(found.split(" ")[0])
    return printable(found.split(",")[0] if name == "service" else found)  # not what its camera saw last


def _name(acceptance: Acceptance) -> str:
    return f"{acceptance.software.board or 'stand-in'}-{acceptance.release}.json"
