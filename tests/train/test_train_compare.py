"""`edgewise compare`: pictures are paired where they are the same, and the page shows on which the runs differ."""

import json
import math
import shutil
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from page_reader import Tree

from edge.contract.errors import FormatError, InputError, UsageError
from edgewise import main
from train.compare.comparison import compare_runs, summary
from train.compare.page import render
from train.compare.paired import compare_paired
from train.compare.verb import compare
from train.data import load_data
from train.loop import train
from train.recipe import load_recipe

RECIPE = replace(load_recipe("small"), epochs=2, min_steps=0, batch=8, amp=False)


def write_shapes(folder: Path, seed: int = 0) -> Path:
    """Discs and squares, 30 each, noisy enough that not all are read right."""
    random = np.random.default_rng(seed)
    for label in ("disc", "<square>"):
        (folder / label).mkdir(parents=True)
        for i in range(30):
            picture = random.integers(0, 120, (40, 40), dtype=np.uint8)
            at = tuple(random.integers(14, 26, 2).tolist())
            if label == "disc":
                cv2.circle(picture, at, 9, 160, -1)
            else:
                cv2.rectangle(picture, (at[0] - 8, at[1] - 8), (at[0] + 8, at[1] + 8), 160, -1)
            cv2.imwrite(str(folder / label / f"{i:02}.png"), picture)
    return folder


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`first`, `longer` with more epochs, `larger` at another size, and `reseeded`, which another seed has split."""
    folder = tmp_path_factory.mktemp("runs")
    shapes = str(write_shapes(folder / "shapes"))
    larger = replace(RECIPE, height=48, width=48)
    for name, recipe in (
        ("first", RECIPE),
        ("longer", replace(RECIPE, epochs=3)),
        ("larger", larger),
        ("reseeded", replace(RECIPE, seed=1)),
    ):
        train(load_data(shapes, recipe.seed, (recipe.height, recipe.width)), recipe, folder / name)
    return folder


def test_runs_on_the_same_pictures_are_paired_also_at_other_sizes(runs: Path) -> None:
    found = compare_runs([runs / name for name in ("first", "longer", "larger", "reseeded")])
    first, longer, larger, reseeded = found.entries
    assert first.paired is None and reseeded.paired is None
    for entry in (longer, larger):
        assert entry.paired is not None
        gained, lost, _ = entry.paired
        assert gained - lost == entry.right.hits - first.right.hits
    assert found.alike == (first, longer, larger)
    told = dict(found.settings)
    assert told["epochs"] == ("2", "3", "2", "2") and told["height"] == ("32", "32", "48", "32")
    assert told["seed"] == ("0", "0", "0", "1") and "batch" not in told
    lines = summary(found)
    assert "McNemar" in lines[1] and "of other test pictures" in lines[3] and lines[4].startswith("different: ")


def test_pictures_that_have_changed_since_are_no_longer_the_same_at_another_size(runs: Path, tmp_path: Path) -> None:
    shapes = tmp_path / "shapes"
    shutil.copytree(runs / "shapes", shapes)
    larger = replace(RECIPE, height=48, width=48)
    train(load_data(str(shapes), 0), RECIPE, tmp_path / "first")
    shutil.rmtree(shapes)
    write_shapes(shapes, seed=7)
    train(load_data(str(shapes), 0, (48, 48)), larger, tmp_path / "larger")
    found = compare_runs([tmp_path / "first", tmp_path / "larger"])
    assert found.entries[1].paired is None and found.pictures is None
    same = compare_runs([tmp_path / "first", runs / "longer"])
    assert same.entries[1].paired is not None  # the same bytes, from wherever they came
    assert "no longer where" in render(same) or not same.differing.size


def test_the_page_and_the_fields_say_where_they_differ(
    runs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    page = tmp_path / "c.html"
    with pytest.raises(SystemExit):
        main(["compare", str(runs / "first"), str(runs / "longer"), "--out", str(page), "--json"])
    fields = json.loads(capsys.readouterr().out)
    assert [run["pictures"] for run in fields["runs"]] == [12, 12] and fields["settings"]["epochs"] == ["2", "3"]
    answers = [entry.test.chosen for entry in compare_runs([runs / "first", runs / "longer"]).entries]
    assert sorted(fields["differing"]) == np.flatnonzero(answers[0] != answers[1]).tolist()
    tree = Tree()
    tree.feed(page.read_text())
    assert tree.open == [] and "&lt;square&gt;" in page.read_text() and "<square>" not in page.read_text()
    assert sum(tag == "img" for tag, _ in tree.seen) == len(fields["differing"])
    assert not [tag for tag, _ in tree.seen if tag in ("script", "link")]
    shown = [attributes["alt"] for tag, attributes in tree.seen if tag == "img"]
    assert all((runs / "shapes" / str(name)).exists() for name in shown)  # a file to look for


def test_a_run_beside_itself_differs_nowhere(runs: Path) -> None:
    found = compare_runs([runs / "first", runs / "first"])
    assert found.entries[1].paired == (0, 0, 1.0) and not found.settings and not found.differing.size
    assert "they give the same answers" in render(found)


def test_one_run_an_unfinished_one_or_a_page_in_no_folder_is_refused(runs: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="one run"):
        compare([runs / "first"], lambda *_: None)
    with pytest.raises(InputError, match="No such file"):
        compare([runs / "first", runs / "longer"], lambda *_: None, tmp_path / "nowhere" / "c.html")
    shutil.copytree(runs / "first", tmp_path / "run")
    (tmp_path / "run/answers.safetensors").unlink()
    with pytest.raises(FormatError, match=r"answers\.safetensors is missing"):
        compare_runs([runs / "first", tmp_path / "run"])
    (tmp_path / "run/model.safetensors").unlink()
    with pytest.raises(FormatError, match="unfinished"):
        compare_runs([runs / "first", tmp_path / "run"])


@given(st.integers(0, 12), st.integers(0, 12), st.integers(0, 5))
@settings(max_examples=40, deadline=None)
def test_the_p_is_the_share_of_fair_coins_that_are_as_uneven(gained: int, lost: int, both: int) -> None:
    first = np.array([False] * gained + [True] * (lost + both), bool)
    second = np.array([True] * gained + [False] * lost + [True] * both, bool)
    found = compare_paired(first, second)
    count = gained + lost
    as_uneven = [k for k in range(count + 1) if abs(2 * k - count) >= abs(gained - lost)]
    assert (found.gained, found.lost) == (gained, lost)
    assert found.p == pytest.approx(sum(math.comb(count, k) for k in as_uneven) / 2**count)
