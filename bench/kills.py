"""An install killed at every call that makes something durable, by the kernel's tracer, and what is left each time."""

import os
import re
import shutil
import subprocess
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from bench.survivor import Scene, install_command, survived
from edge.contract.errors import EdgewiseError, InputError

# Some of these have several names, and a kernel or a libc uses one of them.
CALLS = (
    "fsync", "fdatasync", "rename", "renameat", "renameat2", "symlink", "symlinkat", "link", "linkat", "unlink",
    "unlinkat",
)  # fmt: skip


@dataclass(frozen=True)
class KillReport:
    kills: dict[str, int]  # by call
    bricks: tuple[str, ...]  # call, number and what was lost
    after: dict[str, int]  # releases that answered afterwards


def kill_at_every_call(
    scene: Scene, folder: Path, every: int, progress: Callable[[int, int], None] = lambda step, steps: None
) -> KillReport:
    """Kills an install before each of its CALLS, or before one in `every`; each time on a fresh copy of the board.

    Raises InputError where strace is not installed or may not trace.
    """
    points = _points(scene, folder)[::every]
    kills, after, bricks = Counter[str](), Counter[str](), []
    for step, (call, number) in enumerate(points):
        board = _copied(scene.board, folder / "killed")
        ended = _traced(scene, board, folder, f"inject={call}:signal=KILL:when={number}")
        kills[call] += 1
        try:
            after[survived(scene, board)] += 1
            if ended == 0:
                bricks.append(f"{call} {number} was not killed")
        except (EdgewiseError, OSError, ValueError) as error:
            bricks.append(f"{call} {number}: {error}")
        progress(step + 1, len(points))
    return KillReport(dict(kills), tuple(bricks), dict(after))


def trace_command() -> list[str]:
    """What to put before a command so that its CALLS are said on stderr. Raises InputError without strace."""
    if shutil.which("strace") is None:
        raise InputError("strace is not installed", "strace", "apt-get install strace")
    return ["strace", "-qq", "-e", "trace=" + ",".join(CALLS), "-e", "signal=none"]


def _points(scene: Scene, folder: Path) -> list[tuple[str, int]]:
    """Each call of a whole install: its name, and which of its name it is."""
    board = _copied(scene.board, folder / "killed")
    if _traced(scene, board, folder) != 0:
        raise InputError("strace cannot trace an install here", "the right to trace", "allow ptrace")
    lines = (folder / "strace.log").read_text().splitlines()
    found = Counter(match[1] for line in lines if (match := re.match(r"(\w+)\(", line)))
    return [(call, number) for call in CALLS for number in range(1, found[call] + 1)]


def _traced(scene: Scene, board: Path, folder: Path, *injected: str) -> int:
    """The install's exit code. Its golden vectors run in a process of their own, which is not traced."""
    words, runtime, environment = install_command(scene, board)
    options = [word for option in injected for word in ("-e", option)]
    command = [*trace_command(), "-o", str(folder / "strace.log"), *options, *words]
    with scene.told.open("rb") as told:
        done = subprocess.run(command, cwd=runtime, env=environment, stdin=told, capture_output=True, check=False)
    return done.returncode


def _copied(board: Path, to: Path) -> Path:
    """A copy in which hard links are hard links."""
    if os.path.lexists(to):
        shutil.rmtree(to)
    subprocess.run(["cp", "-a", str(board), str(to)], check=True)  # noqa: S607
    return to
