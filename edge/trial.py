"""The trial of a release, run in processes of its own by that release's own runtime: golden vectors, fresh frames."""

import json
import os
import signal
import subprocess
import sys
from typing import Any, Callable, Dict, Mapping, Optional, Sequence

from edge.address import hidden
from edge.board import Board
from edge.camera import lending
from edge.contract.errors import GateError
from edge.with_parent import signalled_with_parent

TIMEOUT_S = 600  # a Nano's first load of a model takes tens of seconds; this is for one that never ends


def golden_process(root: str, environment: Mapping[str, str]) -> Callable[[str], None]:
    """A function of a release folder (absolute) that raises GateError unless its golden vectors hold."""

    def run_golden(folder: str) -> None:
        try:
            ask_release(root, folder, environment, ["golden", folder])
        except GateError as error:
            raise GateError(
                "the release's golden vectors do not hold here: {}".format(error.found),
                "what the desk computed",
                "nothing was changed; see docs/package-format.md, Golden vectors",
            ) from None

    return run_golden


def trial_process(board: Board, camera: Optional[str], environment: Mapping[str, str]) -> Callable[[str], None]:
    """As golden_process(), and then, on a board with a camera, also GateError unless it classifies fresh frames."""
    run_golden = golden_process(board.root, environment)

    def run_trial(folder: str) -> None:
        run_golden(folder)
        if camera is None:
            return
        try:
            with lending(board):
                ask_release(board.root, folder, environment, ["frames", folder, camera])
        except GateError as error:
            raise GateError(
                "the release classified no fresh frames of the camera {}: {}".format(hidden(camera), error.found),
                "frames that change",
                "nothing was changed; see the camera, or whether another program holds it",
            ) from None

    return run_trial


def ask_release(
    root: str, folder: str, environment: Mapping[str, str], words: Sequence[str], timeout_s: float = TIMEOUT_S
) -> Dict[str, Any]:
    """What a verb of the release in `folder` answers, in a process of its own. Raises GateError with why it failed.

    The folder's runtime is both the working folder, which `-m` searches first, and PYTHONPATH: no other `edge` counts.
    """
    runtime = os.path.join(folder, "runtime")
    try:
        done = subprocess.run(
            [sys.executable, "-B", "-m", "edge", "--board", root] + list(words) + ["--json"],
            cwd=runtime,
            env=dict(environment, PYTHONPATH=runtime),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            timeout=timeout_s,
            preexec_fn=signalled_with_parent(signal.SIGKILL),  # it writes into the release, which `recover` may remove
        )
    except subprocess.TimeoutExpired:
        raise _failed("did not end within {} s".format(timeout_s)) from None
    said = done.stdout.decode("utf-8", "replace").strip().rpartition("\n")[2]  # onnxruntime may print before it
    try:
        answer = json.loads(said)
        if done.returncode == 0:
            return answer
        raise _failed(answer["error"]["found"])
    except (ValueError, KeyError, TypeError):
        last = done.stderr.decode("utf-8", "replace").strip().rpartition("\n")[2]
        raise _failed("ended with {}: {}".format(done.returncode, last[:200])) from None


def _failed(found: str) -> GateError:
    return GateError(found, "an answer", "run it by hand")
