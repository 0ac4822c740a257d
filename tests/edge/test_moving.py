"""edge/moving.py: before a new network is installed, the board says exactly what it would set aside."""

import io
import os

import numpy as np
import pytest
from release_maker import check_whole, files_below
from tiny_board import on_board, tiny_board, tiny_release

from edge.backbone import open_backbone
from edge.board import Board
from edge.contract.errors import BoardError
from edge.install import install, rollback
from edge.lessons import learned, teach
from edge.moving import refuse_to_set_aside
from edge.pictures import Picture
from edge.release import open_release
from edge.store import open_store


@pytest.fixture
def board(tmp_path):
    return Board(tiny_board(str(tmp_path)), "aarch64")


def _head(board, change):
    """The current head.npz with its arrays changed."""
    with np.load(os.path.join(board.path("current"), "head.npz")) as file:
        arrays = change({name: file[name] for name in file.files})
    data = io.BytesIO()
    np.savez(data, **arrays)
    return data.getvalue()


def _other_network(board):
    """A release with other steps, and so with codes of its own: another network to whatever has been learnt."""
    head = _head(board, lambda arrays: dict(arrays, step=arrays["step"] * 2))
    return tiny_release(board.root + ".two.edge", 2, {"head.npz": head})


def _install(board, archive, set_aside=False):
    refuse = (lambda archive: None) if set_aside else (lambda archive: refuse_to_set_aside(board, archive))
    return install(board, archive, lambda folder: None, refuse)


def _backbone(board):
    return open_backbone(open_release(os.path.realpath(board.path("current"))))


def _store(board):
    return open_store(board.path("personal", "learned.sqlite"))


def _teach(board, label, count, keep):
    pictures = [Picture(str(i), np.full((9, 9, 3), 100 + i, np.uint8)) for i in range(count)]
    with _store(board) as store:
        teach(_backbone(board), store, label, pictures, keep, 0.0)


def test_examples_without_pictures_and_the_look_are_named_and_nothing_is_changed(board):
    _teach(board, "wall", 3, keep=False)
    _teach(board, "pen", 2, keep=False)
    _teach(board, "key", 4, keep=True)
    with _store(board) as store:
        store.add_look(_backbone(board).key, "inverted", bytes(range(255, -1, -1)), "why", "then")
        store.remove((), [store.look(_backbone(board).key).id])
        store.add_look(_backbone(board).key, "plain", bytes(range(256)), "why", "then")
    before, release = files_below(board.root), check_whole(board)
    with pytest.raises(BoardError) as caught:
        _install(board, _other_network(board))
    assert "5 examples without pictures (pen 2, wall 3) and the look plain" in caught.value.found
    assert release in caught.value.found and "\n" not in str(caught.value)
    assert (files_below(board.root) - {"personal/learned.sqlite-wal", "personal/learned.sqlite-shm"}) == before
    assert check_whole(board) == release


def test_set_aside_goes_on_and_rollback_brings_all_back(board):
    _teach(board, "wall", 3, keep=False)
    _install(board, _other_network(board), set_aside=True)
    with _store(board) as store:
        assert learned(_backbone(board), store).set_aside == 3
    rollback(board, lambda folder: None)
    with _store(board) as store:
        assert learned(_backbone(board), store).set_aside == 0


def test_what_kept_its_pictures_moves_to_the_new_network(board):
    _teach(board, "wall", 3, keep=True)
    assert _install(board, _other_network(board)).state == "GOOD"
    with _store(board) as store:
        found = learned(_backbone(board), store)
        assert [(row.label, row.used) for row in found.examples] == [("wall", True)] * 3


def test_what_is_set_aside_already_is_not_counted_again(board):
    _teach(board, "wall", 3, keep=False)
    with _store(board) as store:
        store.add_look(_backbone(board).key, "inverted", bytes(range(255, -1, -1)), "why", "then")
    with pytest.raises(BoardError) as caught:
        _install(board, _other_network(board))
    assert "set aside the look inverted" in caught.value.found


def test_another_base_of_the_same_network_leaves_nothing_behind(board):
    _teach(board, "wall", 3, keep=False)
    head = _head(board, lambda arrays: dict(arrays, bias=arrays["bias"] * 2))
    assert _install(board, tiny_release(board.root + ".two.edge", 2, {"head.npz": head})).state == "GOOD"


def test_a_board_that_has_learnt_nothing_takes_any_network(board):
    assert _install(board, _other_network(board)).state == "GOOD"


def test_the_boards_own_verb_refuses_and_takes_the_flag(board):
    _teach(board, "wall", 3, keep=False)
    archive = _other_network(board)
    code, answer = on_board(board.root, "install", archive)
    assert (code, answer["error"]["kind"]) == (1, "BoardError")
    assert "wall 3" in answer["error"]["found"] and "--set-aside" in answer["error"]["remedy"]
    code, answer = on_board(board.root, "install", archive, "--set-aside")
    assert (code, answer["error"]["kind"]) == (1, "GateError")  # on to the golden vectors, which this release has not
