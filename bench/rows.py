"""A bench's answer: rows of what was claimed and what was measured, as JSON and as a Markdown table."""

import json
import os
import platform
from dataclasses import asdict, dataclass, field
from importlib import metadata
from pathlib import Path
from typing import Any

from edge.contract.files import write_whole

PACKAGES = ("torch", "onnx", "onnxruntime", "openvino", "nncf", "nvidia-modelopt", "torchao")


@dataclass(frozen=True)
class Row:
    """One measured claim. A value or peer that could not be measured is the text that says why."""

    name: str
    value: float | str
    unit: str
    must: str
    holds: bool | None  # None: not measured, or nothing is demanded
    command: str
    peers: dict[str, float | str] = field(default_factory=dict)


def at_least(bound: float, value: float) -> tuple[str, bool]:
    """The fields `must` and `holds` of a row."""
    return f">= {bound:g}", value >= bound


def at_most(bound: float, value: float) -> tuple[str, bool]:
    return f"<= {bound:g}", value <= bound


def all_of(count: int, value: float) -> tuple[str, bool]:
    return f"all {count}", value == count


def machine() -> dict[str, str]:
    """What the numbers were measured on, and with."""
    versions = {name: _version(name) for name in PACKAGES}
    return {"cpu": _cpu(), "cores": str(os.cpu_count()), "python": platform.python_version(), **versions}


def as_fields(on: dict[str, str], rows: list[Row]) -> dict[str, Any]:
    return {"machine": on, "rows": [asdict(row) for row in rows]}


def markdown(on: dict[str, str], rows: list[Row]) -> str:
    """The machine in a line and the rows as a table, which the documents include."""
    lines = [
        ", ".join(f"{name} {value}" for name, value in on.items()),
        "",
        "| claim | measured | must | holds | peers |",
        "| --- | --- | --- | --- | --- |",
    ]
    for row in rows:
        holds = {True: "yes", False: "**no**", None: ""}[row.holds]
        peers = "; ".join(f"{name} {_text(value)}" for name, value in row.peers.items())
        measured = row.value if isinstance(row.value, str) else f"{_text(row.value)} {row.unit}"
        cells = (row.name, measured, row.must, holds, peers)
        lines.append("| " + " | ".join(cell.replace("|", "\\|").strip() for cell in cells) + " |")
    commands = list(dict.fromkeys(row.command for row in rows))
    return "\n".join([*lines, "", *(f"    {command}" for command in commands), ""])


def write(folder: Path, name: str, on: dict[str, str], rows: list[Row]) -> None:
    """FOLDER/NAME.json and FOLDER/NAME.md, whole at any time."""
    folder.mkdir(parents=True, exist_ok=True)
    write_whole(str(folder / f"{name}.json"), (json.dumps(as_fields(on, rows), indent=1) + "\n").encode())
    write_whole(str(folder / f"{name}.md"), markdown(on, rows).encode())


def _text(value: float | str) -> str:
    return value if isinstance(value, str) else f"{round(value, 3):g}"


def _version(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return "not installed"


def _cpu() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    return next((line.split(":")[1].strip() for line in lines if line.startswith("model name")), platform.machine())
