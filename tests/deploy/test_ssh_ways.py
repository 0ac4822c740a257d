"""What a person's own OpenSSH does: a jump host, an agent, a passphrase on the terminal, a cable that is pulled."""

import os
import pty
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import datetime, timezone
from pathlib import Path

import pytest
from run_maker import make_run

from bench.ssh_board import SSHD, SshBoard
from deploy.board import LinkLost
from deploy.flash import FlashReport, flash
from deploy.installed import status
from deploy.keys import keygen
from deploy.pack import pack

pytestmark = pytest.mark.skipif(SSHD is None, reason="needs openssh-server")

NOW = datetime(2026, 11, 22, 5, 0, 0, tzinfo=timezone.utc)
ROOT = Path(__file__).resolve().parents[2]
PASSPHRASE = "a horse and a battery"  # noqa: S105


class Desk:
    """A key, a release and a board behind a real sshd."""

    def __init__(self, folder: Path, board: SshBoard) -> None:
        self.folder, self.board = folder, board
        key = keygen(folder / "desk")
        self.public, self.archive = key.public, folder / "one.edge"
        pack(make_run(folder / "run", head=os.urandom(1_000_000)), key.key, NOW, name="tiny", out=self.archive)

    def flash(self, target: str) -> FlashReport:
        return flash(self.archive, target, self.public, lambda done, total: None, lambda contact: True)

    def passphrase(self, new: str, old: str = "") -> None:
        key = str(self.board.folder / "client")
        subprocess.run(["ssh-keygen", "-q", "-p", "-P", old, "-N", new, "-f", key], check=True)


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Desk]:
    board = SshBoard(tmp_path / "ssh", sys.executable)
    monkeypatch.setenv("PATH", f"{board.bin}:{os.environ['PATH']}")
    yield Desk(tmp_path, board)
    board.close()


def test_a_board_behind_a_jump_host_is_flashed(desk: Desk) -> None:
    jump = SshBoard(desk.folder / "jump", sys.executable)
    try:
        desk.board.known_hosts.write_text(desk.board.known_hosts.read_text() + jump.known_hosts.read_text())
        keys = desk.board.folder / "authorized_keys"
        (jump.folder / "authorized_keys").write_text(keys.read_text())
        _, port = desk.board.direct.split(":")
        _, jump_port = jump.target.split(":")
        desk.board.configure(
            "Host door", "HostName 127.0.0.1", f"Port {port}", "ProxyJump gate",
            "Host gate", "HostName 127.0.0.1", f"Port {jump_port}",
        )  # fmt: skip
        assert desk.flash("door").state == "GOOD"
        assert jump.link.sent > desk.archive.stat().st_size
        assert status("door").current is not None
    finally:
        jump.close()


def test_a_key_that_only_the_agent_can_use_is_enough(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    socket, key = desk.folder / "agent", desk.board.folder / "client"
    agent = subprocess.Popen(["ssh-agent", "-D", "-a", str(socket)], stdout=subprocess.DEVNULL)
    try:
        while not socket.exists():
            time.sleep(0.02)
        monkeypatch.setenv("SSH_AUTH_SOCK", str(socket))
        subprocess.run(["ssh-add", "-q", str(key)], check=True)
        key.unlink()
        config = desk.board.folder / "config"
        config.write_text(config.read_text().replace("IdentityAgent none", ""))
        assert desk.flash(desk.board.target).state == "GOOD"
    finally:
        agent.terminate()
        agent.wait()


def test_ssh_asks_for_a_passphrase_on_the_terminal_and_the_flash_goes_on(desk: Desk) -> None:
    desk.passphrase(PASSPHRASE)
    words = [sys.executable, "-m", "edgewise", "flash", str(desk.archive), desk.board.target]
    child, terminal = pty.fork()
    if child == 0:
        os.chdir(ROOT)
        os.execv(words[0], [*words, "--trust", str(desk.public)])
    said = b""
    for question, answer in ((b"passphrase for key", PASSPHRASE), (b"trust this key?", "y")):
        while question not in said:
            said += os.read(terminal, 1 << 12)
        os.write(terminal, answer.encode() + b"\n")
    try:
        while piece := os.read(terminal, 1 << 12):
            said += piece
    except OSError:  # the terminal is gone with its last process
        pass
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0, said.decode()
    assert b"is GOOD" in said
    assert PASSPHRASE.encode() not in said


def test_a_cable_that_is_pulled_without_a_word_is_noticed_and_what_arrived_is_kept(desk: Desk) -> None:
    """With ssh asking whether the board is there seven times as often as it does: that takes a minute."""
    ssh = desk.board.bin / "ssh"
    ssh.write_text(ssh.read_text().replace('"$@"', '-o ServerAliveInterval=2 "$@"'))
    desk.board.link.cut(after=900_000, silently=True)
    with pytest.raises(LinkLost):
        desk.flash(desk.board.target)
    desk.board.wait_until_alone()
    desk.board.link.cut(after=0)
    again = desk.flash(desk.board.target)
    assert (again.state, again.bytes_kept > 0) == ("GOOD", True)
