"""`edgewise bench learning` on made-up features: every learner learns, and the rows say what was measured."""

from pathlib import Path

import numpy as np
import pytest

from bench.contest import Outcome, calibration, ours, peer, teach
from bench.features import Features, load_features
from bench.learners import PEERS
from bench.learning import Drawn, contest_rows, measure_draw, trust_rows, unknown_rows
from bench.tasks import Task, draw, make_task
from bench.unknowns import OURS, SOFTMAX, auroc
from edge.contract.errors import InputError

LABELS = ("ant", "bee", "cat", "dog")


@pytest.fixture(scope="module")
def task() -> Task:
    """Four clouds in twelve dimensions, like features after a rectifier; the dog is new."""
    random = np.random.default_rng(0)
    centres = random.uniform(0, 4, (4, 12))
    columns = np.repeat(np.arange(4), 60)
    x = np.maximum(centres[columns] + 0.5 * random.standard_normal((240, 12)), 0).astype(np.float32)
    part = np.tile(np.array(["train", "train", "train", "val", "test", "test"]), 40)
    return make_task("clouds", Features(x, np.array(LABELS)[columns], part), list(LABELS[:3]), ["dog"], 0)


def test_no_picture_is_in_two_parts_of_a_task(task: Task) -> None:
    parts = [task.train, task.choose, task.test, task.pool]
    rows = [bytes(row) for part in parts for row in part.x]
    assert len(set(rows)) == len(rows)
    assert task.labels == LABELS and task.known == 3
    assert {bytes(row) for row in task.sample.x} <= {bytes(row) for row in task.train.x}


def test_a_larger_draw_of_the_same_seed_holds_the_smaller_one(task: Task) -> None:
    few, many = draw(task, 5, 3), draw(task, 10, 3)
    assert {bytes(row) for row in few.x} < {bytes(row) for row in many.x}
    assert set(many.targets.tolist()) == {3}


def test_ours_learns_the_new_class_keeps_the_old_ones_and_is_calibrated(task: Task) -> None:
    solved = teach(task, draw(task, 10, 1))
    outcome = ours(task, solved)
    assert outcome.old > 0.9 and outcome.new > 0.9 and outcome.cost <= 0.05
    error, of_right = calibration(task, solved)
    assert 0 <= error < 0.2
    assert 0 < of_right < 0.1


@pytest.mark.parametrize("name", PEERS)
def test_every_peer_learns_the_new_class(task: Task, name: str) -> None:
    outcome = peer(task, PEERS[name](task), draw(task, 10, 1))
    assert outcome.old > 0.8 and outcome.new > 0.8


def test_auroc_is_the_chance_that_an_unknown_one_scores_higher() -> None:
    assert auroc(np.array([0.0, 1.0]), np.array([2.0, 3.0])) == 1.0
    assert auroc(np.array([0.0, 2.0]), np.array([1.0, 3.0])) == 0.75
    assert auroc(np.array([1.0, 1.0]), np.array([1.0])) == 0.5


def test_the_unknown_rows_hold_every_tried_score(task: Task) -> None:
    found, lead = unknown_rows([task], "cmd")
    assert SOFTMAX in found.peers and OURS not in found.peers and len(found.peers) > 10
    assert isinstance(found.value, float) and found.value > 0.9
    assert lead.value == pytest.approx(found.value - float(found.peers[SOFTMAX]))


def test_a_draw_has_the_outcome_of_every_learner(task: Task) -> None:
    drawn = measure_draw(task, {name: learner(task) for name, learner in PEERS.items()}, 5, 7)
    assert list(drawn.outcomes) == [OURS, *PEERS]
    assert all(0 <= share <= 1 for share in drawn.alarms)
    error, called = trust_rows("clouds, 5 shots", [drawn, drawn], "cmd")
    assert error.value == pytest.approx(drawn.calibration[0])
    assert called.value == pytest.approx(drawn.alarms[0])


def _drawn(mine: Outcome, cheap: Outcome, dear: Outcome) -> list[Drawn]:
    return [Drawn({OURS: mine, "cheap": cheap, "dear": dear}, (0.0, 0.0), (0.0, 0.0))] * 3


def test_the_first_comparison_leaves_out_peers_that_cost_too_much() -> None:
    drawn = _drawn(Outcome(0.88, 0.60, 0.90), Outcome(0.88, 0.50, 0.90), Outcome(0.80, 0.70, 0.90))
    limited, free, sides = contest_rows("trashnet 5+1, 5 shots", drawn, "cmd")
    assert "over cheap" in limited.unit and limited.must == ">= 5" and limited.holds is True
    assert "over dear" in free.unit and free.holds is False
    assert limited.peers == {"cheap": "63.8 (costs 2.0)", "dear": "74.7 (costs 10.0)"}
    assert sides.value == "88.0 and 60.0" and sides.peers == {"cheap": "88.0 and 50.0", "dear": "80.0 and 70.0"}


def test_ours_fails_the_first_comparison_when_it_costs_too_much_itself() -> None:
    drawn = _drawn(Outcome(0.80, 0.90, 0.90), Outcome(0.88, 0.50, 0.90), Outcome(0.80, 0.70, 0.90))
    limited = contest_rows("animals, 5 shots", drawn, "cmd")[0]
    assert limited.holds is False and limited.value == "ours costs 10.0 points"


def test_a_run_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="missing"):
        load_features(tmp_path, tmp_path, lambda stage, step, steps: None)
