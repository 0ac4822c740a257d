"""A release that comes file by file from a desk: what is missing, what is believed, and what a lost desk leaves."""

import os
import shutil

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from release_maker import (
    KEY,
    OTHER_KEY,
    bring,
    check_whole,
    files_below,
    new_board,
    small_files,
    write_incoming,
    write_release,
)

import edge.install
from edge.contract.errors import BoardError, EdgewiseError, FormatError, InputError, TrustError
from edge.contract.room import BLOCK_BYTES, MARGIN_BYTES
from edge.install import install, receive


def holds(folder):
    """A golden check that holds."""


class Desk:
    """Sends what a board asks for, and remembers what that was."""

    def __init__(self, board, *arguments, **more):
        self.board, self.asked = board, None
        self.folder = board.path("incoming")
        self.files = write_incoming(self.folder, *arguments, **more)

    def send(self, incoming, absent):
        self.asked = absent
        for sha256 in absent:
            bring(self.folder, {sha256: self.files[sha256]})
            incoming.check(sha256)

    def flash(self, arrive=None):
        return receive(self.board, self.folder, arrive or self.send, holds)


@pytest.fixture
def board(tmp_path):
    return new_board(tmp_path / "board")


@pytest.fixture
def running(board, tmp_path):
    """A board with a release of counter 1."""
    install(board, write_release(tmp_path / "one.edge"), holds)
    return board


def test_a_first_release_is_asked_for_whole_and_a_second_only_where_it_differs(board):
    first = Desk(board)
    assert first.flash().release == check_whole(board)
    assert first.asked == tuple(sorted(first.files))
    second = Desk(board, 2, "two")
    assert second.flash().release == check_whole(board)
    assert set(second.asked) == set(second.files) - set(first.files)
    assert os.listdir(os.path.join(second.folder, "objects")) == []


def test_a_release_that_is_current_already_is_asked_nothing(running):
    desk = Desk(running)
    assert desk.flash().already and desk.asked == ()


def test_an_object_that_rotted_on_disk_is_asked_for_again(running):
    desk = Desk(running, 2, "one")
    sha256 = sorted(desk.files)[0]
    os.chmod(running.path("objects", sha256), 0o644)
    with open(running.path("objects", sha256), "r+b") as file:
        file.write(b"!")
    desk.flash()
    assert desk.asked == (sha256,)


@pytest.mark.parametrize("more", [{"key": OTHER_KEY}, {"boards": ("x86_64",)}, {"counter": 1, "mark": "other"}])
def test_what_is_not_for_this_board_is_refused_before_it_is_asked_for(running, more):
    desk = Desk(running, **dict({"counter": 2, "key": KEY}, **more))
    before = files_below(running.root)
    with pytest.raises((TrustError, BoardError)):
        desk.flash()
    assert desk.asked is None and files_below(running.root) == before


def test_a_disk_without_room_is_found_before_it_is_asked_for_and_what_came_before_counts(running, monkeypatch):
    desk = Desk(running, 2, "two")
    came = {sha256: desk.files[sha256] for sha256 in desk.files if not os.path.exists(running.path("objects", sha256))}
    size = sum(len(data) for data in came.values())
    needed = size + MARGIN_BYTES + BLOCK_BYTES * len(small_files())
    monkeypatch.setattr(edge.install, "disk_usage", lambda path: shutil._ntuple_diskusage(9, 9, needed - size))
    with pytest.raises(BoardError) as caught:
        desk.flash()
    assert "bytes free" in caught.value.found and desk.asked is None
    bring(desk.folder, came)
    assert desk.flash().state == "GOOD"


@settings(max_examples=30, deadline=None)
@given(data=st.data())
def test_a_file_of_another_content_is_refused_and_nothing_of_it_is_installed(tmp_path_factory, data):
    board = new_board(tmp_path_factory.mktemp("board"))
    desk = Desk(board)
    sha256 = data.draw(st.sampled_from(sorted(desk.files)))
    changed = bytearray(desk.files[sha256])
    if changed and data.draw(st.booleans()):
        changed[data.draw(st.integers(0, len(changed) - 1))] ^= data.draw(st.integers(1, 255))
    else:
        changed += data.draw(st.binary(min_size=1, max_size=9))
    desk.files[sha256] = bytes(changed)
    with pytest.raises(TrustError) as caught:
        desk.flash()
    assert sha256 in caught.value.found
    assert not os.path.exists(board.path("state.json")) and os.listdir(board.path("objects")) == []


def test_a_file_that_was_not_told_of_is_checked_as_well(board):
    desk = Desk(board)
    last = sorted(desk.files)[-1]

    def send_untold(incoming, absent):
        bring(desk.folder, desk.files)

    def change_one(incoming, absent):
        bring(desk.folder, dict(desk.files, **{last: b"other"}))

    with pytest.raises(TrustError):
        desk.flash(change_one)
    assert desk.flash(send_untold).release == check_whole(board)


@pytest.mark.parametrize("name", ["../../state.json", "0" * 64, "manifest.json", ""])
def test_a_name_that_the_manifest_does_not_list_is_refused(board, name):
    desk = Desk(board)
    with pytest.raises(TrustError):
        desk.flash(lambda incoming, absent: incoming.check(name))


def test_a_desk_that_is_lost_leaves_the_board_as_it_was_and_what_came_for_the_next_time(running):
    desk = Desk(running, 2, "two")
    before = files_below(running.root)

    def lost(incoming, absent):
        desk.send(incoming, absent[:1])
        raise InputError("the desk ended half-way", "all", "flash again")

    with pytest.raises(InputError):
        desk.flash(lost)
    (came,) = os.listdir(os.path.join(desk.folder, "objects"))
    assert files_below(running.root) - before == {os.path.join("incoming", "objects", came)}
    assert desk.flash().release == check_whole(running)


def test_a_desk_that_sends_less_than_it_was_asked_for_is_refused(running):
    desk = Desk(running, 2, "two")
    with pytest.raises(FormatError) as caught:
        desk.flash(lambda incoming, absent: desk.send(incoming, absent[1:]))
    assert "came without" in caught.value.found


@pytest.mark.parametrize("name", ["manifest.json", "manifest.sig"])
@pytest.mark.parametrize("content", [None, b"", b"x" * ((1 << 20) + 1)])
def test_a_manifest_or_signature_that_is_none_is_refused(board, name, content):
    desk = Desk(board)
    path = os.path.join(desk.folder, name)
    os.unlink(path)
    if content is not None:
        with open(path, "wb") as file:
            file.write(content)
    with pytest.raises(EdgewiseError):
        desk.flash()
    assert desk.asked is None
