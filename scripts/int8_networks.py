"""Trains each network by name on TrashNet's five classes and quantizes it.

.venv/bin/python scripts/int8_networks.py DATA OUT

DATA holds trashnet as its README says. OUT gets a run folder for each network, and networks.md and networks.json: the
table of docs/int8.md. Pictures are 64 x 64, training is short and quantization is --ptq, so all take about an hour:
the question is what INT8 costs, not how well these networks sort waste. What is there already is kept.
"""

import json
import sys
from pathlib import Path

from call_edgewise import edgewise
from int8_runs import unpack

from bench.planted import faults_row
from quantize.verify import open_subject
from train.pretrained import SOURCES

SIZE = 64
PRETRAINED, FRESH = ("photos", 4), ("small", 16)  # recipe and epochs: with ImageNet's weights, and from scratch
RATES = {"efficientnet-lite3": 0.05, "efficientnet-lite4": 0.05}  # the recipe's 0.15 is too high for them from scratch
NETWORKS = (
    "mobilenet-v2",
    "mobilenet-v3-small",
    "mobilenet-v3-large",
    "resnet18",
    "efficientnet-lite1",
    "efficientnet-lite2",
    "efficientnet-lite3",
    "efficientnet-lite4",
    "resnet50",
)
HEAD = (
    "| network | FP32 | INT8 | agrees with FP32 | bit-identical | integer layers | "
    "multiply-adds in float | method | verify | faults found in u8 |"
)


def main() -> None:
    data, out = Path(sys.argv[1]), Path(sys.argv[2])
    out.mkdir(parents=True, exist_ok=True)
    pictures = unpack(data / "trashnet" / "trashnet_256.zip", out / "data" / "trashnet", "/trash/")
    rows = []
    for name in NETWORKS:
        run = out / name
        if not (run / "model.safetensors").exists():
            recipe, epochs = PRETRAINED if name in SOURCES else FRESH
            options = ["--recipe", recipe, "--network", name, "--size", str(SIZE), "--epochs", str(epochs)]
            options += ["--learning-rate", str(RATES[name])] if name in RATES else []
            options += ["--resume"] if (run / "checkpoint.safetensors").exists() else []
            edgewise("train", str(pictures), "--out", str(run), *options)
        if not (run / "int8" / "report.json").exists():
            edgewise("quantize", str(run), "--ptq", check=False)
        rows.append({"network": name, "verify": edgewise("verify", str(run), check=False), **figures(run)})
        (out / "networks.json").write_text(json.dumps(rows, indent=2) + "\n")
        (out / "networks.md").write_text("\n".join([HEAD, "|" + " --- |" * 10, *map(line, rows)]) + "\n")


def figures(run: Path) -> dict[str, object]:
    """What of the certificate is in the table; nothing where quantize refused to write one."""
    path = run / "int8" / "report.json"
    if not path.exists():
        return {}
    with open_subject(run, None) as subject:
        faults = faults_row("", subject.certified, "", lambda _, __: None, ("u8",))
    return {"report": json.loads(path.read_text()), "faults": f"{faults.value} {faults.unit}"}


def line(row: dict[str, object]) -> str:
    report = row.get("report")
    if not isinstance(report, dict):
        return f"| {row['network']} | not quantized |" + " |" * 8
    accuracy, layers, work = report["accuracy"], report["integer_layers"], report["multiply_adds"]
    cells = (
        row["network"],
        f"{accuracy['fp32']:.2f} %",
        f"{accuracy['u8']:.2f} %",
        f"{report['agreement_with_fp32']['u8']['percent']:.2f} %",
        f"{report['exact']['u8_pictures']} of {report['test_count']}",
        f"{layers['fused']} of {sum(layers['planned'].values())}",
        f"{100 * work['float'] / (work['float'] + work['integer']):.2f} %",
        report["method"]["name"],
        "holds" if row["verify"] else "**fails**",
        row["faults"],
    )
    return "| " + " | ".join(map(str, cells)) + " |"


if __name__ == "__main__":
    main()
