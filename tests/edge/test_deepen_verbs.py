"""The deeper pass as a person handles it on a board: each verb in a process of its own, and killed at any moment."""

import os
import random
import signal
import subprocess
import time

import cv2
import pytest
from deep_world import EXAMPLES, FOLDER, KNOWN, SPEC, TAUGHT, draw, make_deep_base
from release_maker import new_board, small_files
from tiny_board import command, on_board, write_archive

from edge.base import base_bytes
from edge.contract.errors import BoardError
from edge.deep import FILES
from edge.install import install
from edge.moving import refuse_to_set_aside
from edge.store import open_store


def _release(path, counter, deep=True):
    files = small_files()
    files["labels.txt"] = ("\n".join(KNOWN) + "\n").encode("utf-8")
    files["head.npz"] = base_bytes(make_deep_base())
    for name in ("model.u8.onnx",) + (FILES if deep else ()):
        with open(os.path.join(FOLDER, name), "rb") as file:
            files[name] = file.read()
    return write_archive(path, files, counter, SPEC)


@pytest.fixture
def board(tmp_path):
    made = new_board(str(tmp_path / "board"))
    install(made, _release(str(tmp_path / "one.edge"), 1), lambda release: None)
    for label in TAUGHT:
        os.mkdir(str(tmp_path / label))
        for i, image in enumerate(draw(label, EXAMPLES, seed=11)):
            cv2.imwrite(str(tmp_path / label / "{}.png".format(i)), image[..., 0])
        assert on_board(made.root, "teach", "--label", label, tmp_path / label)[0] == 0
    return made


def _done(board, *arguments):
    code, answer = on_board(board.root, *arguments)
    assert code == 0, answer
    return answer


def _printed(board, *arguments):
    line, runtime, environment = command(board.root, *arguments)
    return subprocess.check_output(line, cwd=runtime, env=environment, stdin=subprocess.DEVNULL).decode("utf-8")


def test_deepen_status_run_list_and_forget_say_what_runs(board, tmp_path):
    before = _done(board, "learned", "check")["head"]
    assert not _done(board, "status")["retrained"]
    made = _done(board, "learned", "deepen")
    assert made["promoted"] and made["retrained"].startswith("examples left out")
    assert _done(board, "status")["retrained"]
    for arguments in (("status",), ("run", tmp_path / TAUGHT[0]), ("learned",)):
        assert "retrained on this board" in _printed(board, *arguments), arguments
    (passed,) = _done(board, "learned", "list")["passes"]
    assert passed["lesson"] == 3
    shown = _printed(board, "learned", "show", 1)
    assert "its first layers, for the deeper pass" in shown and "another network" not in shown
    assert _done(board, "learned", "check")["head"] != before

    assert _done(board, "forget", "--deeper")["passes"] == 1
    assert _done(board, "learned", "check")["head"] == before
    _done(board, "learned", "deepen")
    told = _printed(board, "forget", "--id", "1")
    assert "retrained with it is gone" in told and "retrained on this board" not in told
    assert not _done(board, "status")["retrained"]


def test_a_release_without_the_deep_files_would_set_the_pass_aside(board, tmp_path):
    _done(board, "learned", "deepen")
    other = _release(str(tmp_path / "two.edge"), 2, deep=False)
    with pytest.raises(BoardError, match="set aside the deeper pass"):
        install(board, other, lambda release: None, lambda archive: refuse_to_set_aside(board, archive))
    install(board, other, lambda release: None)
    assert not _done(board, "status")["retrained"]
    code, answer = on_board(board.root, "learned", "deepen")
    assert (code, answer["error"]["kind"]) == (1, "InputError")


def test_a_pass_that_is_killed_is_there_whole_or_not_at_all(board):
    chance = random.Random(0)
    line, runtime, environment = command(board.root, "learned", "deepen")
    heads = {_done(board, "learned", "check")["head"]}
    for _ in range(3):
        deepening = subprocess.Popen(line, cwd=runtime, env=environment, stdout=subprocess.DEVNULL)
        time.sleep(chance.uniform(0.3, 3))
        deepening.send_signal(signal.SIGKILL)
        deepening.wait()
        heads.add(_done(board, "learned", "check")["head"])
    _done(board, "learned", "deepen")
    final = _done(board, "learned", "check")["head"]
    assert heads <= {final} | {sorted(heads - {final})[0]}  # the head from before, or the pass's
    with open_store(board.path("personal", "learned.sqlite")) as store:
        assert len({row.tuned for row in store.deepened()}) == 1
