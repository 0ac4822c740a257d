"""A few of the kills and power cuts that `edgewise bench flash` makes, and that the bench would see harm."""

import os
import shutil
from pathlib import Path

import pytest
from run_maker import make_run, tiny_head

from bench.kills import kill_at_every_call
from bench.power_cuts import cut_power
from bench.survivor import Scene, make_scene, survived
from edge.contract.errors import GateError, InputError

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Scene:
    folder = tmp_path_factory.mktemp("scene")
    head = tiny_head(folder / "head.npz")
    return make_scene(make_run(folder / "one", head=head), make_run(folder / "two", head=head), folder)


def test_an_install_killed_at_a_durable_call_leaves_a_release_that_answers(scene: Scene, tmp_path: Path) -> None:
    try:
        report = kill_at_every_call(scene, tmp_path, every=29)
    except InputError as error:
        pytest.skip(str(error))
    assert report.bricks == ()
    assert sum(report.kills.values()) == sum(report.after.values()) >= 5


def test_a_power_cut_leaves_a_release_that_answers(scene: Scene, tmp_path: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("mounting an ext4 needs root")
    try:
        report = cut_power(scene, tmp_path, cuts=2, seed=0)
    except InputError as error:
        pytest.skip(str(error))
    assert report.bricks == () and sum(report.after.values()) == 2


def test_a_board_that_lost_something_is_seen(scene: Scene, tmp_path: Path) -> None:
    def harmed(name: str) -> Path:
        shutil.copytree(scene.board, tmp_path / name, symlinks=True)
        return tmp_path / name

    assert survived(scene, harmed("nothing")).startswith("scene-1-")
    forgotten, rotten, gone = harmed("forgotten"), harmed("rotten"), harmed("gone")
    (forgotten / "personal" / "learned.sqlite").unlink()
    labels = (rotten / "current").resolve() / "labels.txt"
    labels.chmod(0o644)
    labels.write_text("cat\ncow\n")
    shutil.rmtree(gone / "releases")
    for board in (forgotten, rotten, gone):
        with pytest.raises(GateError):
            survived(scene, board)
