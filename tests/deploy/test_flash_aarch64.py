"""A board with another processor: Debian's arm64 Python under qemu-user, flashed over SSH, shown a film and taught."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from datetime import datetime, timezone
from pathlib import Path

import cv2
import numpy as np
import pytest
from run_maker import make_run, stripes, tiny_head

from bench.ssh_board import SSHD, SshBoard
from deploy.flash import flash
from deploy.installed import rollback
from deploy.keys import keygen
from deploy.pack import pack
from edge.film import open_film

ROOT = Path(__file__).resolve().parents[2]
PYTHON = ROOT / ".aarch64" / "usr" / "bin" / "python3"
NOW = datetime(2026, 11, 22, 5, 0, 0, tzinfo=timezone.utc)

pytestmark = [
    pytest.mark.aarch64,
    pytest.mark.slow,
    pytest.mark.skipif(SSHD is None, reason="needs openssh-server"),
    pytest.mark.skipif(not PYTHON.exists(), reason="needs .aarch64, which scripts/aarch64 makes"),
]


@pytest.fixture
def board(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[SshBoard]:
    board = SshBoard(tmp_path / "ssh", str(PYTHON))
    monkeypatch.setenv("PATH", f"{board.bin}:{os.environ['PATH']}")
    yield board
    board.close()


def film(path: Path) -> Path:
    """Ten frames of upright stripes."""
    with open_film(str(path), 10.0, (64, 64)) as opened:
        for frame in stripes(10, True):
            opened.write(np.repeat(np.kron(frame[..., 0], np.ones((8, 8), np.uint8))[..., None], 3, axis=2))
    return path


def on_board(board: SshBoard, *words: str) -> list[dict[str, object]]:
    command = [sys.executable, "-m", "edgewise", *words, "--board", board.target, "--json"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, stdin=subprocess.DEVNULL)
    assert done.returncode == 0, done.stderr + done.stdout
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_an_arm64_board_is_flashed_gives_the_desks_features_names_a_film_and_is_taught(
    tmp_path: Path, board: SshBoard
) -> None:
    key = keygen(tmp_path / "desk")
    base = tiny_head(tmp_path / "head.npz")
    one, two = (
        pack(make_run(tmp_path / str(n), head=base), key.key, NOW, name="tiny", counter=n, boards=("aarch64",)).archive
        for n in (1, 2)
    )
    first = flash(one, board.target, key.public, lambda done, total: None, lambda contact: True)
    assert first.state == "GOOD"
    release = f"{board.root}/releases/{first.release}"
    runtime = {"PATH": os.environ["PATH"], "PYTHONPATH": f"{release}/runtime"}
    command = [str(PYTHON), "-B", "-m", "edge", "--board", str(board.root), "golden", release, "--json"]
    golden = json.loads(subprocess.check_output(command, env=runtime, cwd=f"{release}/runtime"))
    assert golden["identical"] == golden["pictures"] > 0
    named = on_board(board, "run", str(film(tmp_path / "film.avi")))
    assert [line["label"] for line in named] == ["cat"] * 10
    cv2.imwrite(str(tmp_path / "fox.png"), np.random.default_rng(7).integers(0, 255, (64, 64, 3), dtype=np.uint8))
    (taught,) = on_board(board, "teach", str(tmp_path / "fox.png"), "--label", "fox")
    assert taught["new_class"] is True
    assert flash(two, board.target, None, lambda done, total: None, lambda contact: True).state == "GOOD"
    assert rollback(board.target).release == first.release
