"""Installing, refusing, going back and recovering, with the golden check as a seam. No model is run here."""

import hashlib
import os
import shutil
import stat
import subprocess
import sys
import time
from importlib.util import cache_from_source

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from release_maker import (
    KEY,
    OTHER_KEY,
    check_whole,
    files_below,
    new_board,
    release_bytes,
    rotation_data,
    small_files,
    write_release,
)

import edge.install
from edge.board import locked
from edge.contract.errors import BoardError, EdgewiseError, FormatError, GateError, TrustError
from edge.install import install, rollback, rotate, status
from edge.recovery import recover


def holds(folder):
    """A golden check that holds."""


def differs(folder):
    raise GateError("features differ", "the same", "do not use it")


@pytest.fixture
def board(tmp_path):
    return new_board(tmp_path / "board")


@pytest.fixture
def release(tmp_path):
    """A function that writes a release archive and returns its path."""
    return lambda *arguments, **more: write_release(tmp_path / "release.edge", *arguments, **more)


def test_a_first_release_becomes_current_good_and_whole(board, release):
    report = install(board, release(), holds)
    assert report.release == check_whole(board) == status(board).current
    assert status(board).releases[report.release].state == "GOOD"
    assert report.previous is None


def test_the_golden_vectors_run_in_the_new_folder_before_current_changes(board, release):
    first = install(board, release(1), holds).release
    seen = []

    def golden(folder):
        seen.append((os.path.basename(folder), check_whole(board), status(board).busy))

    second = install(board, release(2, "two"), golden).release
    assert seen == [(second, first, True)]


def test_files_that_two_releases_share_are_kept_once_and_cannot_be_written(board, release):
    first = install(board, release(1), holds).release
    second = install(board, release(2, "two"), holds).release
    a, b = (os.stat(os.path.join(board.release(name), "head.npz")) for name in (first, second))
    assert a.st_ino == b.st_ino
    assert stat.S_IMODE(a.st_mode) == 0o444


def test_where_there_are_no_hard_links_a_release_is_made_of_copies(board, release, monkeypatch):
    def refuse(source, path):
        raise OSError(1, "Operation not permitted", path)

    monkeypatch.setattr(os, "link", refuse)
    install(board, release(1), holds)
    install(board, release(2, "two"), holds)
    check_whole(board)
    assert os.listdir(board.path("objects")) == []


def test_only_the_current_and_the_previous_release_are_kept(board, release):
    names = [install(board, release(n, "mark {}".format(n)), holds).release for n in (1, 2, 3)]
    assert sorted(os.listdir(board.path("releases"))) == sorted(names[1:])
    assert set(status(board).releases) == set(names[1:])
    files = [data for mark in ("mark 2", "mark 3") for data in small_files(mark).values()]
    kept = {hashlib.sha256(data).hexdigest() for data in files}
    assert set(os.listdir(board.path("objects"))) == kept


def test_the_release_that_is_current_already_is_done_at_once(board, release):
    archive = release()
    first = install(board, archive, holds)
    again = install(board, archive, differs)
    assert (again.release, again.already, again.written_bytes) == (first.release, True, 0)


@pytest.mark.parametrize("counter", [1, 2])
def test_a_release_that_is_no_newer_is_refused_also_after_the_newer_ones_are_gone(board, release, counter):
    install(board, release(2), holds)
    with pytest.raises(TrustError) as caught:
        install(board, release(counter, "other"), holds)
    assert "more than 2" in caught.value.expected


def test_a_release_signed_by_another_key_leaves_no_trace(board, release):
    install(board, release(1), holds)
    before = files_below(board.root)
    with pytest.raises(TrustError):
        install(board, release(2, "two", key=OTHER_KEY), holds)
    assert files_below(board.root) == before


def test_a_release_for_another_board_is_refused_by_name(board, release):
    nano = board._replace(name="jetson-nano")
    for boards in (("x86_64",), ("jetson-orin-nano", "jetson-orin-nx")):
        with pytest.raises(BoardError) as caught:
            install(nano, release(boards=boards), holds)
        assert caught.value.found == "a release for " + ", ".join(boards)
        assert "jetson-nano or aarch64" in caught.value.expected
    with pytest.raises(BoardError):
        install(board, release(boards=("jetson-nano",)), holds)  # a board that is not in the table
    assert not os.path.exists(board.path("state.json"))


@pytest.mark.parametrize("boards", [("aarch64", "x86_64"), ("jetson-tx2", "jetson-nano"), ("any",)])
def test_a_release_that_names_the_board_or_its_kind_is_taken(board, release, boards):
    assert install(board._replace(name="jetson-nano"), release(boards=boards), holds).state == "GOOD"


@pytest.mark.parametrize("wiped", [("releases",), ("releases", "objects"), ("releases", "objects", "current")])
def test_the_counter_survives_wiped_releases_and_only_the_lost_one_may_come_again(board, release, wiped):
    install(board, release(1), holds)
    second = install(board, release(2, "two"), holds).release
    for name in wiped:
        path = board.path(name)
        os.unlink(path) if os.path.islink(path) else shutil.rmtree(path)
    for number, mark in ((1, "one"), (2, "other")):
        with pytest.raises(TrustError):
            install(board, release(number, mark), holds)
    assert install(board, release(2, "two"), holds).release == second == check_whole(board)
    with pytest.raises(TrustError):
        install(board, release(1), holds)


def test_a_lost_current_release_gives_its_place_to_the_previous_one(board, release):
    first = install(board, release(1), holds).release
    second = install(board, release(2, "two"), holds).release
    shutil.rmtree(board.release(second))
    report = status(board)
    assert report.current == first == check_whole(board)
    assert (report.previous, report.counter, report.releases[second].state) == (None, 2, "FAILED")


@pytest.mark.parametrize("seconds", [0, 1 << 31, 1 << 40])
def test_the_boards_clock_decides_nothing(board, release, monkeypatch, seconds):
    """A Jetson without a battery starts in 1970, or wherever its last log was."""
    monkeypatch.setattr(time, "time", lambda: seconds)
    install(board, release(1), holds)
    assert install(board, release(2, "two"), holds).state == "GOOD"
    with pytest.raises(TrustError):
        install(board, release(1), holds)


def test_golden_vectors_that_differ_leave_the_old_release_and_nothing_of_the_new(board, release):
    first = install(board, release(1), holds).release
    before = files_below(board.root)
    with pytest.raises(GateError):
        install(board, release(2, "two"), differs)
    assert check_whole(board) == first
    assert files_below(board.root) == before
    failed = [entry for entry in status(board).releases.values() if entry.state == "FAILED"]
    assert [entry.why for entry in failed] == ["features differ"]
    assert install(board, release(2, "two"), holds).state == "GOOD"


def test_a_first_release_that_fails_leaves_no_current_at_all(board, release):
    with pytest.raises(GateError):
        install(board, release(), differs)
    assert status(board).current is None
    assert not os.path.lexists(board.path("current"))
    assert os.listdir(board.path("releases")) == os.listdir(board.path("objects")) == []


def test_an_archive_may_leave_out_what_the_board_has(board, release):
    install(board, release(1), holds)
    report = install(board, release(2, "two", leave_out=("head.npz", "golden.npz")), holds)
    assert report.release == check_whole(board)


def test_an_archive_that_leaves_out_what_the_board_lacks_is_refused_before_anything_is_written(board, release):
    with pytest.raises(FormatError) as caught:
        install(board, release(leave_out=("head.npz",)), holds)
    assert "head.npz" in caught.value.found
    assert not os.path.exists(board.path("state.json"))


def test_rollback_goes_to_the_previous_release_and_back(board, release):
    first = install(board, release(1), holds).release
    second = install(board, release(2, "two"), holds).release
    assert rollback(board, holds).release == check_whole(board) == first
    assert rollback(board, holds).release == check_whole(board) == second


def test_rollback_stays_where_it_is_if_the_golden_vectors_no_longer_hold(board, release):
    install(board, release(1), holds)
    second = install(board, release(2, "two"), holds).release
    with pytest.raises(GateError):
        rollback(board, differs)
    assert check_whole(board) == status(board).current == second


def test_there_is_no_rollback_from_the_first_release(board, release):
    install(board, release(), holds)
    with pytest.raises(BoardError):
        rollback(board, holds)


def test_two_installs_cannot_run_at_once_and_status_still_answers(board, release):
    install(board, release(1), holds)
    with locked(board):
        with pytest.raises(BoardError):
            install(board, release(2, "two"), holds)
        assert status(board).busy
    assert not status(board).busy


def test_a_lost_state_file_is_reported_and_current_stays(board, release):
    first = install(board, release(1), holds).release
    os.unlink(board.path("state.json"))
    for act in (lambda: status(board), lambda: install(board, release(2, "two"), holds)):
        with pytest.raises(BoardError):
            act()
    assert check_whole(board) == first


def test_a_disk_without_room_is_found_before_anything_is_written(board, release, monkeypatch):
    install(board, release(1), holds)
    before = files_below(board.root)
    monkeypatch.setattr(edge.install, "disk_usage", lambda path: shutil._ntuple_diskusage(10, 10, 0))
    with pytest.raises(BoardError) as caught:
        install(board, release(2, "two"), holds)
    assert "bytes free" in caught.value.found
    assert files_below(board.root) == before


def test_the_launcher_runs_the_current_releases_own_code_from_any_folder(board, release, tmp_path):
    install(board, release(), holds)
    main = os.path.join(os.path.realpath(board.path("current")), "runtime", "edge", "__main__.py")
    os.chmod(main, 0o644)
    with open(main, "w") as file:
        file.write("import sys; print(__file__, sys.argv[1:])")
    elsewhere = tmp_path / "elsewhere"
    (elsewhere / "edge").mkdir(parents=True)
    (elsewhere / "edge" / "__main__.py").write_text("print('the wrong one')")
    link = tmp_path / "edgewise"
    os.symlink(board.path("edgewise"), str(link))
    for command in (board.path("edgewise"), str(link)):
        out = subprocess.check_output(
            [command, "run", "a b"], cwd=str(elsewhere), env=dict(os.environ, EDGEWISE_PYTHON=sys.executable)
        )
        assert out.decode().strip() == "{} {}".format(main, ["--board", os.path.realpath(board.root), "run", "a b"])


def test_a_release_has_bytecode_for_what_compiles_so_that_no_start_compiles_it(board, release):
    install(board, release(), holds)
    runtime = os.path.join(os.path.realpath(board.path("current")), "runtime", "edge")
    compiled = ["__init__.py", os.path.join("contract", "__init__.py")]  # __main__.py of this release is no Python
    assert [os.path.exists(cache_from_source(os.path.join(runtime, name))) for name in compiled] == [True, True]
    said = subprocess.check_output(
        [sys.executable, "-v", "-B", "-c", "import edge.contract"],
        cwd=os.path.dirname(runtime),
        stderr=subprocess.STDOUT,
    ).decode("utf-8", "replace")
    assert ["matches " + os.path.join(runtime, name) in said for name in compiled] == [True, True]


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_a_mutated_archive_installs_the_same_bytes_or_nothing(tmp_path_factory, data):
    folder = tmp_path_factory.mktemp("mutated")
    board = new_board(folder / "board")
    archive = bytearray(release_bytes())
    for _ in range(data.draw(st.integers(1, 2))):
        archive[data.draw(st.integers(0, len(archive) - 1))] = data.draw(st.integers(0, 255))
    path = folder / "release.edge"
    path.write_bytes(bytes(archive))
    try:
        install(board, str(path), holds)
    except EdgewiseError:
        assert os.listdir(board.path("releases")) == os.listdir(board.path("objects")) == []
    else:
        check_whole(board)
    shutil.rmtree(str(folder))


def test_a_rotation_lets_the_next_release_be_signed_by_the_new_key_only(board, release):
    first = install(board, release(1), holds).release
    report = rotate(board, rotation_data(KEY, OTHER_KEY))
    assert status(board).trusted == (report.trusted,)
    with pytest.raises(TrustError):
        install(board, release(2, "two"), holds)
    assert status(board).current == first  # what runs stays
    assert install(board, release(2, "two", key=OTHER_KEY), holds).state == "GOOD"
    assert rollback(board, holds).release == first


def test_recover_says_whether_current_named_an_unconfirmed_release(board, release):
    install(board, release(1), holds)
    assert recover(board) is False
