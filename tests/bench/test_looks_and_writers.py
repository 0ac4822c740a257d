"""`edgewise bench learning`: what cameras are said to do to pictures, the looks' rows, and the protocol for writers."""

from pathlib import Path

import numpy as np
import pytest

from bench.corruptions import PAPERS, PHOTOS, corrupt_photos, write_on_paper
from bench.learning import QUICK, LearningBench
from bench.photo_looks import SETS, Fitted, _rows
from bench.writers import Digits, _halves, base_writers, lessons
from edge.backbone import Backbone
from edge.base import Rows, make_base
from edge.contract.errors import UsageError
from edge.contract.spec import ModelSpec

SIZE = 8


@pytest.mark.parametrize("name", PHOTOS)
def test_a_corruption_is_the_same_each_time_and_only_clean_ones_change_nothing(name: str) -> None:
    pixels = np.random.default_rng(0).integers(40, 200, (2, 6, 5, 3)).astype(np.uint8)
    shown = corrupt_photos(pixels, name, 1)
    assert shown.dtype == np.uint8 and shown.shape == pixels.shape
    assert (shown == corrupt_photos(pixels, name, 1)).all()
    assert (shown == pixels).all() == (name == "clean")


@pytest.mark.parametrize("name", PAPERS)
def test_on_every_paper_ink_is_darker_than_paper(name: str) -> None:
    digit = np.zeros((1, 28, 28), np.uint8)
    digit[0, 8:20, 12:16] = 255
    shown = write_on_paper(digit, name, 1)[0]
    assert shown[10:18, 13:15].mean() < shown[10:18, 2:4].mean() - 20


def test_the_rows_of_looks_have_the_mean_gain_and_the_worst_corruption() -> None:
    better, worse = [Fitted(0.8, 0.9)] * 2, [Fitted(0.9, 0.88)] * 2
    found = {(name, "dark"): {"unlabelled": better, "labelled": better} for name in SETS}
    found["animals", "dark"] = {"unlabelled": worse, "labelled": better}
    rows = {row.name.split(" pictures, ")[0] + row.name.split(" corruptions, ")[1]: row for row in _rows(found, "cmd")}
    mean, worst = rows["look from 20 unlabelledboth sets: mean gain"], rows["look from 20 unlabelledboth sets: worst"]
    assert mean.value == pytest.approx(4) and mean.holds is True
    assert worst.value == pytest.approx(-2) and worst.holds is False
    assert rows["look from 20 labelledboth sets: worst"].holds is True
    assert rows["look from 20 unlabelledtrashnet: mean gain"].peers == {"dark": "80.0 to 90.0 (2 of 2 changed)"}


def _digits(offsets: dict[int, float]) -> Digits:
    """100 digits of each writer: ten clouds, which a writer's offset moves towards the next one."""
    random = np.random.default_rng(0)
    centres = np.eye(10, SIZE) * 4 + np.eye(10, SIZE, -5) * 4 + 1
    writers, targets = np.repeat(list(offsets), 100), np.tile(np.arange(10), 10 * len(offsets))
    moved = np.array([offsets[writer] for writer in writers.tolist()])[:, np.newaxis]
    x = centres[targets] * (1 - moved) + centres[(targets + 1) % 10] * moved + 0.3 * random.random((len(targets), SIZE))
    return Digits(x.astype(np.float32), targets.astype(np.int64), writers.astype(np.int64))


def _backbone(digits: Digits) -> Backbone:
    means = np.array([digits.x[digits.targets == c].mean(axis=0) for c in range(10)])
    rows = Rows(digits.x, digits.targets)
    base = make_base(rows, rows, rows, means.T, -(means**2).sum(axis=1) / 2, 0)
    spec = ModelSpec("clouds", 1, 1, 1, SIZE, 10)
    return Backbone(tuple("0123456789"), spec, None, base, "key")  # type: ignore[arg-type]  # not run


def test_both_halves_of_a_writer_have_every_class_and_no_digit_twice() -> None:
    digits = _digits({3: 0.0, 5: 0.0})
    one, other = _halves(digits, 5, np.random.default_rng(0))
    assert not set(one) & set(other) and len(one) + len(other) == 100
    assert (digits.writers[np.concatenate([one, other])] == 5).all()
    assert set(digits.targets[one]) == set(digits.targets[other]) == set(range(10))


def test_a_writer_who_is_read_badly_is_read_better_after_half_of_the_digits() -> None:
    digits = _digits(dict.fromkeys(range(4), 0.0) | {4: 0.55})
    found = lessons(_backbone(_digits({0: 0.0, 1: 0.0})), digits, range(1))
    worst = max(found, key=lambda lesson: lesson.before)
    assert len(found) == 5 and worst.before > 20
    assert worst.after < min(worst.before, worst.placebo)


def test_the_writers_of_the_small_base_are_forty_that_wrote_enough() -> None:
    writers = np.repeat(np.arange(60), np.where(np.arange(60) % 6 == 0, 79, 80))
    found = base_writers(writers)
    assert len(found) == 40 and len(set(found.tolist())) == 40 and (found % 6 != 0).all()
    assert (found == base_writers(writers)).all()


def test_a_group_of_rows_that_does_not_exist_is_refused_with_those_that_do(tmp_path: Path) -> None:
    bench = LearningBench(tmp_path, tmp_path, tmp_path, QUICK, "cmd", lambda stage, step, steps: None)
    with pytest.raises(UsageError, match="photo-looks"):
        bench.measure("colours")
