"""A board that has Python and little else: what it is given, what of its own stays, what is said if nobody knows."""

import json
import os
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from datetime import datetime, timezone
from pathlib import Path

import pytest
from run_maker import make_run

from bench.ssh_board import SSHD, SshBoard
from deploy import bare
from deploy.board import Board, Look
from deploy.bootstrap import Bare, bootstrap, choose, fetch
from deploy.installed import status
from deploy.keys import keygen
from deploy.pack import pack
from deploy.target import parse_target
from edge.contract.errors import BoardError, InputError, UsageError

ROOT = Path(__file__).resolve().parents[2]
PYTHON36 = ROOT / ".venv36" / "bin" / "python"
NOW = datetime(2026, 11, 22, tzinfo=timezone.utc)
NOTHING = {"error": "ModuleNotFoundError: No module named"}
JETPACK4 = Bare("3.6", "aarch64", "2.27", dict.fromkeys(("numpy", "cv2", "onnxruntime", "cryptography"), NOTHING), [])


def has(**versions: str) -> Bare:
    """A Nano with these modules of its system's."""
    there = {module: {"version": version, "file": f"/usr/lib/{module}"} for module, version in versions.items()}
    return Bare("3.6", "aarch64", "2.27", {**JETPACK4.packages, **there}, [])


def packages(board: Bare, wheels: Path | None = None) -> set[str]:
    return {wheel.package for wheel in choose(board, wheels)}


def test_a_board_is_given_only_what_its_system_lacks() -> None:
    rest = {"onnxruntime", "cryptography", "cffi"}
    assert packages(JETPACK4) == rest | {"numpy", "opencv-python-headless"}
    assert packages(has(numpy="1.19.5", cv2="4.1.1")) == rest
    assert packages(has(numpy="1.19.5", cv2="4.1.1", onnxruntime="1.11.0", cryptography="3.4")) == set()


def test_a_numpy_that_is_too_old_for_onnxruntime_is_replaced_and_its_opencv_stays() -> None:
    assert packages(has(numpy="1.13.3", cv2="4.1.1")) == {"numpy", "onnxruntime", "cryptography", "cffi"}
    assert "numpy" not in packages(has(numpy="1.13.3", cv2="4.1.1", onnxruntime="1.10.0"))


def test_a_vendors_wheel_in_the_persons_folder_comes_first_if_it_fits_the_board(tmp_path: Path) -> None:
    fits = "onnxruntime_gpu-1.11.0-cp36-cp36m-linux_aarch64.whl"
    for name in (
        fits,
        "onnxruntime_gpu-1.15.1-cp38-cp38-linux_aarch64.whl",
        "numpy-1.19.5-cp36-cp36m-linux_x86_64.whl",
    ):
        (tmp_path / name).touch()
    found = {wheel.package: wheel.file for wheel in choose(JETPACK4, tmp_path)}
    assert found["onnxruntime"] == fits
    assert found["numpy"].endswith("manylinux2014_aarch64.whl")


@pytest.mark.parametrize(
    ("python", "machine", "glibc"),
    [("3.7", "aarch64", "2.28"), ("3.6", "armv7l", "2.27"), ("3.10", "aarch64", "2.31"), ("3.6", "x86_64", "")],
)
def test_a_board_that_the_table_does_not_know_is_told_what_to_install_by_hand(
    python: str, machine: str, glibc: str
) -> None:
    board = Bare(python, machine, glibc, JETPACK4.packages, [])
    with pytest.raises(BoardError) as caught:
        choose(board, None)
    assert "sudo apt install python3-numpy python3-opencv" in caught.value.remedy
    assert "onnxruntime cryptography" in caught.value.remedy and "\n" not in str(caught.value)


def test_a_wheel_of_another_content_than_the_tables_is_refused(tmp_path: Path) -> None:
    wheel = choose(JETPACK4, None)[0]
    (tmp_path / wheel.file).write_bytes(b"another")
    assert choose(JETPACK4, tmp_path)[0] == wheel
    with pytest.raises(InputError) as caught:
        fetch([wheel], JETPACK4, tmp_path, tmp_path)
    assert wheel.sha256 in caught.value.expected


def wheel_of(folder: Path, name: str, code: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(folder / f"{name}-1-py3-none-any.whl", "w") as wheel:
        wheel.writestr(f"{name}.py", code)


def test_packages_that_cannot_be_imported_leave_those_that_were_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "path", [str(ROOT), *sys.path])  # where the sent program has edge/contract
    first = tmp_path / "packages" / "first"
    wheel_of(tmp_path / "packages" / "wheels", "addition", "works = 1")
    assert bare.unpack(str(tmp_path), str(tmp_path / "packages" / "wheels"))["unpacked"] == [
        "addition-1-py3-none-any.whl"
    ]
    assert (first / "addition.py").is_file() and list((first / "__pycache__").iterdir())
    wheel_of(tmp_path / "packages" / "wheels", "numpy", "raise ImportError('broken here')")
    with pytest.raises(ImportError, match="broken here"):
        bare.unpack(str(tmp_path), str(tmp_path / "packages" / "wheels"))
    assert (
        os.listdir(tmp_path) == ["packages"] and (first / "addition.py").is_file() and not (first / "numpy.py").exists()
    )


def test_opencv_stands_behind_the_systems_own_and_the_rest_before_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "path", [str(ROOT), *sys.path])
    wheels = tmp_path / "packages" / "wheels"
    wheel_of(wheels, "cv2", "raise ImportError('shadowed')")
    (wheels / "cv2-1-py3-none-any.whl").rename(wheels / "opencv_python-1-py3-none-any.whl")
    bare.unpack(str(tmp_path), str(wheels))  # imports the system's
    assert (tmp_path / "packages" / "last" / "cv2.py").is_file()


@pytest.fixture
def bare_board(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[SshBoard]:
    """An SSH server whose python3 is a Python 3.6 with nothing but its standard library."""
    if SSHD is None or not PYTHON36.exists():
        pytest.skip("needs openssh-server, and .venv36, which scripts/test makes")
    subprocess.run([str(PYTHON36), "-m", "venv", "--without-pip", str(tmp_path / "bare")], check=True)
    board = SshBoard(tmp_path / "ssh", str(tmp_path / "bare" / "bin" / "python"))
    monkeypatch.setenv("PATH", f"{board.bin}:{os.environ['PATH']}")
    yield board
    board.close()


def test_nothing_is_written_unless_somebody_agrees(bare_board: SshBoard) -> None:
    shown: list[str] = []
    with Board(parse_target(bare_board.target)) as board, pytest.raises(UsageError):
        bootstrap(board, board.look(), None, lambda lines: bool(shown.extend(lines)))
    said = "\n".join(shown)
    assert "Python 3.6" in said and "onnxruntime 1.10.0" in said and "sudo apt install python3-opencv" in said
    assert not bare_board.root.exists()


@pytest.mark.network
@pytest.mark.slow
def test_a_bare_python_36_is_bootstrapped_and_flashed_and_its_own_packages_are_untouched(
    bare_board: SshBoard, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    release = pack(make_run(tmp_path / "run"), keygen(tmp_path / "desk").key, NOW, name="tiny").archive
    own = sorted(str(path) for path in (tmp_path / "bare").rglob("*"))
    words = [sys.executable, "-m", "edgewise", "flash", str(release), bare_board.target, "--trust",
             str(tmp_path / "desk.pub"), "--bootstrap", "--yes", "--json"]  # fmt: skip

    def flash() -> dict[str, object]:
        done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, stdin=subprocess.DEVNULL)
        assert done.returncode == 0, done.stdout + done.stderr
        return dict(json.loads(done.stdout))

    first = flash()
    assert first["state"] == "GOOD" and len(first["unpacked"][bare_board.target]) == 5  # type: ignore[index, arg-type]
    monkeypatch.setenv("PIP_NO_INDEX", "1")  # the desk has no internet any more
    assert flash()["unpacked"] == {bare_board.target: []}
    assert status(bare_board.target).current == first["release"]
    assert sorted(str(path) for path in (tmp_path / "bare").rglob("*")) == own


def test_a_desk_without_internet_is_told_to_name_a_folder_of_wheels(
    bare_board: SshBoard, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in (("PIP_NO_INDEX", "1"), ("PIP_FIND_LINKS", ""), ("PIP_CONFIG_FILE", os.devnull)):
        monkeypatch.setenv(name, value)
    with Board(parse_target(bare_board.target)) as board, pytest.raises(InputError) as caught:
        bootstrap(board, Look(str(bare_board.root), "x86_64", [], None, False, True), None, lambda lines: True)
    assert "--wheels" in caught.value.remedy and ".whl" in caught.value.remedy
    assert not bare_board.root.exists()
