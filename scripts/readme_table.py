"""Writes the README's table beside other tools, from docs/*.json: .venv/bin/python scripts/readme_table.py [--check]

With --check nothing is written, and exit code 1 says that the README is not up to date.
"""

import json
import re
import sys
from dataclasses import dataclass
from typing import Any

from readme_part import ROOT, write_part


@dataclass(frozen=True)
class Line:
    what: str
    page: str
    row: str  # of docs/PAGE.json
    form: str
    peers: dict[str, str]  # as the README calls them: as the row does; empty where the row is a ratio to them
    ratio_to: str = ""


LINES = (
    Line(
        "EfficientNet-Lite0 in INT8, time over FP32's, one x86 thread",
        "int8",
        "efficientnet-lite0 224x224: u8 time / FP32 time, one thread",
        "{:.2f}",
        {"onnxruntime U8S8": "onnxruntime U8S8", "NNCF with OpenVINO": "NNCF, run by OpenVINO"},
    ),
    Line(
        "the same from unlabelled pictures: answers as FP32 does, of 2,000",
        "int8",
        "imagenet: label-free INT8 agrees with FP32",
        "{:.2f} %",
        {"onnxruntime S8S8": "onnxruntime S8S8", "NNCF": "NNCF, run by OpenVINO"},
    ),
    Line(
        "a sixth kind of waste from 10 photos: harmonic mean of old and new accuracy",
        "learning",
        "trashnet 5+1, 10 shots: at most 3 points lost on known classes",
        "{:.1f} %",
        {"replay": "replay", "logistic regression on all data": "logistic regression, all data"},
    ),
    Line(
        "five new characters beside 25, from 10 pictures each",
        "learning",
        "omniglot 25+5, 10 shots: at most 3 points lost on known classes",
        "{:.1f} %",
        {"Deep SLDA": "Deep SLDA", "logistic regression on all data": "logistic regression, all data"},
    ),
    Line(
        "a kind of waste that was never taught is called unknown: AUROC",
        "learning",
        "trashnet 5+1: AUROC of unknown",
        "{:.3f}",
        {"relative Mahalanobis": "relative Mahalanobis, L2", "energy": "energy", "softmax": "max-softmax"},
    ),
    Line(
        "fine-tuning Lite0 on a CPU, pictures a second over PyTorch's tutorial",
        "training",
        "fine-tuning Lite0 224 on a CPU, one thread, batch 16: pictures a second over the tutorial's, as each is by "
        "default",
        "{:.1f}",
        {},
        "1",
    ),
    Line(
        "a first flash, time over scp's of the same archive",
        "flash",
        "first flash to STAGED / scp of the archive",
        "{:.2f}",
        {},
        "1 scp, which neither verifies nor waits for the disk",
    ),
)


def main() -> int:
    return write_part("readme_table.py", table())


def table() -> str:
    return "| what | edgewise | the next best | page |\n| --- | --- | --- | --- |\n" + "".join(map(cells, LINES))


def cells(line: Line) -> str:
    rows: list[dict[str, Any]] = json.loads((ROOT / "docs" / f"{line.page}.json").read_text("utf-8"))["rows"]
    row = next(row for row in rows if row["name"] == line.row)
    within = re.search(r"\(ours ([\d.]+)", row["unit"])  # where the row's value is a lead
    ours = line.form.format(float(within[1]) if within else row["value"])
    peers = [f"{line.form.format(number(row['peers'][theirs]))} {name}" for name, theirs in line.peers.items()]
    return f"| {line.what} | {ours} | {'; '.join(peers) or line.ratio_to} | `docs/{line.page}.md` |\n"


def number(value: float | str) -> float:
    """A peer's figure may have more behind it, such as its quartiles."""
    return float(str(value).split()[0])


if __name__ == "__main__":
    sys.exit(main())
