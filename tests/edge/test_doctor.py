"""Each trap that a board is known for is found, named, and comes with what to do; a sound board has nothing wrong."""

import json
import os
import shutil
import subprocess
import sys

import cv2
import numpy as np
import pytest
from release_maker import new_board
from service_board import service_board
from tiny_board import tiny_board

from edge.doctor import folder, machine, software
from edge.doctor.finding import HINT, OK, WRONG, Place, child, hint, ok, wrong
from edge.doctor.report import examine, summary

NANO = {
    "proc/device-tree/model": "NVIDIA Jetson Nano Developer Kit\0",
    "etc/nv_tegra_release": "# R32 (release), REVISION: 7.1, GCID: 29689809, BOARD: t210ref, EABI: aarch64\n",
    "proc/meminfo": "MemTotal: 4059252 kB\nMemFree: 9 kB\nMemAvailable: 2800000 kB\nSwapTotal: 2029612 kB\n",
    "sys/class/thermal/thermal_zone0/type": "AO-therm\n",
    "sys/class/thermal/thermal_zone0/temp": "47500\n",
    "sys/class/thermal/thermal_zone1/type": "CPU-therm\n",
    "sys/class/thermal/thermal_zone1/temp": "51000\n",
    "sys/class/thermal/cooling_device0/type": "cpu-balanced\n",
    "sys/class/thermal/cooling_device0/cur_state": "0\n",
    "sys/devices/system/cpu/cpu0/cpufreq/scaling_max_freq": "1479000\n",
    "sys/devices/system/cpu/cpu0/cpufreq/cpuinfo_max_freq": "1479000\n",
    "dev/video0": "",
    "sys/class/video4linux/video0/name": "UVC Camera (046d:0825)\n",
    # sshd for all, something on loopback, a connection; then sshd by IPv6
    "proc/net/tcp": "  sl  local_address rem_address   st\n"
    "   0: 00000000:0016 00000000:0000 0A 0\n   1: 0100007F:0277 00000000:0000 0A 0\n"
    "   2: 0A01A8C0:0050 0101A8C0:D2A8 01 0\n",
    "proc/net/tcp6": "  sl  local_address\n   0: 00000000000000000000000000000000:0016 0:0 0A 0\n"
    "   1: 00000000000000000000000001000000:1F90 0:0 0A 0\n",
}
SMALL = "MemTotal: 2000000 kB\nMemAvailable: 900000 kB\nSwapTotal: 0 kB\n"


@pytest.fixture
def nano(tmp_path):
    """A place with the files of a Nano; called with changes, it makes them."""

    def make(**changes):
        for name, text in dict(NANO, **changes).items():
            path = tmp_path / "system" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        return Place(str(tmp_path / "board"), str(tmp_path / "system"))

    return make


def test_a_sound_nano_is_named_and_has_nothing_wrong(nano):
    place = nano()
    assert machine.board(place).found == "NVIDIA Jetson Nano Developer Kit, L4T 32.7.1"
    checks = [machine.board, machine.memory, machine.heat, machine.speed, machine.ports]
    assert {check(place).state for check in checks} == {OK}
    assert machine.heat(place).found == "51 degrees C at CPU-therm"
    assert machine.ports(place).found == "open to the network: 22"
    assert machine.cameras(place) == [ok("camera", "/dev/video0: UVC Camera (046d:0825)")]


@pytest.mark.parametrize(
    "check, changes, state, words",
    [
        (machine.memory, {"proc/meminfo": SMALL}, HINT, "nvzramconfig"),
        (machine.memory, {"proc/meminfo": SMALL.replace("900000", "90000")}, WRONG, "end other programs"),
        (machine.memory, {"proc/meminfo": ""}, HINT, "free -m"),
        (machine.heat, {"sys/class/thermal/thermal_zone1/temp": "91500"}, HINT, "92 degrees C at CPU-therm"),
        (machine.heat, {"sys/class/thermal/cooling_device0/cur_state": "2"}, HINT, "cpu-balanced is slowed down"),
        (machine.speed, {"sys/devices/system/cpu/cpu0/cpufreq/scaling_max_freq": "918000"}, HINT, "nvpmodel -m 0"),
    ],
)  # fmt: skip
def test_what_slows_or_stops_a_board_is_named(nano, check, changes, state, words):
    found = check(nano(**changes))
    assert found.state == state and words in found.found + found.remedy


def test_no_camera_is_a_hint_and_one_without_permission_is_wrong(nano, monkeypatch):
    place = nano()
    monkeypatch.setattr(os, "access", lambda path, mode: False)  # this user may be root, who may all
    (found,) = machine.cameras(place)
    assert found.state == WRONG and "usermod -aG video" in found.remedy
    os.remove(place.at("dev/video0"))
    assert machine.cameras(place)[0].state == HINT


def test_a_clock_that_is_not_the_desks_or_behind_the_last_flash_is_named(nano, tmp_path):
    place = nano()
    assert machine.clock(place, 1000.0, 1060.0).state == OK
    assert "3600 s behind the desk's" in machine.clock(place, 4600.0, 1000.0).found
    (tmp_path / "board").mkdir()
    (tmp_path / "board" / "state.json").write_text("{}")
    assert "before the last flash" in machine.clock(place, None, 0.0).found


def test_a_disk_is_held_against_what_a_flash_of_the_present_size_needs(nano, tmp_path):
    place = nano()
    assert machine.disk(place).state == OK
    (tmp_path / "board" / "current").mkdir(parents=True)
    with open(str(tmp_path / "board" / "current" / "model"), "wb") as file:
        file.truncate(1 << 42)  # a file of 4 TB that takes no room
    assert machine.disk(place).state == WRONG


def package(tmp_path, name, text):
    """A package `name` that stands before any other."""
    (tmp_path / "first" / name).mkdir(parents=True, exist_ok=True)
    (tmp_path / "first" / name / "__init__.py").write_text(text)
    return str(tmp_path / "first")


ILLEGAL = "import os, signal\nif 'OPENBLAS_CORETYPE' not in os.environ: os.kill(os.getpid(), signal.SIGILL)\n"


def test_numpys_illegal_instruction_is_told_from_a_missing_numpy(tmp_path):
    places = dict(os.environ, PYTHONPATH=package(tmp_path, "numpy", ILLEGAL + "__version__ = '1.19.5'\n"))
    found = software.numpy(places)
    assert found.state == HINT and "illegal instruction" in found.found and "OPENBLAS_CORETYPE=ARMV8" in found.remedy
    package(tmp_path, "numpy", "raise ImportError('no numpy here')")
    found = software.numpy(places)
    assert found.state == WRONG and "no numpy here" in found.found and "python3-numpy" in found.remedy
    assert software.numpy(os.environ).state == OK


def test_an_opencv_that_cannot_be_loaded_or_hides_the_systems_is_named(tmp_path, monkeypatch):
    text = "raise ImportError('cannot allocate memory in static TLS block')"
    monkeypatch.setenv("PYTHONPATH", package(tmp_path, "cv2", text))
    (found,) = software.opencv(os.environ)
    assert found.state == WRONG and "LD_PRELOAD" in found.remedy
    package(tmp_path, "cv2", "__version__ = '4.6'\ndef getBuildInformation(): return '    GStreamer:   NO'")
    (found,) = software.opencv(os.environ)
    assert found.state in (OK, HINT) and "without GStreamer" in found.found and "first/cv2" in found.found
    package(tmp_path, "cv2", "__version__ = '4.1'\ndef getBuildInformation(): return '    GStreamer:   YES (1.14)'")
    assert software.opencv(os.environ)[0].found.endswith("with GStreamer")


def test_a_provider_counts_only_if_it_runs(tmp_path, monkeypatch):
    found = {each.name: each for each in software.onnxruntime(os.environ)}
    assert found["onnxruntime"].state == found["CPU"].state == OK and "Azure" not in found
    text = (
        "__version__ = '1.10'\n"
        "def get_available_providers(): return ['TensorrtExecutionProvider', 'CPUExecutionProvider']\n"
        "class SessionOptions: pass\nclass InferenceSession:\n"
        "  def __init__(self, model, options, providers): self.p = providers\n"
        "  def get_providers(self): return ['CPUExecutionProvider']\n"
        "  def run(self, *a):\n    import numpy\n    return [numpy.ones(4) * 2]\n"
    )
    monkeypatch.setenv("PYTHONPATH", package(tmp_path, "onnxruntime", text))
    found = {each.name: each for each in software.onnxruntime(os.environ)}
    assert found["Tensorrt"].state == HINT and "took CPUExecutionProvider instead" in found["Tensorrt"].found
    assert found["CPU"].state == OK


def test_what_a_child_does_never_ends_the_doctor():
    assert child("-c", "import os; os.abort()").code == -6
    assert child("-c", "import time; time.sleep(60)", seconds=1).code == 124


@pytest.fixture
def board(tmp_path):
    return service_board(str(tmp_path))


def test_an_installed_board_is_in_order(board):
    place = Place(board.root)
    assert {check(place).state for check in (folder.permissions, folder.trust, folder.release)} == {OK}


def test_keys_that_are_not_theirs_and_private_ones_are_wrong(board):
    place = Place(board.root)
    (name,) = os.listdir(board.path("trust"))
    shutil.copy(board.path("trust", name), board.path("trust", "0" * 16 + ".pub"))
    assert "not the key that its name says" in folder.trust(place).found
    with open(board.path("trust", "mine.key"), "w") as file:
        file.write("-----BEGIN PRIVATE KEY-----\n")
    assert folder.trust(place)[:3] == ("trust", WRONG, "mine.key is a private key")
    shutil.rmtree(board.path("trust"))
    assert "no key" in folder.trust(place).found and folder.trust(place).state == WRONG


def test_a_folder_that_everybody_may_change_is_wrong(board):
    os.chmod(board.path("trust"), 0o777)  # noqa: S103
    assert "everybody may change {}".format(board.path("trust")) in folder.permissions(Place(board.root)).found


def test_a_release_that_is_not_good_is_wrong(board):
    with open(board.path("state.json")) as file:
        text = file.read().replace('"GOOD"', '"TRIAL"')
    with open(board.path("state.json"), "w") as file:
        file.write(text)
    assert folder.release(Place(board.root)).state == WRONG


def test_a_board_before_its_first_flash_is_in_order(tmp_path):
    for root in (str(tmp_path / "none"), new_board(tmp_path / "new").root):
        assert {check(Place(root)).state for check in (folder.permissions, folder.trust, folder.release)} == {OK}


def test_only_what_is_wrong_makes_the_exit_code_1():
    assert summary([ok("a", "fine"), hint("b", "slow", "do that")]).exit_code == 0
    found = summary([ok("a", "fine"), wrong("b", "broken", "mend it")])
    assert found.exit_code == 1 and found.lines == ("ok    a: fine", "wrong b: broken; mend it", "1 wrong, 0 hints")
    assert found.fields["checks"][1] == {"name": "b", "state": "wrong", "found": "broken", "remedy": "mend it"}


def test_this_machine_is_examined_and_the_doctor_loads_nothing_but_the_standard_library(board):
    found = examine(board.root, os.environ)
    names = [check["name"] for check in found.fields["checks"]]
    assert {"python", "numpy", "opencv", "onnxruntime", "CPU", "cryptography", "disk", "trust"} <= set(names)
    code = "import sys, json; import edge.doctor.report; print(json.dumps(sorted(sys.modules)))"
    root = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
    loaded = json.loads(subprocess.check_output([sys.executable, "-c", code], cwd=root).decode())
    assert not {"numpy", "cv2", "onnxruntime", "cryptography"} & set(loaded)


def test_a_python_without_a_package_is_one_line_that_names_both_and_doctor_still_works(tmp_path):
    root, picture = tiny_board(str(tmp_path)), str(tmp_path / "a.png")
    cv2.imwrite(picture, np.zeros((8, 8), np.uint8))
    environment = {"PATH": os.environ["PATH"], "EDGEWISE_PYTHON": str(tmp_path / "bare")}
    (tmp_path / "bare").write_text('#!/bin/sh\nexec "{}" -S "$@"\n'.format(sys.executable))
    (tmp_path / "bare").chmod(0o755)
    ask = lambda *words: subprocess.run(  # noqa: E731
        [os.path.join(root, "edgewise")] + list(words), env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    done = ask("run", picture)
    line = done.stderr.decode().strip()
    assert done.returncode == 1 and line.count("\n") == 0 and "has no " in line and "edgewise doctor" in line
    assert "fault of edgewise" not in line and b"has no" not in ask("doctor").stderr
