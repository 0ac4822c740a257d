"""The trial of a release, run in processes of its own by that release's own runtime: golden vectors, fresh frames."""

import json
import os
import subprocess
import sys
from typing import Callable, List, Mapping, Optional

from edge.address import hidden
from edge.board import Board
from edge.camera import lending
from edge.contract.errors import GateError

TIMEOUT_S = 600  # a Nano's first load of a model takes tens of seconds; this is for one that never ends


def golden_process(root: str, environment: Mapping[str, str]) -> Callable[[str], None]:
    """A function of a release folder (absolute) that raises GateError unless its golden vectors hold."""

    def run_golden(folder: str) -> None:
        reason = _ended(root, folder, environment, ["golden", folder])
        if reason:
            raise GateError(
                "the release's golden vectors do not hold here: {}".format(reason),
                "what the desk computed",
                "nothing was changed; see docs/package-format.md, Golden vectors",
            )

    return run_golden


def trial_process(board: Board, camera: Optional[str], environment: Mapping[str, str]) -> Callable[[str], None]:
    """As golden_process(), and then, on a board with a camera, also GateError unless it classifies fresh frames."""
    run_golden = golden_process(board.root, environment)

    def run_trial(folder: str) -> None:
        run_golden(folder)
        if camera is None:
            return
        with lending(board):
            reason = _ended(board.root, folder, environment, ["frames", folder, camera])
        if reason:
            raise GateError(
                "the release classified no fresh frames of the camera {}: {}".format(hidden(camera), reason),
                "frames that change",
                "nothing was changed; see the camera, or whether another program holds it",
            )

    return run_trial


def _ended(root: str, folder: str, environment: Mapping[str, str], words: List[str]) -> str:
    """Runs a verb of the release in `folder`; returns why it failed, or nothing.

    The folder's runtime is both the working folder, which `-m` searches first, and PYTHONPATH: no other `edge` counts.
    """
    runtime = os.path.join(folder, "runtime")
    try:
        done = subprocess.run(
            [sys.executable, "-B", "-m", "edge", "--board", root] + words + ["--json"],
            cwd=runtime,
            env=dict(environment, PYTHONPATH=runtime),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            timeout=TIMEOUT_S,
        )
    except subprocess.TimeoutExpired:
        return "did not end within {} s".format(TIMEOUT_S)
    return "" if done.returncode == 0 else _reason(done)


def _reason(done: subprocess.CompletedProcess) -> str:
    try:
        return json.loads(done.stdout.decode("utf-8"))["error"]["found"]
    except (ValueError, KeyError, TypeError):
        lines = done.stderr.decode("utf-8", "replace").strip().split("\n")
        return "ended with {}: {}".format(done.returncode, lines[-1][:200])
