"""One release onto several boards: all are asked about first, and one that fails stops no other."""

import json
import os
import subprocess
import sys
import threading
from datetime import datetime, timezone
from pathlib import Path

import pytest
from run_maker import make_run

from bench.ssh_board import SSHD, SshBoard
from deploy.flash import FirstContact
from deploy.installed import status
from deploy.keys import keygen
from deploy.pack import pack
from deploy.several import flash_several
from edge.contract.errors import BoardError, UsageError

NOW = datetime(2026, 11, 22, 5, 0, 0, tzinfo=timezone.utc)
ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def release(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Beside it is `desk.pub`."""
    folder = tmp_path_factory.mktemp("release")
    return pack(make_run(folder / "run"), keygen(folder / "desk").key, NOW, name="tiny", out=folder / "1.edge").archive


def test_boards_are_asked_about_one_by_one_and_then_flashed_together(release: Path, tmp_path: Path) -> None:
    targets = [f"local:{tmp_path}/{name}" for name in "abc"]
    happened: list[str] = []
    together = threading.Barrier(len(targets), timeout=60)  # broken unless all three are on their way at once

    def progress(target: str, sent: int, total: int) -> None:
        if f"bytes {target}" not in happened:
            happened.append(f"bytes {target}")
            together.wait()

    def agree(contact: FirstContact) -> bool:
        happened.append(f"asked {contact.target}")
        return True

    done = flash_several(release, targets, release.with_name("desk.pub"), progress, agree)
    assert [(each.target, each.report and each.report.state) for each in done] == [(t, "GOOD") for t in targets]
    assert happened[:3] == [f"asked {target}" for target in targets]
    assert sorted(happened[3:]) == [f"bytes {target}" for target in targets]


def test_one_that_fails_or_is_refused_stops_no_other(release: Path, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "thesis.txt").write_text("not a board")
    targets = [f"local:{tmp_path}/{name}" for name in ("a", "other", "no", "b")]
    done = flash_several(
        release,
        targets,
        release.with_name("desk.pub"),
        lambda *_: None,
        lambda contact: not contact.target.endswith("no"),
    )
    assert [each.report is not None for each in done] == [True, False, False, True]
    assert "holds something else" in str(done[1].error) and "nobody agreed" in str(done[2].error)
    assert status(targets[3]).current is not None and not (tmp_path / "no").exists()


def test_a_board_that_is_named_twice_is_wrong_use(release: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError):
        flash_several(release, [f"local:{tmp_path}/a"] * 2, None, lambda *_: None, lambda contact: True)


@pytest.mark.skipif(SSHD is None, reason="needs openssh-server")
def test_the_command_says_a_line_for_each_board_and_fails_if_one_did(
    release: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    board = SshBoard(tmp_path / "ssh", sys.executable)
    monkeypatch.setenv("PATH", f"{board.bin}:{os.environ['PATH']}")
    command = [sys.executable, "-m", "edgewise", "flash", str(release), board.target, f"local:{tmp_path}/a",
               "127.0.0.1:1", "--trust", str(release.with_name("desk.pub")), "--yes", "--json"]  # fmt: skip
    try:
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, stdin=subprocess.DEVNULL)
    finally:
        board.close()
    answer = json.loads(done.stdout)["boards"]
    assert done.returncode == 1 and [each.get("state") for each in answer] == ["GOOD", "GOOD", None]
    assert "Connection refused" in answer[2]["error"]["found"] and answer[2]["error"]["kind"] == BoardError.__name__
    assert "2 of 3 boards are flashed" in done.stderr
