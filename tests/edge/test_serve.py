"""The service waits for a lost camera and ends for a hung one; a sign of life is an inference, never a timer."""

import itertools
import os
import re
import socket
import subprocess
import threading
import time

import numpy as np
import pytest
from page_client import PageClient
from service_board import camera_folder, environment, release, service_board, wait_for
from tiny_board import on_board

from edge.capture import Patience
from edge.contract.errors import GateError, SourceError
from edge.contract.results import FrameResult, Prediction
from edge.install import install
from edge.notify import ALIVE, READY, Notifier, status
from edge.serve import Signs, replayed, watch
from edge.sources import Feed, Frame, Source, find_feed, monotonic_ns
from edge.web.password import PASSWORD, make_hash, save_password


@pytest.fixture
def told(tmp_path):
    """A supervisor's socket: its address, and a function that gives what came since as a list of datagrams."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind(str(tmp_path / "notify"))

        def received(timeout_s=0.0):
            listener.settimeout(timeout_s)
            came = []
            try:
                while True:
                    came.append(listener.recv(4096).decode("utf-8").split("\n"))
                    listener.settimeout(0.0)
            except (BlockingIOError, socket.timeout):
                return came

        yield str(tmp_path / "notify"), received


def test_the_protocol_is_lines_in_one_datagram_also_to_an_abstract_socket(told):
    address, received = told
    Notifier(address).say(READY, status("a cup\nor two"))
    assert received() == [["READY=1", "STATUS=a cup or two"]]
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind("\0edgewise-test-{}".format(os.getpid()))
        Notifier("@edgewise-test-{}".format(os.getpid())).say(ALIVE)
        assert listener.recv(100) == b"WATCHDOG=1"


def test_without_a_supervisor_or_with_one_that_is_gone_nothing_is_said_and_nothing_waits(tmp_path):
    for address in (None, "", str(tmp_path / "nobody"), "@edgewise-nobody"):
        Notifier(address).say(READY)


class Learnt:
    """Names a picture by its first byte, and counts how often the golden vectors were asked for."""

    def __init__(self, check=lambda: None):
        self.checked = 0
        self._check = check

    def prepare(self, image):
        return image

    def classify(self, image):
        return Prediction("label {}".format(image[0, 0, 0]), 0.5, (), False, 0.1, 0.2)

    def check(self):
        self.checked += 1
        self._check()


def camera_of(*openings):
    """A live feed that gives these grey values, or raises these errors, opening after opening; at the end None."""
    waiting = list(openings)

    def frames(values):
        for sequence, value in enumerate(values):
            yield Frame(sequence, monotonic_ns(), np.full((4, 4, 3), value, np.uint8), "fake")
            time.sleep(0.02)

    def opened():
        this = waiting.pop(0) if waiting else SourceError("gone", "a camera", "wait")
        if isinstance(this, Exception):
            raise this
        return Source(frames(this), lambda: None, True)

    return Feed("fake", True, lambda: None, opened), lambda: bool(waiting)


def watched(address, feed, going, learnt):
    """What watch() said of `feed` while going()."""
    said = []
    patience = Patience(first_retry_s=0.01, longest_retry_s=0.02)
    clock = itertools.count(0.0, 10.0).__next__
    watch(feed, learnt, Signs(Notifier(address), said.append, clock), going, lambda: False, 0.02, patience, clock)
    return said


def test_while_the_camera_is_away_each_try_is_a_golden_inference_and_a_sign_of_life(told):
    address, received = told
    away = SourceError("no camera", "one", "plug it in")
    feed, more = camera_of(*[away] * 5)
    learnt = Learnt()
    said = watched(address, feed, more, learnt)
    came = received()
    assert learnt.checked >= 2 and len(came) == learnt.checked and all(each[:2] == [READY, ALIVE] for each in came)
    assert said == ["waiting for the camera: no camera; expected one; plug it in"]  # once, not five times


def test_golden_vectors_that_do_not_hold_give_no_sign_of_life_and_end_the_service(told):
    address, received = told

    def differs():
        raise GateError("other features", "golden", "stop")

    feed, _ = camera_of(SourceError("no camera", "one", "plug it in"))
    with pytest.raises(GateError):
        watched(address, feed, lambda: True, Learnt(differs))
    assert received() == []


def test_frames_are_signs_of_life_and_a_change_of_label_is_said_once(told):
    address, received = told
    feed, more = camera_of([101, 101, 102], SourceError("gone", "a camera", "wait"))
    said = watched(address, feed, more, Learnt())
    lines = [line for each in received() for line in each if line.startswith("STATUS")]
    assert "STATUS=label 101 0.50" in lines and "STATUS=label 102 0.50" in lines
    assert [line.split(";")[0] for line in said[:3]] == [
        "label 101 0.50",
        "label 102 0.50",
        "waiting for the camera: fake ended",
    ]


def test_at_most_one_sign_of_life_a_second_is_sent(told):
    address, received = told
    now = [0.0]
    signs = Signs(Notifier(address), lambda line: None, clock=lambda: now[0])
    for _ in range(100):
        now[0] += 0.125
        signs.seen(FrameResult(0, 0, "a", 0.5, (), False, 0.0, 0.0, 0.0))
    assert len(received()) == 13


def test_a_camera_that_hangs_in_its_opening_gives_no_sign_of_life(told):
    address, received = told
    done = threading.Event()

    def hangs():
        done.wait(60)
        raise SourceError("no camera", "one", "plug it in")

    going = iter([True] * 2 + [False] * 9)
    feed = Feed("fake", True, lambda: None, hangs)
    thread = threading.Thread(target=watched, args=(address, feed, lambda: next(going), Learnt()))
    thread.start()
    assert received(timeout_s=1.5) == []
    done.set()
    thread.join(30)
    assert not thread.is_alive()


def test_a_film_in_a_cameras_place_is_shown_again_and_again(tmp_path):
    feed = replayed(find_feed(camera_folder(str(tmp_path / "pictures"), [np.full((8, 8), 99, np.uint8)] * 2)))
    with feed.open() as source:
        frames = [source.read() for _ in range(3)]
    assert feed.live and [frame.sequence for frame in frames] == [0, 1, 2]
    assert [frame.name for frame in frames] == ["0.png", "1.png", "0.png"]


class Served:
    """`serve` in a process of its own, as the launcher starts it."""

    def __init__(self, board, source, address, *options):
        self.lines = []
        self.process = subprocess.Popen(
            [board.path("edgewise"), "serve", source] + list(options),
            env=environment(NOTIFY_SOCKET=address, WATCHDOG_USEC="2000000"),
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, universal_newlines=True,
        )  # fmt: skip
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self):
        for line in self.process.stdout:
            self.lines.append(line.rstrip("\n"))

    def says(self, words):
        return any(words in line for line in self.lines)

    def stop(self):
        self.process.kill()
        self.process.wait()
        self.process.stdout.close()


@pytest.fixture
def served(tmp_path, told):
    board = service_board(str(tmp_path))
    camera = camera_folder(str(tmp_path / "camera"))
    running = Served(board, camera, told[0])
    running.board, running.camera = board, camera
    yield running
    running.stop()


def test_a_lesson_given_meanwhile_counts_without_a_restart(served, tmp_path):
    wait_for(lambda: served.says("cat"))
    walls = [np.full((8, 8, 1), 60 + grey, np.uint8) for grey in range(12)]
    pictures = camera_folder(str(tmp_path / "taught"), walls)
    os.rename(served.camera, served.camera + ".away")
    camera_folder(served.camera, walls[:3])
    code, _ = on_board(served.board.root, "teach", pictures, "--label", "wall")
    assert code == 0
    wait_for(lambda: served.says("wall"))
    assert served.process.poll() is None


def test_a_lost_camera_is_waited_for_and_seen_again(served, told):
    wait_for(lambda: served.says("cat"))
    os.rename(served.camera, served.camera + ".away")
    wait_for(lambda: served.says("waiting for the camera"))
    told[1]()
    assert any(ALIVE in each for each in told[1](timeout_s=30))
    count = len(served.lines)
    os.rename(served.camera + ".away", served.camera)
    wait_for(lambda: any("cat" in line for line in served.lines[count:]))
    assert served.process.poll() is None


def test_a_hung_camera_gives_no_sign_of_life(served, told, tmp_path):
    wait_for(lambda: served.says("cat"))
    os.mkfifo(served.camera + "/hangs.png")  # open() of a pipe that nobody writes to never returns
    while told[1](timeout_s=3.0):
        pass  # ends: once the camera hangs, nothing more is said
    assert served.process.poll() is None


def test_it_ends_when_another_release_is_current_for_the_supervisor_to_start_that_one(served, tmp_path):
    wait_for(lambda: served.says("cat"))
    install(served.board, release(str(tmp_path), 2, {"report.json": b"{}"}), lambda folder: None)
    wait_for(lambda: served.process.poll() is not None)
    assert served.process.poll() == 0 and served.says("another release is current")


def test_a_changed_model_does_not_start(tmp_path, told):
    board = service_board(str(tmp_path))
    folder = os.path.realpath(board.path("current"))
    path = os.path.join(folder, "golden.npz")
    with np.load(path) as file:
        arrays = {name: file[name] for name in file.files}
    arrays["u8"] = arrays["u8"] + np.float32(1)
    os.remove(path)
    np.savez(path, **arrays)
    running = Served(board, camera_folder(str(tmp_path / "camera")), told[0])
    wait_for(lambda: running.process.poll() is not None)
    assert running.process.poll() == 1 and told[1]() == []
    running.stop()


def test_with_a_page_what_is_taught_there_counts_and_signs_of_life_go_on(tmp_path, told):
    pytest.importorskip("tornado", reason="the page needs Tornado")
    board = service_board(str(tmp_path))
    save_password(_personal(board), make_hash("correct horse"))
    running = Served(board, camera_folder(str(tmp_path / "camera")), told[0], "--web", "0.0.0.0:0")
    try:
        wait_for(lambda: running.says("the page is at"))
        client = PageClient(int(re.search(r":([0-9]+)/", "".join(running.lines)).group(1)))
        assert client.enter("wrong horse") == 403 and client.enter("correct horse") == 201
        wait_for(lambda: client.ask("GET", "/api/now")[2]["state"]["name"] == "live")
        assert client.ask("POST", "/api/hold", {"label": "wall"})[0] == 201
        assert client.ask("POST", "/api/lessons")[0] == 201
        _, example = on_board(board.root, "learned", "show", "1")
        assert example["label"] == "wall"
        told[1]()
        assert ["WATCHDOG=1"] in [[line for line in each if "WATCHDOG" in line] for each in told[1](timeout_s=10.0)]
    finally:
        running.stop()


def test_a_service_collects_below_what_it_may_write_and_its_page_gives_the_pictures_out(tmp_path, told):
    pytest.importorskip("tornado", reason="the page needs Tornado")
    board = service_board(str(tmp_path))
    running = Served(board, camera_folder(str(tmp_path / "camera")), told[0], "--web", "127.0.0.1:0", "--collect")
    try:
        wait_for(lambda: running.says("the page is at"))
        client = PageClient(int(re.search(r":([0-9]+)/", "".join(running.lines)).group(1)))
        assert client.enter() == 201
        wait_for(lambda: client.ask("GET", "/api/now")[2]["state"]["name"] == "live")
        assert client.ask("POST", "/api/collected/hold", {"label": "cup"})[0] == 201
        wait_for(lambda: client.ask("GET", "/api/collected")[2]["pictures"])
        assert client.ask("DELETE", "/api/collected/hold")[0] == 200
        assert os.listdir(board.path("personal", "collected", "cup"))
    finally:
        running.stop()


def test_a_page_for_the_network_without_a_password_does_not_start(tmp_path, told):
    pytest.importorskip("tornado", reason="the page needs Tornado")
    running = Served(
        service_board(str(tmp_path)), camera_folder(str(tmp_path / "camera")), told[0], "--web", "192.0.2.7"
    )
    wait_for(lambda: running.process.poll() is not None)
    assert running.process.poll() == 2 and running.says("no password") and told[1]() == []
    running.stop()


def test_a_supervisor_of_such_a_page_says_so_itself_and_starts_nothing(tmp_path):
    board = service_board(str(tmp_path))
    code, answer = on_board(board.root, "supervise", "test:", "--web", "192.0.2.7")
    assert code == 2 and "no password" in answer["error"]["found"] and not os.path.exists(board.path("log"))


def _personal(board):
    os.makedirs(board.path("personal"), exist_ok=True)
    return board.path("personal", PASSWORD)
