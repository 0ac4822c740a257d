"""The bench's table: as JSON, as Markdown, and written whole after each row."""

import json
from pathlib import Path

import numpy as np
import pytest

from bench.accuracy import score, seed_rows
from bench.peer import PTQ_PEERS, Failure
from bench.rows import Row, all_of, as_fields, at_least, at_most, markdown, write
from bench.scores import FP32, OURS

MACHINE = {"cpu": "one", "cores": "2"}
FAILURE = Failure("python bench/peers/nncf_ptq.py float.onnx", "ModuleNotFoundError: No module named 'nncf'")


def test_a_row_that_falls_short_is_in_the_table_like_any_other() -> None:
    short = Row("lead", -0.25, "points", "> 0", False, "edgewise bench int8", {"a|b": 1.23456, "c": str(FAILURE)})
    text = markdown(
        MACHINE, [short, Row("old", "not run: no Python 3.6", "points", "<= 0", None, "edgewise bench int8")]
    )
    assert text.splitlines()[0] == "cpu one, cores 2"
    assert "| lead | -0.25 points | > 0 | **no** | a\\|b 1.235; c failed: `python bench/peers/nncf_ptq.py" in text
    assert "No module named 'nncf'" in text
    assert "| old | not run: no Python 3.6 | <= 0 |  |  |" in text
    assert text.count("    edgewise bench int8") == 1


def test_the_json_has_the_fields_that_the_design_names() -> None:
    fields = as_fields(MACHINE, [Row("n", 1.0, "u", "m", True, "c", {"p": 2.0})])
    row = {"name": "n", "value": 1.0, "unit": "u", "must": "m", "holds": True, "command": "c", "peers": {"p": 2.0}}
    assert fields == {"machine": MACHINE, "rows": [row]}


def test_what_is_written_is_whole_after_every_row(tmp_path: Path) -> None:
    rows = []
    for name in "ab":
        rows.append(Row(name, 1.0, "", "", None, ""))
        write(tmp_path / "out", "int8", MACHINE, rows)
        found = json.loads((tmp_path / "out" / "int8.json").read_text())
        assert [row["name"] for row in found["rows"]] == [row.name for row in rows]
        assert f"| {name} |" in (tmp_path / "out" / "int8.md").read_text()


def test_bounds_hold_at_the_bound() -> None:
    assert at_least(-0.3, -0.3) == (">= -0.3", True)
    assert at_most(0.5, 0.51) == ("<= 0.5", False)
    assert all_of(49, 48) == ("all 49", False)


def test_points_are_means_over_seeds_and_the_lead_is_over_the_best_ptq_peer() -> None:
    targets = np.arange(10)
    wrong = {count: np.where(np.arange(10) < count, (targets + 1) % 10, targets) for count in range(5)}
    s8s8, u8s8, nncf, modelopt = (peer.name for peer in PTQ_PEERS)
    first = {FP32: wrong[1], OURS: wrong[1], s8s8: wrong[3], u8s8: wrong[2], nncf: FAILURE, modelopt: wrong[4]}
    second = {FP32: wrong[2], OURS: wrong[1], s8s8: wrong[2], u8s8: wrong[4], nncf: FAILURE, modelopt: wrong[4]}
    points, equal, lead = seed_rows("photos", [score(first, targets), score(second, targets)], "command")
    assert points.value == pytest.approx(5)
    assert points.holds
    assert points.peers[s8s8] == pytest.approx(-10)
    assert points.peers[nncf] == str(FAILURE)
    assert (equal.value, equal.peers[s8s8]) == (pytest.approx(95), pytest.approx(90))
    assert (lead.value, lead.holds) == (pytest.approx(15), True)
    assert list(lead.peers) == [s8s8]


def test_without_a_peer_that_worked_there_is_no_lead_to_hold() -> None:
    targets = np.arange(4)
    found = {FP32: targets, OURS: targets, **{peer.name: FAILURE for peer in PTQ_PEERS}}
    *_, lead = seed_rows("photos", [score(found, targets)], "command")
    assert (lead.value, lead.holds) == ("no PTQ peer worked", None)
