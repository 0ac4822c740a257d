"""The network as onnxruntime has optimized it on this board: made once, proved, and answering the same bits."""

import os
import shutil

import numpy as np
import onnxruntime
import pytest
from release_maker import new_board
from tiny_board import FILES, on_board, tiny_release

from edge.contract.errors import GateError
from edge.engine import Engine
from edge.install import install
from edge.optimized import open_certified, optimized_path, prove_certified
from edge.release import open_release


@pytest.fixture
def board(tmp_path):
    """With a release whose golden vectors hold, and nothing made of it."""
    board = new_board(str(tmp_path / "board"))
    with open(os.path.join(FILES, "tiny.golden.npz"), "rb") as file:
        archive = tiny_release(str(tmp_path / "one.edge"), 1, {"golden.npz": file.read()})
    install(board, archive, lambda release: None)
    return board


@pytest.fixture
def release(board):
    return open_release(os.path.realpath(board.path("current")))


def test_it_is_made_when_the_golden_vectors_are_run_and_then_opened_instead_of_the_model(release):
    assert not os.path.exists(optimized_path(release))
    assert prove_certified(release).identical == 5
    made = os.stat(optimized_path(release))
    os.unlink(release.file("model.u8.onnx"))
    assert prove_certified(release).identical == 5
    assert os.stat(optimized_path(release)).st_mtime_ns == made.st_mtime_ns
    assert [name for name in os.listdir(release.path) if name.startswith(".")] == []


def test_it_answers_the_same_bits_as_the_model(release):
    prove_certified(release)
    pixels = np.random.RandomState(0).randint(0, 256, (200, 8, 8, 1)).astype(np.uint8)
    for ours, models in zip(open_certified(release).run(pixels), Engine(release.file("model.u8.onnx")).run(pixels)):
        assert ours.tobytes() == models.tobytes()


def test_the_verb_of_a_trial_makes_it(board, release):
    code, _ = on_board(board.root, "golden", release.path)
    assert code == 0 and os.path.exists(optimized_path(release))


def test_one_that_fails_the_golden_vectors_is_removed_and_the_model_runs(release):
    shutil.copy(os.path.join(FILES, "tiny.float.onnx"), optimized_path(release))
    assert prove_certified(release).identical == 5
    assert not os.path.exists(optimized_path(release))


def test_where_the_model_fails_them_too_that_is_said(release):
    shutil.copy(os.path.join(FILES, "tiny.float.onnx"), release.file("other.onnx"))
    os.replace(release.file("other.onnx"), release.file("model.u8.onnx"))
    with pytest.raises(GateError):
        prove_certified(release)


def test_of_one_that_was_cut_short_nothing_is_taken(release):
    prove_certified(release)
    with open(optimized_path(release), "rb") as file:
        half = file.read()[:500]
    os.unlink(optimized_path(release))
    with open(optimized_path(release), "wb") as file:
        file.write(half)
    assert prove_certified(release).identical == 5


def test_another_onnxruntime_does_not_take_it(release, monkeypatch):
    prove_certified(release)
    made = optimized_path(release)
    monkeypatch.setattr(onnxruntime, "__version__", "0.0")
    assert optimized_path(release) != made
    assert not os.path.exists(optimized_path(release))
