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
from quantize.charts import WIDTH, Bar, bar_chart
from quantize.integers import Float32, IntegerConv, Integers
from train.page import note, page, pictures, section, table, verdict

PAGE = "report.html"
_MOST_PICTURES = 24
_MOST_CLASSES, _MOST_PAIRS = 30, 20
_CODE_BINS = 32
_HALF = WIDTH // 2  # of a chart that stands beside another
_FORM_USES = {
    "fp32": "the trained network",
    "qat": "its integers, in float arithmetic",
    "u8": "CPUs: what a Nano's A57 runs",
    "s8": "TensorRT with INT8",
    "s8_identity": "TensorRT with INT8, one rounding less at each sum",
    "float": "TensorRT in FP16",
}
_SHOWN = ("accuracy", "agreement", "agreement_with_fp32", "exact", "layers", "scales", "files", "ready", "test_count")


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
        section("Scales and weights", _scales(report, integers)),
    ]
    if targets is not None:
        sections.append(section("What is taken for what", _confusion(labels, targets, logits["u8"].argmax(1))))
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
            bar_chart(scales, f"Scales of {len(exponents)} tensors by power of two", "tensors", width=_HALF),
        ),
        ("Weight codes", bar_chart(weights, f"Codes of {codes.sum()} integer weights", "weights", width=_HALF)),
    )
    figures = "".join(f"<figure>{chart}<figcaption>{name}</figcaption></figure>" for name, chart in parts)
    return f'<div class="pair">{figures}</div>'


def _confusion(labels: Sequence[str], targets: NDArray[np.int64], answers: NDArray[np.int64]) -> str:
    counts = np.zeros((len(labels), len(labels)), np.int64)
    np.add.at(counts, (targets, answers), 1)
    if len(labels) > _MOST_CLASSES:
        return _confused_pairs(labels, counts)
    heads = "".join(f'<th scope="col">{escape(label)}</th>' for label in labels)
    rows = []
    for i, label in enumerate(labels):
        total = max(1, int(counts[i].sum()))
        cells = "".join(_confusion_cell(int(n), int(n) / total, i == j) for j, n in enumerate(counts[i]))
        rows.append(f'<tr><th scope="row">{escape(label)}</th>{cells}</tr>')
    caption = "Rows: what it is. Columns: what the CPU file says. Test pictures."
    head = f'<tr><th scope="col">is</th>{heads}</tr>'
    body = f"<caption>{caption}</caption><thead>{head}</thead><tbody>{''.join(rows)}</tbody>"
    return f'<div class="wide"><table class="confusion">{body}</table></div>'


def _confusion_cell(count: int, share: float, right: bool) -> str:
    kind = ' class="right"' if right else ""
    return f'<td{kind} style="background: rgba(var(--shade), {0.6 * share:.2f})">{count or ""}</td>'


def _confused_pairs(labels: Sequence[str], counts: NDArray[np.int64]) -> str:
    wrong = counts - np.diag(np.diag(counts))
    order = np.argsort(-wrong, axis=None, kind="stable")[:_MOST_PAIRS]
    pairs = [(int(i), int(j)) for i, j in zip(*np.unravel_index(order, wrong.shape), strict=True)]
    rows = [
        [("", labels[i]), ("", labels[j]), ("number", str(wrong[i, j])), ("number", str(counts[i].sum()))]
        for i, j in pairs
        if wrong[i, j]
    ]
    if not rows:
        return note("Every test picture is read right.")
    return table(["is", "taken for", "pictures", "of"], rows, f"The {len(rows)} most confused pairs.")


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
    return "".join(parts) + _value(rest)


def _value(value: Any) -> str:
    """Plain text, or a table of what a mapping holds or of rows that are mappings of the same keys."""
    if isinstance(value, Mapping):
        rows = "".join(f'<tr><th scope="row">{escape(str(k))}</th><td>{_value(v)}</td></tr>' for k, v in value.items())
        return f"<table><tbody>{rows}</tbody></table>" if value else "none"
    if isinstance(value, list) and value and all(isinstance(row, Mapping) for row in value):
        heads = list(dict.fromkeys(key for row in value for key in row))
        cells = [[("", "" if key not in row else _text(row[key])) for key in heads] for row in value]
        return table(heads, cells, "")
    return escape(_text(value))


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def _files(report: Mapping[str, Any]) -> str:
    rows = [[("", name), ("file", digest)] for name, digest in report.get("files", {}).items() if name != PAGE]
    return table(["file", "sha256"], rows, "`edgewise verify` makes every figure of this page again from these.")
