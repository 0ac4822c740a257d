"""The service waits for a lost camera and ends for a hung one; a sign of life is an inference, never a timer."""

import os
import socket
import subprocess
import threading

import numpy as np
import pytest
from service_board import camera_folder, environment, release, service_board, wait_for
from tiny_board import on_board

from edge.contract.errors import GateError, SourceError
from edge.contract.results import FrameResult, Prediction
from edge.install import install
from edge.notify import ALIVE, READY, Notifier, status
from edge.serve import Signs, watch
from edge.sources import Frame, Source, monotonic_ns


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


class Pipe:
    """A camera of one byte a frame at the end of a real pipe: it can be fed, closed, or left hanging in its read."""

    def __init__(self, live=True):
        self.out, self.into = os.pipe()
        self.live = live

    def open(self):
        return Source(self._frames(), lambda: None, self.live, 25.0, (4, 4))

    def _frames(self):
        sequence = 0
        while True:
            byte = os.read(self.out, 1)
            if not byte:
                raise SourceError("the pipe ended", "frames", "open it again")
            yield Frame(sequence, monotonic_ns(), np.full((4, 4, 3), byte[0], np.uint8), "pipe")
            sequence += 1

    def feed(self, value):
        os.write(self.into, bytes([value]))


def classify(image):
    return Prediction("label {}".format(image[0, 0, 0]), 0.5, (), False, 0.1, 0.2)


class Watch:
    """watch() over cameras that are opened one after the other, and what came of it."""

    def __init__(self, address, cameras, check=lambda: None, rounds=1000):
        self.said, self.waited, self.checked, self._cameras, self._rounds = [], [], 0, list(cameras), rounds
        self._check = check
        self._clock = 0.0
        signs = Signs(Notifier(address), self.said.append, clock=self._tick)
        watch(self._open, classify, self._golden, signs, self._going, lambda: False, 4.0, self.waited.append, 0.2)

    def _tick(self):
        self._clock += 10.0
        return self._clock

    def _open(self):
        camera = self._cameras.pop(0)
        if isinstance(camera, Exception):
            raise camera
        return camera.open()

    def _golden(self):
        self.checked += 1
        self._check()

    def _going(self):
        self._rounds -= 1
        return bool(self._cameras) and self._rounds > 0


def test_a_lost_camera_is_a_sign_of_life_after_each_retry_with_golden_vectors_and_waits_longer_each_time(told):
    address, received = told
    done = Watch(address, [SourceError("no camera", "one", "plug it in")] * 5)
    assert done.checked == 5 and done.waited == [1.0, 2.0, 4.0, 4.0, 4.0]
    assert [each[:2] for each in received()] == [[READY, ALIVE]] * 5
    assert done.said == ["waiting for the camera: no camera; expected one; plug it in"]  # once, not five times


def test_golden_vectors_that_do_not_hold_give_no_sign_of_life_and_end_the_service(told):
    address, received = told

    def differs():
        raise GateError("other features", "golden", "stop")

    with pytest.raises(GateError):
        Watch(address, [SourceError("no camera", "one", "plug it in")] * 3, check=differs)
    assert received() == []


def test_frames_are_signs_of_life_and_a_change_of_label_is_said_once(told):
    address, received = told
    camera = Pipe(live=False)
    for value in (1, 1, 2):
        camera.feed(value)
    os.close(camera.into)
    done = Watch(address, [camera, SourceError("gone", "a camera", "wait")])
    lines = [line for each in received() for line in each if line.startswith("STATUS")]
    assert lines[:3] == ["STATUS=label 1 0.50", "STATUS=label 1 0.50", "STATUS=label 2 0.50"]
    assert "waiting for the camera: the pipe ended" in lines[3]
    assert [line.split(";")[0] for line in done.said] == [
        "label 1 0.50",
        "label 2 0.50",
        "waiting for the camera: the pipe ended",
        "waiting for the camera: gone",
    ]


def test_at_most_one_sign_of_life_a_second_is_sent(told):
    address, received = told
    now = [0.0]
    signs = Signs(Notifier(address), lambda line: None, clock=lambda: now[0])
    for _ in range(100):
        now[0] += 0.125
        signs.seen(FrameResult(0, 0, "a", 0.5, (), False, 0.0, 0.0, 0.0))
    assert len(received()) == 13


def test_a_camera_that_comes_back_is_tried_at_once_the_next_time(told):
    camera = Pipe(live=False)
    camera.feed(1)
    os.close(camera.into)
    gone = SourceError("gone", "a camera", "wait")
    assert Watch(told[0], [gone, gone, camera, gone]).waited == [1.0, 2.0, 1 / 25, 1.0, 2.0]


def test_a_read_that_does_not_return_ends_the_service_so_that_it_is_started_anew(told):
    camera = Pipe()
    camera.feed(1)
    with pytest.raises(SourceError) as caught:
        Watch(told[0], [camera, camera])
    assert "does not return" in str(caught.value)
    os.close(camera.into)  # lets the reading thread go


class Served:
    """`serve` in a process of its own, as the launcher starts it."""

    def __init__(self, board, source, address):
        self.lines = []
        self.process = subprocess.Popen(
            [board.path("edgewise"), "serve", source], env=environment(NOTIFY_SOCKET=address, WATCHDOG_USEC="2000000"),
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
