"""The real install, as the desk starts it, killed by the kernel's tracer in the middle of a system call."""

import os
import shutil
import subprocess
import sys
from datetime import datetime, timezone
from pathlib import Path

import pytest
from run_maker import make_run

from deploy.flash import flash
from deploy.installed import status
from deploy.keys import keygen
from deploy.pack import pack

NOW = datetime(2026, 11, 22, 5, 0, 0, tzinfo=timezone.utc)
RENAMES = "rename,renameat,renameat2"


def traced(root: Path, archive: Path, log: Path, *more: str) -> int:
    """Runs the board's own install under strace, following its golden process; returns its exit code."""
    runtime = (root / "current").resolve() / "runtime"
    install = [sys.executable, "-B", "-m", "edge", "--board", str(root), "install", str(archive), "--json"]
    command = ["strace", "-f", "-o", str(log), "-e", f"trace={RENAMES}", *more, *install]
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": str(runtime)}
    return subprocess.run(command, cwd=runtime, env=environment, capture_output=True, check=False).returncode


def copied(board: Path, to: Path) -> Path:
    """A copy in which hard links are hard links."""
    subprocess.check_call(["cp", "-a", str(board), str(to)])
    return to


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("strace") is None, reason="needs strace")
def test_an_install_killed_at_its_renames_leaves_a_whole_good_release(tmp_path: Path) -> None:
    keygen(tmp_path / "desk")
    key, public = tmp_path / "desk.key", tmp_path / "desk.pub"
    one = pack(make_run(tmp_path / "one"), key, NOW, name="tiny", counter=1).archive
    two = pack(make_run(tmp_path / "two", head=b"another"), key, NOW, name="tiny", counter=2).archive
    first = tmp_path / "board"
    release = flash(one, f"local:{first}", public, lambda done, total: None, lambda contact: True).release

    whole = copied(first, tmp_path / "whole")
    if traced(whole, two, tmp_path / "log") != 0:
        pytest.skip("strace may not trace here")
    assert status(f"local:{whole}").current != release
    log = (tmp_path / "log").read_text().splitlines()
    lines = [line for line in log if "rename" in line and "resumed>" not in line]
    install = lines[-1].split()[0]  # strace counts a process's calls by themselves, and the golden one's are others
    calls = [line for line in lines if line.split()[0] == install]
    bytecode = [number for number, line in enumerate(calls, 1) if "__pycache__" in line]
    others = set(range(1, len(calls) + 1)).difference(bytecode)
    assert len(others) > 8

    for number in sorted({*others, bytecode[0], bytecode[-1]}):  # the last one is the state file's, which says GOOD
        board = copied(first, tmp_path / f"board{number}")
        assert traced(board, two, tmp_path / "log", "-e", f"inject={RENAMES}:signal=KILL:when={number}") != 0
        current = (board / "current").resolve()
        assert current.parent == board / "releases"
        assert (current / "manifest.json").is_file()
        report = status(f"local:{board}")
        assert report.current == release == (board / "current").resolve().name
        assert report.releases[release].state == "GOOD"
        assert os.listdir(board / "releases") == [release]
