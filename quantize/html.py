"""report.html: the certificate as a page that a person reads, whole in one file, without a script.

The same report and answers give the same bytes, so that `edgewise verify` can make the page again.
"""

import json
from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge.contract.spec import FORMS
from quantize.integers import Float32, IntegerConv, Integers
from train.charts import HALF, Bar, bar_chart
from train.confusion import confusion
from train.page import figures, note, page, pictures, section, table, value, verdict

PAGE = "report.html"
_MOST_PICTURES = 24
_CODE_BINS = 32
_FORM_USES = {
    "fp32": "the trained network",
    "qat": "its integers, in float arithmetic",
    "u8": "CPUs: what a Nano's A57 runs",
    "s8": "TensorRT with INT8",
    "s8_identity": "TensorRT with INT8, one rounding less at each sum",
    "float": "TensorRT in FP16",
}
_SHOWN = (
    "accuracy",
    "agreement",
    "agreement_with_fp32",
    "exact",
    "layers",
    "scales",
    "sensitivity",
    "files",
    "ready",
    "test_count",
)


def render_report(
    report: Mapping[str, Any],
    labels: Sequence[str],
    targets: NDArray[np.int64] | None,
    logits: Mapping[str, Float32],
    pixels: NDArray[np.uint8],
    integers: Integers,
) -> str:
    """The page for report.json's content `report`, whose other keys are listed as they are.

    logits: (N, classes) by name, fp32 and u8 among them; targets: (N,) or None without labels; pixels: (N, H, W, C)
    uint8. The hash of report.html itself, which `report["files"]` has once the page is written, is not on it.
    """
    report = json.loads(json.dumps(report))  # as whoever reads the file has it: the same page again
    sections = [
        _verdict(report),
        section("Accuracy", _accuracy(report)),
        section("Error of each layer", _layer_errors(report)),
        *([section("Sensitivity", _sensitivity(report["sensitivity"]))] if "sensitivity" in report else []),
        section("Scales and weights", _scales(report, integers)),
    ]
    if targets is not None:
        sections.append(
            section("What is taken for what", confusion(labels, targets, logits["u8"].argmax(1), "the CPU file says"))
        )
    sections.append(section("Where FP32 and INT8 disagree", _disagreements(labels, targets, logits, pixels)))
    sections.append(section("How it was made", _made(report)))
    sections.append(section("Files", _files(report)))
    title = "INT8 certificate" + (f" of {report['network']}" if "network" in report else "")
    return page(title, sections)


def _verdict(report: Mapping[str, Any]) -> str:
    count, same = report["test_count"], report["exact"]["u8_pictures"]
    exact = f"The CPU file computes the trained integers bit for bit on {same} of {count} test pictures"
    accuracy = report["accuracy"]
    if accuracy:
        change = accuracy["u8"] - accuracy["fp32"]
        exact += f" and reads {accuracy['u8']:.2f} % of them right: {change:+.2f} points from FP32"
    layers = report["integer_layers"]
    left = layers["left_in_float"]
    fused = f"{layers['fused']} of {sum(layers['planned'].values())} planned layers run in integers"
    good = report["exact"]["u8"] and not left
    return verdict(f"{exact}. {fused}.", good)


def _accuracy(report: Mapping[str, Any]) -> str:
    names = [name for name in ("fp32", "qat", *FORMS) if name in report["accuracy"] or name in report["agreement"]]
    rows = []
    for name in names:
        reads = report["accuracy"].get(name)
        agreements = [report[key].get(name) for key in ("agreement", "agreement_with_fp32") if key in report]
        cells = [("", name), ("", _FORM_USES[name]), ("number", f"{reads:.2f} %" if reads is not None else "no labels")]
        rows.append(cells + [("number", _interval(found)) for found in agreements])
    heads = ["form", "for", "accuracy", "agrees with QAT", "agrees with FP32"]
    caption = f"{report['test_count']} test pictures. Agreement: the same first answer, with Wilson's 95 % interval."
    return table(heads[: len(rows[0])] if rows else heads, rows, caption)


def _interval(found: Mapping[str, float] | None) -> str:
    return f"{found['percent']:.2f} % ({found['low']:.2f} to {found['high']:.2f})" if found else ""


def _layer_errors(report: Mapping[str, Any]) -> str:
    layers = report.get("layers", [])
    if not layers:
        return note("No layer was measured against the FP32 network.")
    worst = min(layers, key=lambda layer: layer["sqnr_db"])
    bars = [
        Bar(layer["name"], layer["sqnr_db"], f"{layer['name']} ({layer['kind']}): {layer['sqnr_db']:.2f} dB")
        for layer in layers
    ]
    summary = f"Signal to quantization noise of {len(layers)} layers; the worst is {worst['name']}"
    text = f"{summary} with {worst['sqnr_db']:.2f} dB. More is better; 6 dB are one bit."
    rows = [
        [("", layer["name"]), ("", layer["kind"]), ("number", f"{layer['sqnr_db']:.2f}")]
        for layer in sorted(layers, key=lambda layer: float(layer["sqnr_db"]))
    ]
    all_layers = table(["layer", "kind", "dB"], rows, "Worst first.")
    chart = bar_chart(bars, summary, "dB", marked=worst["name"])
    return f"{note(text)}{chart}<details><summary>All layers as a table</summary>{all_layers}</details>"


def _sensitivity(found: Mapping[str, Any]) -> str:
    """By how much each layer in float brings the others, in integers, nearer to FP32."""
    gains = {layer["name"]: found["divergence"] - layer["divergence"] for layer in found["layers"]}
    worst = max(gains, key=lambda name: gains[name])
    bars = [Bar(name, 1000 * gain, f"{name}: {1000 * gain:.3f} thousandths of a nat") for name, gain in gains.items()]
    summary = f"What the rounding of each of {len(gains)} layers costs; {worst} costs most"
    text = (
        f"With every layer in integers, answers on {found['pictures']} val pictures diverge from FP32's by "
        f"{found['divergence']:.5f} nats, and {found['agreement']:.2f} % of them agree. A bar is by how much that "
        "falls with one layer left in float."
    )
    rows = [
        [("", layer["name"]), ("number", f"{layer['divergence']:.5f}"), ("number", f"{layer['agreement']:.2f} %")]
        for layer in sorted(found["layers"], key=lambda layer: float(layer["divergence"]))
    ]
    all_layers = table(["layer in float", "divergence", "agrees with FP32"], rows, "What costs most first.")
    chart = bar_chart(bars, summary, "nats / 1000", marked=worst)
    return f"{note(text)}{chart}<details><summary>All layers as a table</summary>{all_layers}</details>"


def _scales(report: Mapping[str, Any], integers: Integers) -> str:
    exponents = np.log2(np.array(list(report["scales"].values()), np.float64))
    counts = np.bincount((np.floor(exponents) - np.floor(exponents.min())).astype(int))
    first = int(np.floor(exponents.min()))
    scales = [
        Bar(f"2^{first + i}", int(n), f"2^{first + i} to 2^{first + i + 1}: {n} tensors") for i, n in enumerate(counts)
    ]
    codes = np.zeros(256, np.int64)
    for layer in integers.layers:
        if isinstance(layer, IntegerConv):
            codes += np.bincount(layer.weight.ravel().astype(np.int64) + 128, minlength=256)
    step = 256 // _CODE_BINS
    weights = [
        Bar(str(i * step - 128), int(n), f"codes {i * step - 128} to {i * step - 129 + step}: {n} weights")
        for i, n in enumerate(codes.reshape(_CODE_BINS, step).sum(1))
    ]
    parts = (
        (
            "Activation scales",
            bar_chart(scales, f"Scales of {len(exponents)} tensors by power of two", "tensors", width=HALF),
        ),
        ("Weight codes", bar_chart(weights, f"Codes of {codes.sum()} integer weights", "weights", width=HALF)),
    )
    return figures(parts)


def _disagreements(
    labels: Sequence[str],
    targets: NDArray[np.int64] | None,
    logits: Mapping[str, Float32],
    pixels: NDArray[np.uint8],
) -> str:
    first, second = logits["fp32"], logits["u8"]
    different = np.flatnonzero(first.argmax(1) != second.argmax(1))
    if not different.size:
        return note(f"Nowhere: both give the same answer on all {len(pixels)} test pictures.")
    margins = _margins(first)
    shown = different[np.argsort(-margins[different], kind="stable")][:_MOST_PICTURES]
    items = []
    for i in shown:
        answers = f"FP32 {labels[first[i].argmax()]}, INT8 {labels[second[i].argmax()]}"
        truth = f"is {labels[targets[i]]}" if targets is not None else "not labelled"
        text = f"FP32's margin {margins[i]:.2f}, INT8's {_margins(second[i : i + 1])[0]:.2f}"
        items.append((pixels[i], f"test picture {i}", (answers, truth, text)))
    told = (
        f"{len(different)} of {len(pixels)} test pictures; {len(shown)} are shown, those where FP32 was surest first. "
        "A margin is the distance of the two highest logits."
    )
    return note(told) + pictures(items)


def _margins(logits: Float32) -> Float32:
    """(N,) from logits (N, classes)."""
    best: Float32 = np.sort(logits, axis=1)[:, -2:]
    return best[:, 1] - best[:, 0]


def _made(report: Mapping[str, Any]) -> str:
    """Method, history, versions, memory, command: whatever else the report says, under its own name."""
    rest = {name: value for name, value in report.items() if name not in _SHOWN}
    command = rest.pop("command", None)
    parts = [f"<pre>{escape(str(command))}</pre>"] if command else []
    return "".join(parts) + value(rest)


def _files(report: Mapping[str, Any]) -> str:
    rows = [[("", name), ("file", digest)] for name, digest in report.get("files", {}).items() if name != PAGE]
    return table(["file", "sha256"], rows, "`edgewise verify` makes every figure of this page again from these.")
