"""Writes the README's table of what owners have proved: .venv/bin/python scripts/proved_on.py [--check]

It is made from docs/proved-on/*.json, each of which must hold its signature. Stand-ins stand in a table of their own.
With --check nothing is written, and exit code 1 says that the README is not up to date.
"""

import sys
from pathlib import Path

from readme_part import ROOT, write_part

from deploy.acceptance import STAND_IN, Acceptance, verified
from deploy.keys import key_id
from edge.contract.errors import EdgewiseError

NONE_YET = "No owner has sent one yet.\n"


def main() -> int:
    try:
        return write_part("proved_on.py", tables(ROOT / "docs" / "proved-on"))
    except EdgewiseError as error:
        print(error, file=sys.stderr)
        return 1


def tables(folder: Path) -> str:
    """Markdown. Raises TrustError or FormatError with the name of a file that does not hold."""
    boards: list[str] = []
    stand_ins: list[str] = []
    for path in sorted(folder.glob("*.json")):
        try:
            found, key = verified(path.read_bytes(), path.with_name(path.name + ".sig").read_bytes())
        except EdgewiseError as error:
            raise type(error)(f"{path.name}: {error.found}", error.expected, error.remedy) from None
        (stand_ins if found.is_stand_in else boards).append(row(found, key_id(key)))
    text = table(boards) if boards else NONE_YET
    if stand_ins:
        text += "\nStand-ins. They are no boards: their speed says nothing about a Jetson's.\n\n" + table(stand_ins)
    return text


def table(rows: list[str]) -> str:
    head = "| board | software | network | engines, ms a picture | camera | heat | made, signed by |\n"
    return head + "| --- | --- | --- | --- | --- | --- | --- |\n" + "".join(rows)


def row(seen: Acceptance, signer: str) -> str:
    software = seen.software
    versions = {"L4T": software.l4t, "TensorRT": software.tensorrt, "onnxruntime": software.onnxruntime}
    times = {each.name: each.median_ms for each in seen.engines if each.median_ms is not None}
    engines = [f"{name} {ms:.2f}" + (" (chosen)" if name == seen.chosen else "") for name, ms in times.items()]
    cells = [
        f"{STAND_IN} ({software.machine})" if seen.is_stand_in else software.board,
        ", ".join(f"{name} {version}" for name, version in versions.items() if version),
        seen.network,
        ", ".join(engines),
        camera(seen),
        heat(seen),
        f"{seen.made[:10]}, {signer}",
    ]
    return "| " + " | ".join(cell.replace("|", "/") for cell in cells) + " |\n"


def camera(seen: Acceptance) -> str:
    if seen.camera is None:
        return "none"
    return f"{seen.camera.kind} {seen.camera.width}x{seen.camera.height}, {seen.camera.frames_per_second:.1f} a second"


def heat(seen: Acceptance) -> str:
    first, last = seen.heat[0], seen.heat[-1]
    text = f"{first.median_ms:.2f} to {last.median_ms:.2f} ms in {last.seconds / 60:g} min"
    degrees = [max(each.celsius.values()) for each in (first, last) if each.celsius]
    text += f", {degrees[0]:.0f} to {degrees[-1]:.0f} °C" if degrees else ", no sensor"
    slowed = {each.slowed for each in seen.heat if each.slowed}
    return text + (f", slowed down: {', '.join(sorted(slowed))}" if slowed else "")


if __name__ == "__main__":
    sys.exit(main())
