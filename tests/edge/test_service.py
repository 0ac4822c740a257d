"""The units are what systemd takes, and a real systemd holds the service to them."""

import contextlib
import json
import os
import shutil
import socket
import subprocess
import tempfile
import time

import numpy as np
import pytest
from page_client import PageClient
from service_board import camera_folder, environment, release, service_board, wait_for
from systemd_boot import SYSTEMD, Systemd
from tiny_board import on_board

from edge.camera import lending
from edge.contract.errors import UsageError
from edge.unit import NAME, RECOVER, Place, recover_unit, service_unit
from edge.web.password import PASSWORD, make_hash, save_password

_SHORT = """
mkdir /etc/systemd/system/edgewise.service.d
printf '[Service]\\nWatchdogSec=8\\nTimeoutStopSec=2\\n' >/etc/systemd/system/edgewise.service.d/short.conf
"""
PLACE = Place("/home/nano/edgewise-board", "root", "root", "/usr/bin/python3", None)


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="needs systemd-analyze")
@pytest.mark.parametrize("source", ["0", "/dev/video1", 'a film "1" of $HOME 100%.mp4'])
def test_systemd_finds_no_fault_in_the_units(tmp_path, source):
    root = str(tmp_path / "a%b$c")
    place = PLACE._replace(root=root, packages="/home/nano/.local")
    os.makedirs(root)
    shutil.copy("/bin/true", os.path.join(root, "edgewise"))
    text = service_unit(place, source).replace("/run/edgewise/board/edgewise", "/bin/true")
    (tmp_path / NAME).write_text(text)
    (tmp_path / RECOVER).write_text(recover_unit(place))
    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", str(tmp_path / NAME), str(tmp_path / RECOVER)],
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, universal_newlines=True,
    )  # fmt: skip
    ours = [line for line in done.stdout.split("\n") if "edgewise" in line]
    assert done.returncode == 0 and ours == []


@pytest.mark.parametrize("root", ["/home/a b/board", "/home/a:b", "/home/a\nUser=root"])
def test_a_folder_that_a_unit_cannot_hold_is_refused(root):
    with pytest.raises(UsageError):
        service_unit(PLACE._replace(root=root), "0")


@pytest.mark.parametrize("source", ["0\nUser=root", "0\r", "a\0b"])
def test_a_source_cannot_add_a_line_to_the_unit(source):
    with pytest.raises(UsageError):
        service_unit(PLACE, source)


class Machine:
    """A board of the user `nano` under a real systemd, and the folder that stands in for its camera."""

    def __init__(self, systemd, folder):
        self.systemd, self.folder = systemd, folder
        self.board = service_board(folder)
        self.camera = camera_folder(os.path.join(folder, "camera"))
        self.run("useradd", "--no-create-home", "--home-dir", folder, "nano")
        self.owner = int(self.run("id", "-u", "nano"))
        self.give_away(self.board.root)

    def give_away(self, top):
        for place, folders, names in os.walk(top):
            for path in [place] + [os.path.join(place, name) for name in folders + names]:
                os.chown(path, self.owner, self.owner, follow_symlinks=False)

    def run(self, *words, **more):
        done = self.systemd.run(*words, env=environment(EDGEWISE_PYTHON=self.systemd.python), **more)
        assert done.returncode == 0, done.stderr + self.journal()
        return done.stdout.strip()

    def as_owner(self, *arguments):
        return self.run("runuser", "-u", "nano", "--", self.board.path("edgewise"), *arguments)

    def edgewise(self, *arguments):
        return self.systemd.run(
            self.board.path("edgewise"), *arguments, env=environment(EDGEWISE_PYTHON=self.systemd.python)
        )

    def show(self, name):
        return self.run("systemctl", "show", "--value", "--property", name, NAME)

    def journal(self):
        return self.systemd.run("journalctl", "--unit", NAME, "--output", "cat", "--no-pager").stdout

    def refused(self, user, *words):
        """What a command of `user` is told in the service's own view of the disk; empty if it may."""
        pid = self.show("MainPID")
        return self.systemd.run("nsenter", "--target", pid, "--mount", "runuser", "-u", user, "--", *words).stderr


@pytest.fixture
def machine():
    if SYSTEMD is None or os.geteuid() != 0:
        pytest.skip("needs systemd and root")
    with tempfile.TemporaryDirectory(prefix="edgewise-") as folder:  # pytest's own is closed to other users
        os.chmod(folder, 0o755)  # noqa: S103
        try:
            systemd = Systemd(folder).__enter__()
        except OSError as error:
            pytest.skip("no systemd starts here: {}".format(error))
        try:
            yield Machine(systemd, folder)
        finally:
            systemd.__exit__()


@pytest.mark.slow
def test_a_real_systemd_restarts_a_hung_service_and_leaves_one_that_waits_for_its_camera(machine):
    done = machine.edgewise("service", machine.camera)
    assert done.returncode == 0 and done.stdout == "edgewise.service runs: cat 1.00\n", done.stderr
    machine.run("sh", "-c", _SHORT)
    machine.run("systemctl", "daemon-reload")
    machine.run("systemctl", "restart", NAME)
    os.rename(machine.camera, machine.camera + ".away")
    wait_for(lambda: "waiting for the camera" in machine.show("StatusText"))
    time.sleep(17)  # two watchdog times
    assert (machine.show("NRestarts"), machine.show("ActiveState")) == ("0", "active")
    os.rename(machine.camera + ".away", machine.camera)
    wait_for(lambda: machine.show("StatusText") == "cat 1.00")
    os.mkfifo(machine.camera + "/hangs.png")  # its open() never returns
    wait_for(lambda: "Failed with result 'watchdog'" in machine.journal())
    assert "decode_picture" in machine.journal()  # where it hung
    os.remove(machine.camera + "/hangs.png")
    wait_for(lambda: machine.journal().count("cat 1.00") >= 4)  # at first, restarted, lost and back, hung and back
    machine.run("kill", "-STOP", machine.show("MainPID"))
    wait_for(lambda: machine.journal().count("Failed with result 'watchdog'") == 2)
    wait_for(lambda: machine.journal().count("cat 1.00") >= 5)


@pytest.mark.slow
def test_the_service_is_its_own_user_writes_only_what_is_learnt_and_goes_over_to_a_new_release(machine):
    assert machine.edgewise("service", machine.camera).returncode == 0
    assert machine.run("ps", "-o", "user=", "-p", machine.show("MainPID")) == "edgewise"
    assert 0 < int(machine.show("MemoryMax")) < 1 << 60
    board = "/run/edgewise/board"
    for path in ("/current/labels.txt", "/trust/new.pub", "/edgewise", "/state.json"):
        assert "Read-only" in machine.refused("root", "touch", board + path)
        assert machine.refused("edgewise", "touch", board + path)
    assert "Read-only" in machine.refused("root", "touch", "/etc/passwd")
    assert "Permission denied" in machine.refused("edgewise", "ls", "/root")
    walls = camera_folder(
        os.path.join(machine.folder, "walls"), [np.full((8, 8, 1), 60 + g, np.uint8) for g in range(12)]
    )
    machine.as_owner("teach", walls, "--label", "wall")  # while the service reads the same store
    os.rename(machine.camera, machine.camera + ".away")
    os.rename(walls, machine.camera)
    wait_for(lambda: "wall" in machine.show("StatusText"))
    with lending(machine.board):  # as an install does for its fresh frames
        wait_for(lambda: "a release on trial has the camera" in machine.journal())
    first = machine.show("MainPID")
    path = release(machine.folder, 2, {"report.json": b"{}"})
    machine.as_owner("install", path)
    wait_for(lambda: machine.show("MainPID") not in (first, "0") and "wall" in machine.show("StatusText"))
    assert "another release is current" in machine.journal()
    assert any("wall" in line for line in machine.run(machine.board.path("edgewise"), "logs").split("\n"))
    done = machine.edgewise("service", "--remove")
    assert done.returncode == 0 and machine.show("LoadState") == "not-found"


@pytest.mark.slow
def test_a_page_of_the_service_teaches_and_collects_asks_for_its_password_and_changes_no_release(machine):
    pytest.importorskip("tornado", reason="the page needs Tornado")
    with contextlib.closing(socket.socket()) as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
    page = ("--web", "0.0.0.0:{}".format(port), "--collect")
    done = machine.edgewise("service", machine.camera, *page)
    assert done.returncode == 2 and "no password" in done.stderr and machine.show("LoadState") == "not-found"
    password = machine.board.path("personal", PASSWORD)
    save_password(password, make_hash("correct horse"))
    machine.give_away(machine.board.path("personal"))
    for _ in range(2):  # installed again, over what the service left
        done = machine.edgewise("service", machine.camera, *page)
        assert done.returncode == 0, done.stderr + machine.journal()
    assert os.stat(password).st_mode & 0o777 == 0o640
    client = PageClient(port)
    assert client.enter("correct horse") == 201
    assert client.ask("POST", "/api/hold", {"label": "wall"})[0] == 201
    assert client.ask("POST", "/api/lessons")[0] == 201
    assert "wall" in machine.as_owner("learned")
    assert client.ask("POST", "/api/collected/hold", {"label": "cup"})[0] == 201
    assert client.ask("DELETE", "/api/collected/hold")[2]["label"] == "cup"
    picture = machine.board.path("personal", "collected", "cup", "*.png")
    done = machine.systemd.run("runuser", "-u", "nano", "--", "sh", "-c", "rm " + picture)
    assert done.returncode == 0, done.stderr
    status, _, releases = client.ask("GET", "/api/releases")
    assert status == 200 and releases["current"] == releases["running"]
    status, _, error = client.ask("POST", "/api/rollback")
    assert status >= 400 and "the service may not change" in json.dumps(error)
    assert machine.show("ActiveState") == "active"


@pytest.mark.slow
def test_a_service_that_does_not_start_is_said_why_and_not_left_behind(machine):
    folder = os.path.realpath(machine.board.path("current"))
    os.remove(os.path.join(folder, "golden.npz"))
    done = machine.edgewise("service", machine.camera, "--json")
    assert done.returncode == 1
    error = json.loads(done.stdout)["error"]
    assert error["kind"] == "BoardError" and "golden.npz" in error["found"]
    assert machine.show("LoadState") == "not-found"


@pytest.mark.slow
def test_without_root_the_command_with_sudo_is_named(machine):
    words = ["runuser", "-u", "nano", "--", machine.board.path("edgewise"), "service", "0"]
    done = machine.systemd.run(*words, env=environment(EDGEWISE_PYTHON=machine.systemd.python))
    assert done.returncode == 1 and "sudo {} service 0".format(machine.board.path("edgewise")) in done.stderr


def test_without_systemd_the_supervisor_is_named(tmp_path):
    if os.path.isdir("/run/systemd/system"):
        pytest.skip("systemd runs this machine")
    board = service_board(str(tmp_path))
    code, answer = on_board(board.root, "service", "0")
    assert code == 1 and "supervise SOURCE" in answer["error"]["remedy"]
