"""report.html: one whole file in which everything is said, escaped, and readable without seeing it."""

import functools
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from networks import quantized, random_net, smooth_pixels
from page_reader import Tree

from quantize.html import render_report
from train.charts import Bar, bar_chart

LABELS = ("ant", "bee", "<cat>", 'dog & "co"')


@functools.cache
def _parts() -> tuple[Any, ...]:
    net = random_net(4, 3, 2)
    _, integers, _ = quantized(net, 3, 4)
    pixels = smooth_pixels(40, 16, 3, 5)
    random = np.random.default_rng(6)
    fp32 = random.normal(size=(40, 4)).astype(np.float32)
    u8 = fp32.copy()
    u8[3] = fp32[3][::-1]
    percent = {"percent": 97.5, "low": 87.1, "high": 99.6}
    names = ("fp32", "qat", "u8", "s8", "s8_identity", "float")
    report = {
        "test_count": 40,
        "accuracy": {name: 90.0 + i for i, name in enumerate(names)},
        "agreement": dict.fromkeys(names[2:], percent),
        "agreement_with_fp32": dict.fromkeys(names[1:], percent),
        "exact": {"u8": True, "u8_pictures": 40, "s8_equals_u8_unoptimized": True},
        "integer_layers": {"planned": {"QLinearConv": 3, "QLinearAdd": 1}, "fused": 4, "left_in_float": []},
        "layers": [
            {"name": layer.name, "kind": "Conv", "sqnr_db": 30.0 + i} for i, layer in enumerate(integers.layers)
        ],
        "scales": {name: float(scale) for name, scale in integers.scales.items()},
        "method": {"name": "qat", "history": [{"step": 1, "loss": 0.5}, {"step": 2, "loss": 0.25}]},
        "command": "edgewise quantize <RUN>",
        "peak_memory_bytes": 123456,
        "made_with": {"torch": "2.13"},
        "files": {"model.u8.onnx": "ab" * 32, "report.html": "cd" * 32},
    }
    return report, LABELS, np.arange(40) % 4, {"fp32": fp32, "u8": u8}, pixels, integers


def _render(**changes: Any) -> str:
    report, *rest = _parts()
    return render_report({**report, **changes}, *rest)


def test_the_page_is_whole_and_says_what_the_report_says() -> None:
    page = _render()
    tree = Tree()
    tree.feed(page)
    assert tree.open == []
    assert "http" not in page and "<script" not in page
    for text in ("bit for bit on 40 of 40", "92.00 %", "+2.00 points", "97.50 % (87.10 to 99.60)", "ab" * 32, "123456"):
        assert text in page
    assert "cd" * 32 not in page  # its own hash cannot be on it
    assert "edgewise quantize &lt;RUN&gt;" in page and "0.25" in page


def test_everything_is_readable_without_seeing_it() -> None:
    tree = Tree()
    tree.feed(_render())
    assert all(attributes.get("alt") for tag, attributes in tree.seen if tag == "img")
    assert all(attributes.get("aria-label") for tag, attributes in tree.seen if tag == "svg")
    assert all(attributes.get("scope") for tag, attributes in tree.seen if tag == "th")


def test_labels_and_names_are_escaped() -> None:
    page = _render(layers=[{"name": "<script>", "kind": "Conv", "sqnr_db": 3.0}], made_with={"<b>": "<i>"})
    for raw in ("<cat>", "<script>", "<b>", "<i>"):
        assert raw not in page
    assert "&lt;cat&gt;" in page


def test_the_same_report_gives_the_same_bytes() -> None:
    assert _render() == _render()


def test_pictures_on_which_the_two_disagree_are_shown_with_both_answers() -> None:
    report, labels, targets, logits, pixels, integers = _parts()
    page = render_report(report, labels, targets, logits, pixels, integers)
    assert page.count("data:image/bmp;base64,") == 1 and "test picture 3" in page
    same = render_report(report, labels, targets, logits | {"u8": logits["fp32"]}, pixels, integers)
    assert "Nowhere" in same and "<img" not in same
    flipped = render_report(report, labels, targets, logits | {"u8": -logits["fp32"]}, pixels, integers)
    assert flipped.count("<img") == 24


@pytest.mark.parametrize("shape", [(100, 70, 3), (8, 8, 1), (7, 5, 3)])
def test_thumbnails_hold_the_pictures_of_any_size(tmp_path: Path, shape: tuple[int, int, int]) -> None:
    import base64

    import cv2

    report, labels, targets, logits, _, integers = _parts()
    pixels = np.random.default_rng(0).integers(0, 256, (40, *shape), np.uint8)
    page = render_report(report, labels, targets, logits, pixels, integers)
    (content,) = re.findall(r"base64,([^\"]+)", page)
    found = cv2.imdecode(np.frombuffer(base64.b64decode(content), np.uint8), cv2.IMREAD_COLOR)
    assert max(found.shape) <= 64
    if max(shape) <= 64:
        assert np.array_equal(found, np.broadcast_to(pixels[3], (*shape[:2], 3)))


def test_pictures_without_labels_have_agreement_alone() -> None:
    report, labels, _, logits, pixels, integers = _parts()
    page = render_report(report | {"accuracy": {}}, labels, None, logits, pixels, integers)
    assert "no labels" in page and "taken for what" not in page and "not labelled" in page


def test_many_classes_are_shown_by_their_most_confused_pairs() -> None:
    report, _, _, _, pixels, integers = _parts()
    labels = [f"class {i}" for i in range(50)]
    logits = np.eye(50, dtype=np.float32)[np.arange(40)]
    both = {"fp32": logits, "u8": np.roll(logits, 1, axis=1)}
    page = render_report(report, labels, np.arange(40), both, pixels, integers)
    assert "The 20 most confused pairs" in page and 'class="confusion"' not in page
    right = render_report(report, labels, np.arange(40), {"fp32": logits, "u8": logits}, pixels, integers)
    assert "Every test picture is read right" in right


def test_what_does_not_hold_is_the_verdict() -> None:
    bad = _render(exact={"u8": False, "u8_pictures": 39, "s8_equals_u8_unoptimized": True})
    assert 'class="verdict bad"' in bad and "39 of 40" in bad


def test_a_chart_takes_bars_below_zero_and_none_above() -> None:
    chart = bar_chart([Bar("a", -3.0, "a"), Bar("b", 0.0, "b")], "title", "dB", marked="a")
    assert chart.count("<rect") == 2 and 'class="worst"' in chart
