"""doctor, service and logs from the desk, over a real OpenSSH connection to a board that a real systemd runs."""

import json
import os
import pty
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from service_board import camera_folder, service_board, wait_for
from systemd_boot import SYSTEMD, Systemd

from bench.ssh_board import SSHD, SshBoard

ROOT = Path(__file__).resolve().parents[2]

pytestmark = pytest.mark.skipif(SSHD is None, reason="needs openssh-server")


def edgewise(board: SshBoard, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PATH": f"{board.bin}:{os.environ['PATH']}"}
    command = [sys.executable, "-m", "edgewise", *arguments]
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, stdin=subprocess.DEVNULL)


@pytest.fixture
def bare(tmp_path: Path) -> Iterator[SshBoard]:
    board = SshBoard(tmp_path / "ssh", sys.executable)
    yield board
    board.close()


def test_the_doctor_sees_a_bare_board_and_leaves_nothing_there(bare: SshBoard) -> None:
    done = edgewise(bare, "doctor", bare.target, "--json")
    found = json.loads(done.stdout)
    assert (done.returncode, found["wrong"]) == (0, 0), done.stderr
    assert {"python", "numpy", "clock", "trust"} <= {check["name"] for check in found["checks"]}
    assert list(bare.home.iterdir()) == []


def test_a_board_whose_python_has_no_packages_is_told_what_to_install(bare: SshBoard) -> None:
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(bare.folder / "new")], check=True)
    bare.script(bare.board_bin / "python3", f'exec "{bare.folder}/new/bin/python" "$@"')
    done = edgewise(bare, "doctor", bare.target)
    assert done.returncode == 1
    for line in ("wrong numpy: ", "wrong opencv: ", "wrong onnxruntime: ", "wrong cryptography: ", "4 wrong"):
        assert line in done.stdout
    assert "No module named 'numpy'; `sudo apt install python3-numpy`" in done.stdout


def test_the_service_needs_a_release_first(bare: SshBoard) -> None:
    done = edgewise(bare, "service", bare.target, "0")
    assert done.returncode == 1 and "no release is installed" in done.stderr


@pytest.mark.parametrize("arguments", [(), ("0", "--remove")])
def test_a_service_of_nothing_or_of_two_things_is_wrong_use(bare: SshBoard, arguments: tuple[str, ...]) -> None:
    assert edgewise(bare, "service", bare.target, *arguments).returncode == 2


def at_a_terminal(board: SshBoard, typed: bytes, *arguments: str) -> bytes:
    """All that a person sees who types `typed` once sudo asks."""
    path = f"{board.bin}:{os.environ['PATH']}"
    child, terminal = pty.fork()
    if child == 0:
        os.chdir(ROOT)
        os.execve(sys.executable, [sys.executable, "-m", "edgewise", *arguments], {**os.environ, "PATH": path})
    seen = b""
    while True:
        try:
            data = os.read(terminal, 4096)
        except OSError:  # how a terminal says that nobody has it any more
            data = b""
        if not data:
            break
        asks = b"password" not in seen
        seen += data
        if asks and b"password" in seen:
            os.write(terminal, typed + b"\n")
    os.waitpid(child, 0)
    os.close(terminal)
    return seen


@pytest.mark.skipif(os.geteuid() != 0 or shutil.which("setpriv") is None, reason="needs root, to become another user")
def test_at_a_terminal_sudo_asks_for_its_password_there(bare: SshBoard) -> None:
    release = bare.root / "releases" / "one"
    (release / "runtime").mkdir(parents=True)
    (bare.root / "current").symlink_to("releases/one")
    (bare.root / "trust").mkdir()
    other = "setpriv --reuid=65534 --inh-caps=+dac_override --ambient-caps=+dac_override"
    bare.script(bare.board_bin / "python3", f'exec {other} "{sys.executable}" "$@"')
    ask = 'stty -echo; printf "[sudo] password for nano: "; read -r typed; stty echo'
    bare.script(bare.board_bin / "sudo", f'{ask}; [ "$typed" = secret ] && echo "as root: $*"')
    seen = at_a_terminal(bare, b"secret", "service", bare.target, "0")
    assert f"as root: {bare.root}/edgewise service 0".encode() in seen, seen
    assert b"secret" not in seen


class Machine:
    def __init__(self, stack: ExitStack) -> None:
        folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="edgewise-"))  # pytest's is closed to others
        Path(folder).chmod(0o755)
        self.systemd = stack.enter_context(Systemd(folder))
        self.board = SshBoard(Path(folder, "ssh"), self.systemd.python, self.systemd.inside)
        stack.callback(self.board.close)
        made = service_board(folder)
        Path(made.root).rename(self.board.root)
        self.camera = camera_folder(f"{folder}/camera")

    def edgewise(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return edgewise(self.board, *arguments)


@pytest.fixture
def machine() -> Iterator[Machine]:
    if SYSTEMD is None or os.geteuid() != 0:
        pytest.skip("needs systemd and root")
    with ExitStack() as stack:
        try:
            made = Machine(stack)
        except OSError as error:
            pytest.skip(f"no systemd starts here: {error}")
        yield made


@pytest.mark.slow
def test_a_service_is_installed_read_examined_and_removed_from_the_desk(machine: Machine) -> None:
    target = machine.board.target
    assert machine.edgewise("logs", target).returncode == 1
    done = machine.edgewise("service", target, machine.camera)
    assert done.stdout == f"edgewise.service runs on {target}: cat 1.00\n", done.stderr
    assert "cat 1.00" in machine.edgewise("logs", target).stdout
    checks = json.loads(machine.edgewise("doctor", target, "--json").stdout)["checks"]
    (service,) = [check for check in checks if check["name"] == "service"]
    assert service["found"] == "active, 0 restarts; cat 1.00"
    os.rename(machine.camera, machine.camera + ".away")
    wait_for(lambda: "waiting for the camera" in machine.edgewise("logs", target, "-n", "1").stdout)
    assert machine.edgewise("service", target, "--remove").stdout == f"edgewise.service is gone from {target}\n"
    assert "no service runs" in machine.edgewise("logs", target).stderr


@pytest.mark.slow
def test_where_sudo_is_missing_or_wants_a_password_the_command_to_type_is_named(machine: Machine) -> None:
    machine.systemd.run("useradd", "--no-create-home", "--home-dir", str(machine.board.home), "--password", "*", "nano")
    for path in (machine.board.home, *machine.board.home.rglob("*")):
        os.chown(path, 1000, 1000, follow_symlinks=False)
    machine.board.pid_file.touch()
    machine.board.pid_file.chmod(0o666)
    target = f"nano@{machine.board.target}"
    done = machine.edgewise("service", target, "0")
    assert done.returncode == 1 and "sudo on nano@" in done.stderr
    port = machine.board.link.port
    assert f"ssh -t -p {port} nano@127.0.0.1 sudo {machine.board.root}/edgewise service 0" in done.stderr
