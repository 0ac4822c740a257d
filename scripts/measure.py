"""Makes the measured table again: .venv/bin/python scripts/measure.py DATA OUT [--keep]

DATA is a folder with mnist/mnist.npz and animal_silhouettes/animal_silhouettes.npz; OUT gets the runs, the demo, and
measured.md and measured.json, which docs/ and the README hold copies of. About a quarter of an hour on two cores. With
--keep, runs that OUT already has are measured again but not made again.
"""

import json
import os
import platform
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import cv2
import numpy as np
import onnx
import onnxruntime
import torch

from edge.backbone import open_backbone
from edge.classifier import open_classifier
from edge.lessons import teach
from edge.pictures import Picture
from edge.preprocess import prepare
from edge.release import open_release
from edge.store import open_store
from train.data import load_data
from train.run_folder import load_run, load_run_data

ROOT = Path(__file__).resolve().parents[1]
PYTHON36 = ROOT / ".venv36" / "bin" / "python"
SHOTS, TESTED_ANIMALS, TESTED_DIGITS = 5, 100, 1000


@dataclass(frozen=True)
class Row:
    name: str
    value: float
    unit: str
    must: str
    holds: bool | None
    command: str


def edgewise(*arguments: object) -> dict[str, Any]:
    print("$ edgewise", *arguments, file=sys.stderr, flush=True)
    command = [sys.executable, "-m", "edgewise", *map(str, arguments), "--json"]
    done = subprocess.run(command, stdout=subprocess.PIPE, check=True)
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer


def mnist_rows(data: Path, out: Path, keep: bool) -> list[Row]:
    """Trained, quantized, and compared with the integer reference under two onnxruntimes."""
    source, run = data / "mnist" / "mnist.npz", out / "mnist"
    train = "edgewise train mnist.npz --epochs 7 --out mnist"  # of 20, which take 11 minutes: docs/training.md
    quantize = "edgewise quantize mnist"
    if not (keep and (run / "train.json").exists()):
        edgewise("train", source, "--epochs", "7", "--out", run)
    trained = json.loads((run / "train.json").read_text())
    if not (keep and (run / "int8" / "report.json").exists()):
        edgewise("quantize", run)
    report = json.loads((run / "int8" / "report.json").read_text())
    accuracy, count = report["accuracy"], report["test_count"]
    drop = accuracy["fp32"] - accuracy["u8"]
    agreement = report["agreement"]["u8"]["percent"]
    planned = sum(report["integer_layers"]["planned"].values())
    fused = report["integer_layers"]["fused"]
    minutes = trained["seconds"] / 60
    rows = [
        Row("MNIST, FP32, 10,000 test digits", accuracy["fp32"], "%", ">= 99.4", accuracy["fp32"] >= 99.4, train),
        Row("time to train it on this CPU", minutes, "min", "<= 6", minutes <= 6, train),
        Row("MNIST, INT8 (u8 file)", accuracy["u8"], "%", ">= FP32 - 0.05", drop <= 0.05, quantize),
        Row("time to quantize and prove it", report["seconds"] / 60, "min", "", None, quantize),
        Row(
            "features bit-identical to the integer reference",
            report["exact"]["u8_pictures"],
            f"of {count}",
            "all",
            report["exact"]["u8"],
            quantize,
        ),
        Row("top-1 of the u8 file = QAT model", agreement, "%", ">= 99.99", agreement >= 99.99, quantize),
        fused_row(onnxruntime.__version__, fused, planned, quantize),
    ]
    return rows + old_runtime_rows(source, run, planned)


def old_runtime_rows(source: Path, run: Path, planned: int) -> list[Row]:
    """The same file under onnxruntime 1.10 on Python 3.6, on every test picture."""
    command = "scripts/measure.py"
    if not PYTHON36.exists():
        return [Row("onnxruntime 1.10 on Python 3.6", float("nan"), "not measured: no .venv36", "", None, command)]
    pixels = load_run_data(load_run(run)).test.pixels
    scratch = run / "int8-1.10"
    scratch.mkdir(exist_ok=True)
    np.save(scratch / "pixels.npy", pixels)
    for python, name in ((PYTHON36, "old"), (Path(sys.executable), "new")):
        code = (
            "import sys, numpy as np; from edge.engine import Engine, run_in_batches\n"
            "model, folder, name = sys.argv[1:]\n"
            "engine = Engine(model, optimized_path=folder + '/' + name + '.onnx')\n"
            "np.save(folder + '/' + name + '.npy', run_in_batches(engine, np.load(folder + '/pixels.npy'))[0])"
        )
        model = run / "int8" / "model.u8.onnx"
        subprocess.run([python, "-B", "-c", code, model, scratch, name], cwd=ROOT, check=True)
    same = int((np.load(scratch / "old.npy") == np.load(scratch / "new.npy")).all(1).sum())
    nodes = onnx.load(str(scratch / "old.onnx")).graph.node
    fused = sum(node.op_type in ("QLinearConv", "QLinearAdd") for node in nodes)
    return [
        fused_row("1.10.0", fused, planned, command),
        Row("features under 1.10.0 = under the newest", same, f"of {len(pixels)}", "all", same == len(pixels), command),
    ]


def fused_row(version: str, fused: int, planned: int, command: str) -> Row:
    name = f"convolutions and adds fused to integers, onnxruntime {version}"
    return Row(name, fused, f"of {planned}", "all", fused == planned, command)


def learning_rows(data: Path, out: Path, keep: bool) -> list[Row]:
    """Animals that no setting was chosen on, each taught alone to the MNIST board from five pictures."""
    board = flashed(out, keep)
    release = open_release(str(board.resolve() / "current"))
    animals = np.load(data / "animal_silhouettes" / "animal_silhouettes.npz")
    digits = load_data(str(data / "mnist" / "mnist.npz"), 0).test
    backbone = open_backbone(release)
    spec, command = release.manifest.model, "scripts/measure.py"
    rng = np.random.default_rng(0)
    shown = rng.permutation(len(digits.targets))[:TESTED_DIGITS]
    known, new, before, solve_ms = [], [], None, []
    for target, name in enumerate(animals["names"]):
        mine = rng.permutation(np.flatnonzero(animals["y_train"] == target))[:SHOTS]
        tested = rng.permutation(np.flatnonzero(animals["y_test"] == target))[:TESTED_ANIMALS]
        store_path = out / f"animal-{target}.sqlite"
        store_path.unlink(missing_ok=True)
        with open_store(str(store_path)) as store:
            if before is None:
                before = read_share(open_classifier(release, store), digits.pixels[shown], digits.targets[shown])
            lesson = [Picture(str(i), animals["x_train"][i]) for i in mine]
            solve_ms.append(teach(backbone, store, str(name), lesson, False, time.time()).learned.solve_ms)
            classifier = open_classifier(release, store)
            known.append(read_share(classifier, digits.pixels[shown], digits.targets[shown]))
            pixels = np.stack([prepare(animals["x_test"][i], spec) for i in tested])
            new.append(read_share(classifier, pixels, np.full(len(pixels), spec.classes)))
    return [
        Row(f"{TESTED_DIGITS} test digits on the board, nothing taught", before or 0.0, "%", "", None, command),
        Row(f"the same, one of 10 animals taught from {SHOTS} pictures (mean)", mean(known), "%", "", None, command),
        Row(f"{TESTED_ANIMALS} test pictures of that animal (mean)", mean(new), "%", "", None, command),
        Row("the head solved anew (median)", float(np.median(solve_ms)), "ms", "", None, command),
    ]


def flashed(out: Path, keep: bool) -> Path:
    board = out / "board"
    if not (keep and (board / "current").exists()):
        edgewise("keygen", out / "measure")
        edgewise("pack", out / "mnist", "--key", out / "measure.key", "--out", out / "mnist.edge")
        edgewise("flash", out / "mnist.edge", f"local:{board}", "--trust", out / "measure.pub")
    return board


def read_share(classifier: Any, pixels: np.ndarray, targets: np.ndarray) -> float:
    found = np.concatenate([classifier.probabilities(pixels[i : i + 250]) for i in range(0, len(pixels), 250)])
    return float(100 * (found.argmax(1) == targets).mean())


def mean(values: list[float]) -> float:
    return float(np.mean(values))


def demo_rows(out: Path) -> list[Row]:
    facts = edgewise("demo", "--out", out / "demo")
    views, seconds, command = facts["views"], facts["seconds"]["all"], "edgewise demo"
    return [
        Row(name, views[when][what], "%", "", None, command)
        for name, when, what in (
            ("demo: 359 test digits on paper, before", "before", "paper"),
            ("demo: the same, the look fitted from 10 unlabelled pictures", "fitted", "paper"),
            ("demo: the same, after the lessons", "after", "paper"),
            ("demo: the original digits, before", "before", "original"),
            ("demo: the original digits, after the lessons", "after", "original"),
            ("demo: 20 pictures of the new sign, after the lessons", "after", "signs"),
        )
    ] + [Row("demo: from nothing to the picture", seconds, "s", "<= 120", seconds <= 120, command)]


def machine() -> dict[str, str]:
    info = Path("/proc/cpuinfo").read_text() if Path("/proc/cpuinfo").exists() else ""
    model = next((line.split(":")[1].strip() for line in info.splitlines() if line.startswith("model name")), "")
    flags = next((line for line in info.splitlines() if line.startswith("flags")), "")
    return {
        "cpu": f"{model or platform.machine()}, {os.cpu_count()} cores" + (", VNNI" if "vnni" in flags else ""),
        "python": platform.python_version(),
        "torch": torch.__version__,
        "onnxruntime": onnxruntime.__version__,
        "opencv": cv2.__version__,
    }


def markdown(rows: list[Row], about: dict[str, str]) -> str:
    lines = ["Measured on " + ", ".join(f"{k} {v}" if k != "cpu" else v for k, v in about.items()) + ".", ""]
    lines += ["| what | measured | must be | holds | command |", "| --- | --- | --- | --- | --- |"]
    for row in rows:
        value = (
            f"{row.value:,.0f}" if float(row.value).is_integer() and row.unit.startswith("of") else f"{row.value:.2f}"
        )
        holds = {True: "yes", False: "no", None: ""}[row.holds]
        lines.append(f"| {row.name} | {value} {row.unit} | {row.must} | {holds} | `{row.command}` |")
    return "\n".join(lines) + "\n"


def main() -> None:
    data, out, keep = Path(sys.argv[1]).resolve(), Path(sys.argv[2]).resolve(), "--keep" in sys.argv
    out.mkdir(parents=True, exist_ok=True)
    rows: list[Row] = []
    parts: list[Callable[[], list[Row]]] = [
        lambda: mnist_rows(data, out, keep),
        lambda: learning_rows(data, out, keep),
        lambda: demo_rows(out),
    ]
    for part in parts:  # what was found is written after each, also when a later one fails
        rows += part()
        (out / "measured.md").write_text(markdown(rows, machine()))
        fields = {"machine": machine(), "rows": [asdict(row) for row in rows]}
        (out / "measured.json").write_text(json.dumps(fields, indent=1) + "\n")
    print(markdown(rows, machine()))


if __name__ == "__main__":
    main()
