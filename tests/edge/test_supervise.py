"""A board without systemd: what hangs or ends is started anew, what waits for its camera is left alone."""

import os
import re
import signal
import subprocess
import sys
import tempfile
import threading
import time

import pytest
from service_board import camera_folder, environment, service_board, wait_for

from edge import supervise as supervising
from edge.supervise import Limits, supervise

LIMITS = Limits(start_s=60, watchdog_s=6, stop_s=1, restart_s=0.1)


class Supervised:
    """A command under supervise(), in a thread of this process."""

    def __init__(self, command, folder, limits=LIMITS):
        self.log = os.path.join(folder, "log", "service.log")
        self.going = True
        self._thread = threading.Thread(
            target=supervise, args=(command, environment(), self.log, limits, lambda: self.going)
        )
        self._thread.start()

    def said(self):
        if not os.path.exists(self.log):
            return ""
        with open(self.log) as file:
            return file.read()

    def stop(self):
        self.going = False
        self._thread.join(60)
        assert not self._thread.is_alive()


def serving():
    """Process ids of this process's children that run `serve`."""
    found = []
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open("/proc/{}/cmdline".format(pid), "rb") as file, open("/proc/{}/stat".format(pid)) as stat:
                line, parent = file.read(), int(re.sub(r".*\) . ", "", stat.read()).split()[0])
        except (OSError, ValueError):
            continue
        if b"\0serve\0" in line and parent == os.getpid():
            found.append(int(pid))
    return found


@pytest.mark.slow
def test_a_lost_camera_is_left_alone_and_a_hung_one_or_a_stopped_process_is_killed_and_started_anew(tmp_path):
    board = service_board(str(tmp_path))
    camera = camera_folder(str(tmp_path / "camera"))
    running = Supervised([board.path("edgewise"), "serve", camera], board.root)
    try:
        wait_for(lambda: "cat" in running.said())
        first = serving()
        os.rename(camera, camera + ".away")
        wait_for(lambda: "waiting for the camera" in running.said())
        time.sleep(2 * LIMITS.watchdog_s)  # long enough for a supervisor that would restart it
        assert serving() == first and "no sign of life" not in running.said()
        os.mkfifo(camera + ".away/hangs.png")  # its open() never returns
        os.rename(camera + ".away", camera)
        wait_for(lambda: running.said().count("no sign of life") == 1)
        os.remove(camera + "/hangs.png")
        wait_for(lambda: running.said().count("cat ") >= 3)  # before it was lost, after, and in the new process
        second = serving()
        assert len(second) == 1 and second != first
        assert "ended by signal 6" in running.said() and "decode_picture" in running.said()  # where it hung
        os.kill(second[0], signal.SIGSTOP)
        wait_for(lambda: running.said().count("ended by signal 9") == 1)
        wait_for(lambda: running.said().count("cat ") >= 4)
        os.kill(serving()[0], signal.SIGKILL)
        wait_for(lambda: running.said().count("cat ") >= 5)
    finally:
        running.stop()
    assert serving() == []


def test_a_process_that_never_says_that_it_is_ready_is_killed(tmp_path):
    sleeper = [sys.executable, "-c", "import time; print('up', flush=True); time.sleep(1000)"]
    running = Supervised(sleeper, str(tmp_path), LIMITS._replace(start_s=0.5))
    wait_for(lambda: running.said().count("up") >= 2)
    running.stop()
    assert "no sign of life" in running.said()


def test_other_users_cannot_feed_the_watchdog_and_nothing_is_left_of_it(tmp_path):
    script = "import os; at = os.path.dirname(os.environ['NOTIFY_SOCKET']); print(at, oct(os.stat(at).st_mode))"
    running = Supervised([sys.executable, "-c", script], str(tmp_path))
    wait_for(lambda: "0o" in running.said())
    running.stop()
    folder, mode = running.said().split("\n")[0].split()
    assert mode == "0o40700" and not os.path.exists(folder)


@pytest.mark.parametrize("length", [20, 82, 83, 150])
def test_temporary_files_may_go_to_a_folder_whose_path_is_too_long_for_a_socket(tmp_path, monkeypatch, length):
    with tempfile.TemporaryDirectory(dir="/tmp") as base:  # its path is short, tmp_path's need not be
        folder = os.path.join(base, (length - len(base) - 1) * "g")
        os.mkdir(folder)
        monkeypatch.setattr("tempfile.tempdir", folder)
        running = Supervised([sys.executable, "-c", "print('up', flush=True)"], str(tmp_path))
        wait_for(lambda: "up" in running.said())
        running.stop()


def test_the_log_stays_small(tmp_path, monkeypatch):
    monkeypatch.setattr(supervising, "MAX_LOG_BYTES", 20000)
    talker = [sys.executable, "-c", "import time\nwhile True: print('x' * 1000, flush=True); time.sleep(0.001)"]
    running = Supervised(talker, str(tmp_path))
    wait_for(lambda: os.path.exists(running.log + ".1"))
    running.stop()
    assert sorted(os.listdir(os.path.dirname(running.log))) == ["service.log", "service.log.1"]


@pytest.mark.parametrize("sign, code", [(signal.SIGTERM, 130), (signal.SIGKILL, -signal.SIGKILL)])
def test_the_verb_ends_its_process_when_it_is_asked_to_end_or_is_killed(tmp_path, sign, code):
    board = service_board(str(tmp_path))
    camera = camera_folder(str(tmp_path / "camera"))
    process = subprocess.Popen([board.path("edgewise"), "supervise", camera], env=environment(TMPDIR=str(tmp_path)))
    log = board.path("log", "service.log")
    wait_for(lambda: os.path.exists(log) and b"cat" in _content(log))
    process.send_signal(sign)
    assert process.wait() == code
    wait_for(lambda: not [pid for pid in os.listdir("/proc") if pid.isdigit() and _serves(pid, camera)])


def _serves(pid, camera):
    try:
        return b"\0serve\0" + camera.encode() in _content("/proc/{}/cmdline".format(pid))
    except OSError:
        return False


def _content(path):
    with open(path, "rb") as file:
        return file.read()


# In a process of its own: a limit holds for a whole process.
_FULL = """
import resource, sys
from edge.__main__ import main
resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))  # as a full disk; Python ignores SIGXFSZ
sys.exit(main(["--board", sys.argv[1], "supervise", "test:"]))
"""


def test_a_full_disk_is_a_line_about_the_disk_and_no_fault_of_edgewise(tmp_path):
    root = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
    done = subprocess.run(
        [sys.executable, "-c", _FULL, str(tmp_path)], cwd=root, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    said = done.stderr.decode().splitlines()
    assert done.returncode == 1 and len(said) == 1 and "a disk with room" in said[0] and "fault" not in said[0]
    assert os.listdir(str(tmp_path)) == []
