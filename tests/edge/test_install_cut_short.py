"""Power cuts and full disks at every step of an install: the board ends with a whole GOOD release, or with none."""

import errno
import os
import signal
import subprocess
import sys
from contextlib import contextmanager

import pytest
from release_maker import bring, check_whole, files_below, new_board, write_incoming, write_release

from edge.contract.errors import BoardError
from edge.install import install, receive, rollback, status

STEPS = ("fsync", "rename", "replace", "symlink", "link", "unlink", "mkdir", "rmdir")  # of the os module


def holds(folder):
    """A golden check that holds."""


@contextmanager
def at_step(number, fail):
    """Calls `fail` before the durable step `number` of the block, counted from 1; yields a list of the steps so far."""
    functions = {name: getattr(os, name) for name in STEPS}
    done = []

    def counting(name):
        def counted(*arguments, **more):
            done.append(name)
            if len(done) == number:
                fail()
            return functions[name](*arguments, **more)

        return counted

    for name in STEPS:
        setattr(os, name, counting(name))
    try:
        yield done
    finally:
        for name in STEPS:
            setattr(os, name, functions[name])


def killed_at_step(number, act):
    """Runs `act` in a child process that is killed before its durable step `number`. False if it has fewer."""
    child = os.fork()
    if child == 0:
        code = 1
        try:
            with at_step(number, power_cut):
                act()
            code = 0
        finally:
            os._exit(code)  # the child must not return into pytest, whatever happened
    _, ended = os.waitpid(child, 0)
    assert os.WIFSIGNALED(ended) or os.WEXITSTATUS(ended) == 0
    return os.WIFSIGNALED(ended)


def power_cut():
    os.kill(os.getpid(), signal.SIGKILL)


def all_steps(act, tmp_path, prepare):
    """For each durable step of `act`: a fresh board, `prepare`d, and `act` killed before that step."""
    for number in range(1, 500):
        board = new_board(tmp_path / "board{}".format(number))
        prepare(board)
        if not killed_at_step(number, lambda board=board: act(board)):
            assert number > 10
            return
        yield board
    pytest.fail("it never ends")


def arriving(board):
    """An update as a desk brings it."""
    folder = board.path("incoming")
    files = write_incoming(folder, 2, "two")

    def arrive(incoming, absent):
        for sha256 in absent:
            bring(folder, {sha256: files[sha256]})
            incoming.check(sha256)

    return receive(board, folder, arrive, holds)


@pytest.mark.parametrize("how", ["an archive", "file by file"])
def test_a_power_cut_at_any_step_of_an_update_leaves_a_whole_good_release(tmp_path, how):
    one = write_release(tmp_path / "one.edge", 1, "one")
    two = write_release(tmp_path / "two.edge", 2, "two")
    update = arriving if how == "file by file" else lambda b: install(b, two, holds)
    ends = set()
    for board in all_steps(update, tmp_path, lambda b: install(b, one, holds)):
        check_whole(board)  # at once, before anything is put right
        report = status(board)
        assert report.current == check_whole(board)
        assert report.releases[report.current].state == "GOOD"
        known = {name for name, entry in report.releases.items() if entry.state == "GOOD"}
        assert set(os.listdir(board.path("releases"))) == known
        assert not [name for name in files_below(board.root) if ".new" in name or ".writing" in name]
        ends.add(report.counter)
        assert install(board, two, holds).release == check_whole(board)
    assert ends == {1, 2}


def test_a_power_cut_at_any_step_of_a_first_install_leaves_it_whole_or_nothing(tmp_path):
    one = write_release(tmp_path / "one.edge", 1, "one")
    for board in all_steps(lambda b: install(b, one, holds), tmp_path, lambda b: None):
        if os.path.isdir(board.path("releases")):
            current = status(board).current
            assert os.path.lexists(board.path("current")) == (current is not None)
            assert os.listdir(board.path("releases")) == ([current] if current else [])
        assert install(board, one, holds).release == check_whole(board)


def test_a_power_cut_at_any_step_of_a_rollback_leaves_a_whole_good_release(tmp_path):
    archives = [write_release(tmp_path / "{}.edge".format(n), n, "mark {}".format(n)) for n in (1, 2)]
    board = new_board(tmp_path / "board")
    for archive in archives:
        install(board, archive, holds)
    number = 1
    while killed_at_step(number, lambda: rollback(board, holds)):
        assert status(board).current == check_whole(board)
        number += 1
    assert number > 4


def test_a_power_cut_while_recovering_is_recovered_from(tmp_path):
    one = write_release(tmp_path / "one.edge", 1, "one")
    two = write_release(tmp_path / "two.edge", 2, "two")

    def cut_before_confirmed(board):
        install(board, one, holds)
        assert killed_at_step(0, lambda: install(board, two, lambda folder: power_cut()))

    for board in all_steps(status, tmp_path, cut_before_confirmed):
        report = status(board)
        assert report.current == check_whole(board)
        assert sorted(entry.state for entry in report.releases.values()) == ["FAILED", "GOOD"]
        assert os.listdir(board.path("releases")) == [report.current]


def disk_full():
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def test_a_write_that_fails_at_any_step_leaves_the_old_release_and_nothing_half_written(tmp_path):
    one = write_release(tmp_path / "one.edge", 1, "one")
    two = write_release(tmp_path / "two.edge", 2, "two")
    refused = 0
    for number in range(1, 500):
        board = new_board(tmp_path / "board{}".format(number))
        first = install(board, one, holds).release
        before = files_below(board.root)
        with at_step(number, disk_full) as done:
            try:
                install(board, two, holds)
            except BoardError as error:
                refused += 1
                assert "disk is full" in error.found
                assert (check_whole(board), files_below(board.root)) == (first, before)
        assert status(board).current == check_whole(board)
        if len(done) < number:
            break
    assert refused > 20


@pytest.fixture
def small_disk(tmp_path):
    """A function that mounts a small tmpfs of its own; unmounted at the end. Needs root."""
    mounted = []

    def mount(options):
        folder = str(tmp_path / "disk{}".format(len(mounted)))
        os.mkdir(folder)
        done = subprocess.call(
            ["mount", "-t", "tmpfs", "-o", options, "none", folder],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        if done != 0:
            pytest.skip("a tmpfs cannot be mounted here: that needs root")
        mounted.append(folder)
        return folder

    yield mount
    for folder in mounted:
        subprocess.check_call(["umount", folder])


@pytest.mark.skipif(not sys.platform.startswith("linux") or os.geteuid() != 0, reason="mounting a tmpfs needs root")
def test_a_disk_that_really_fills_up_keeps_the_old_release(tmp_path, small_disk):
    """Inodes run out long after the check for free bytes: each limit stops the install at another file."""
    one = write_release(tmp_path / "one.edge", 1, "one")
    two = write_release(tmp_path / "two.edge", 2, "two")
    outcomes = []
    for inodes in range(34, 72):
        board = new_board(os.path.join(small_disk("size=8m,nr_inodes={}".format(inodes)), "board"))
        try:
            install(board, one, holds)
        except BoardError:
            assert status(board).current is None
            outcomes.append("neither")
            continue
        before = files_below(board.root)
        try:
            install(board, two, holds)
            outcomes.append("both")
        except BoardError as error:
            assert "disk is full" in error.found
            assert files_below(board.root) == before
            outcomes.append("one")
        assert status(board).current == check_whole(board)
    assert sorted(set(outcomes)) == ["both", "neither", "one"]


@pytest.mark.skipif(not sys.platform.startswith("linux") or os.geteuid() != 0, reason="mounting a tmpfs needs root")
def test_a_disk_that_is_too_small_is_named_before_anything_is_written(tmp_path, small_disk):
    board = new_board(os.path.join(small_disk("size=256k"), "board"))
    with pytest.raises(BoardError) as caught:
        install(board, write_release(tmp_path / "one.edge"), holds)
    assert "bytes free" in caught.value.found
    assert not os.path.exists(board.path("state.json"))
