"""What a release on trial must show on a board with a camera: fresh frames, classified; a frozen camera is none."""

import os
import shutil
import subprocess
import sys
import time

import cv2
import numpy as np
import pytest
from release_maker import check_whole, new_board
from service_board import wait_for
from tiny_board import FILES, on_board, tiny_board, tiny_release

from edge.board import Board
from edge.camera import camera_of, is_lent, lending
from edge.contract.errors import FormatError, GateError, SourceError
from edge.contract.results import Prediction
from edge.fresh_frames import check_frames
from edge.sources import Feed, Frame, Source

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))


def noise(seed):
    return np.random.RandomState(seed).randint(0, 256, (24, 32, 3)).astype(np.uint8)


def camera(images, live=True):
    """A feed that shows `images` and then ends, again and again."""

    def frames():
        for number, image in enumerate(images):
            yield Frame(number, int(number * 1e9), image, "fake")
            time.sleep(0.02)  # a live one gives only its newest

    def opened():
        return Source(frames(), lambda: None, live)

    return Feed("fake", live, lambda: None, opened)


def named(image):
    return Prediction("cat", 1.0, (("cat", 1.0),), False, 0.0, 0.0)


def test_frames_that_change_pass():
    report = check_frames(camera(list(map(noise, range(6))), live=False), named)
    assert (report.frames, report.label) == (4, "cat")


@pytest.mark.parametrize("live", [True, False])
@pytest.mark.parametrize("images", [[], [noise(1)], [noise(1)] * 8])
def test_a_camera_that_is_frozen_or_ends_does_not_pass(images, live):
    with pytest.raises(GateError):
        check_frames(camera(images, live), named, within_s=0.0)


def test_a_camera_that_fails_says_why():
    def opened():
        raise SourceError("the cable is gone", "a frame", "plug it in")

    with pytest.raises(GateError) as caught:
        check_frames(Feed("fake", True, lambda: None, opened), named, within_s=0.0)
    assert "the cable is gone" in caught.value.found


def test_a_camera_that_another_process_lets_go_of_is_waited_for():
    tries = []

    def look():
        tries.append(1)
        if len(tries) <= 2:
            raise SourceError("busy", "a free camera", "wait")

    feed = camera(list(map(noise, range(6))))
    assert check_frames(feed._replace(look=look), named).frames > 0
    assert len(tries) >= 3


def test_the_camera_is_a_line_in_the_boards_folder(tmp_path):
    board = new_board(tmp_path)
    assert camera_of(board) is None and not is_lent(board)
    (tmp_path / "camera").write_text("/dev/video1\n")
    assert camera_of(board) == "/dev/video1"
    for odd in (b"", b"\n", b"0\n1\n", b"\xff\xfe"):
        (tmp_path / "camera").write_bytes(odd)
        with pytest.raises(FormatError):
            camera_of(board)


def test_the_camera_is_lent_while_a_release_is_on_trial(tmp_path):
    board = new_board(tmp_path)
    (tmp_path / "camera").write_text("0\n")
    with lending(board):
        assert is_lent(board)
    assert not is_lent(board)


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    """A folder with a board that runs a release, and a second release whose golden vectors hold."""
    folder = tmp_path_factory.mktemp("trial")
    tiny_board(str(folder))
    with open(os.path.join(FILES, "tiny.golden.npz"), "rb") as file:
        tiny_release(str(folder / "two.edge"), 2, {"golden.npz": file.read()})
    for name, images in (("live", map(noise, range(6))), ("frozen", [noise(1)] * 6)):
        (folder / name).mkdir()
        for number, image in enumerate(images):
            cv2.imwrite(str(folder / name / "{}.png".format(number)), image)
    return folder


@pytest.mark.parametrize("source, why", [("frozen", "0 differed"), ("no-such-film.mp4", "no file or folder")])
def test_without_fresh_frames_the_old_release_stays(world, tmp_path, source, why):
    root = str(tmp_path / "board")
    shutil.copytree(str(world / "board"), root, symlinks=True)
    board = Board(root, "aarch64")
    before = check_whole(board)
    (tmp_path / "board" / "camera").write_text(str(world / source) + "\n")
    code, answer = on_board(root, "install", world / "two.edge")
    assert code == 1 and "fresh frames" in answer["error"]["found"] and why in answer["error"]["found"]
    assert check_whole(board) == before == on_board(root, "recover")[1]["current"]


def test_with_fresh_frames_it_is_good_and_rollback_asks_for_none(world, tmp_path):
    root = str(tmp_path / "board")
    shutil.copytree(str(world / "board"), root, symlinks=True)
    (tmp_path / "board" / "camera").write_text(str(world / "live") + "\n")
    code, answer = on_board(root, "install", world / "two.edge")
    assert (code, answer.get("state")) == (0, "GOOD")
    assert not os.path.exists(os.path.join(root, "personal"))  # a trial touches nothing that was learnt
    (tmp_path / "board" / "camera").write_text(str(world / "frozen") + "\n")
    assert "fresh frames" not in str(on_board(root, "rollback"))


def test_a_trial_ends_with_the_install_that_is_killed(tmp_path):
    runtime = tmp_path / "release" / "runtime"
    (runtime / "edge").mkdir(parents=True)
    (runtime / "edge" / "__init__.py").write_text("")
    told = "import os, time; open('pid', 'w').write(str(os.getpid())); os.rename('pid', 'known'); time.sleep(60)"
    (runtime / "edge" / "__main__.py").write_text(told)
    asks = "import os, sys; from edge.trial import ask_release; ask_release(sys.argv[1], sys.argv[2], os.environ, [])"
    install = subprocess.Popen([sys.executable, "-B", "-c", asks, str(tmp_path), str(tmp_path / "release")], cwd=ROOT)
    try:
        wait_for((runtime / "known").exists)
    finally:
        install.kill()
        install.wait()
    process = "/proc/" + (runtime / "known").read_text()
    wait_for(lambda: not os.path.exists(process))
