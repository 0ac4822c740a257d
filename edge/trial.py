"""The golden vectors of a release, run in a process of its own by that release's own runtime."""

import json
import os
import subprocess
import sys
from typing import Callable, Mapping

from edge.contract.errors import GateError

TIMEOUT_S = 600  # a Nano's first load of a model takes tens of seconds; this is for one that never ends


def golden_process(root: str, environment: Mapping[str, str]) -> Callable[[str], None]:
    """A function of a release folder (absolute) that raises GateError unless its golden vectors hold.

    The folder's runtime is both the working folder, which `-m` searches first, and PYTHONPATH: no other `edge` counts.
    """

    def run_golden(folder: str) -> None:
        runtime = os.path.join(folder, "runtime")
        command = [sys.executable, "-B", "-m", "edge", "--board", root, "golden", folder, "--json"]
        try:
            done = subprocess.run(
                command,
                cwd=runtime,
                env=dict(environment, PYTHONPATH=runtime),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                timeout=TIMEOUT_S,
            )
        except subprocess.TimeoutExpired:
            raise _refused("did not end within {} s".format(TIMEOUT_S)) from None
        if done.returncode != 0:
            raise _refused(_reason(done))

    return run_golden


def _reason(done: subprocess.CompletedProcess) -> str:
    try:
        return json.loads(done.stdout.decode("utf-8"))["error"]["found"]
    except (ValueError, KeyError, TypeError):
        lines = done.stderr.decode("utf-8", "replace").strip().split("\n")
        return "ended with {}: {}".format(done.returncode, lines[-1][:200])


def _refused(reason: str) -> GateError:
    return GateError(
        "the release's golden vectors do not hold here: {}".format(reason),
        "what the desk computed",
        "nothing was changed; see docs/package-format.md, Golden vectors",
    )
