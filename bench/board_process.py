"""`edgewise run` as a board starts it, a process of its own: how soon it names a frame, its memory, what it leaves."""

import json
import re
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from bench.process import children, count, resident_mb, runs
from bench.servers import free_port, mjpeg_server
from edge.contract.errors import InputError

_END_S = 10.0  # for a reader to notice that whoever started it is gone
_LABELS = 50  # after which memory is steady


@dataclass(frozen=True)
class Endured:
    """What a long run with a camera that is lost and back left behind."""

    frames: int  # that the camera gave
    classified: int
    lost: int  # times that it said so after results
    back: int  # times that results came, after the start and after a loss
    growth_mb: float  # of the process's memory, from a tenth of the run to its end
    threads: int  # more at the end than at a tenth
    files: int  # open, likewise
    readers: int  # processes that it left when it ended


class Run:
    """`ROOT/edgewise run SOURCE --json`, its lines one by one."""

    def __init__(self, root: Path, source: str, *options: str) -> None:
        command = [str(root / "edgewise"), "run", source, "--json", *options]
        self.started = time.monotonic()
        environment = {"EDGEWISE_PYTHON": sys.executable, "OMP_NUM_THREADS": "1", "PATH": "/usr/bin:/bin"}
        self.process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, stdin=subprocess.DEVNULL, env=environment
        )

    def line(self) -> dict[str, object]:
        """The next line. Raises InputError at the end."""
        assert self.process.stdout  # noqa: S101  for mypy
        text = self.process.stdout.readline()
        if not text:
            raise InputError(f"`edgewise run` ended with {self.process.wait()}", "labels", "run it by hand")
        said: dict[str, object] = json.loads(text)
        return said

    def __enter__(self) -> "Run":
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.wait()
        if self.process.stdout:
            self.process.stdout.close()


def first_label_seconds(root: Path, film: Path, rounds: int) -> float:
    """From the process's start to its first label; the median."""
    taken = []
    for _ in range(rounds):
        with Run(root, str(film)) as run:
            run.line()
            taken.append(time.monotonic() - run.started)
    return statistics.median(taken)


def slowest_imports(root: Path, film: Path, count: int = 6) -> str:
    """The packages that take longest to import for a first label, by Python's -X importtime."""
    release = (root / "current").resolve()
    command = [sys.executable, "-X", "importtime", "-B", "-m", "edge", "--board", str(root), "run", str(film), "--json"]
    with subprocess.Popen(
        command, cwd=release / "runtime", stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stderr  # noqa: S101  for mypy
        lines = process.stderr.read().splitlines()
    found: dict[str, int] = {}
    for line in lines:
        parts = re.match(r"import time:\s+(\d+) \|\s+\d+ \|\s+(\w+)", line)
        if parts:
            found[parts.group(2)] = found.get(parts.group(2), 0) + int(parts.group(1))
    slowest = sorted(found.items(), key=lambda each: -each[1])[:count]
    return ", ".join(f"{name} {microseconds / 1e3:.0f} ms" for name, microseconds in slowest)


def steady_memory_mb(root: Path, film: Path) -> float:
    with Run(root, str(film)) as run:
        for _ in range(_LABELS):
            run.line()
        return resident_mb(run.process.pid)


def endure(root: Path, frames: int, losses: int, rate: int, progress: Callable[[int, int], None]) -> Endured:
    """A camera of small, fast frames whose connection is cut again and again, at least `losses` times.

    It goes on until the run has been told of so many frames. A loss is a state `lost` after results; while a camera
    stays away the reason may change, which is said, too.
    """
    port, classified, lost, back, seen = free_port(), 0, 0, 0, 0
    state = "lost"  # as it is before the first result
    before: tuple[float, int, int] | None = None
    with (
        mjpeg_server(port, rate, "64x48", -(-frames // losses)),
        Run(root, f"http://127.0.0.1:{port}/live.mjpg") as run,
    ):
        while lost < losses or seen < frames or state == "lost":  # back, to be compared with how it was before
            said = run.line()
            if "state" not in said:
                back += state == "lost"
                state = "live"
                classified += 1
                seen = int(str(said["sequence"])) + 1
                if before is None and lost >= max(1, losses // 10):
                    before = _held(run.process.pid)
            elif said["state"] == "lost" and state != "lost":
                state = "lost"
                lost += 1
                progress(min(lost, losses), losses)
        after = _held(run.process.pid)
        readers = children(run.process.pid)
        run.process.terminate()
        run.process.wait()
    left = _still_running(readers)
    growth, threads, files = (end - start for end, start in zip(after, before or after, strict=True))
    return Endured(seen, classified, lost, back, growth, int(threads), int(files), left)


def _held(pid: int) -> tuple[float, int, int]:
    """Megabytes, threads and open files."""
    return resident_mb(pid), count(pid, "task"), count(pid, "fd")


def _still_running(processes: list[int]) -> int:
    """How many do not end by themselves."""
    give_up = time.monotonic() + _END_S
    while True:
        running = [pid for pid in processes if runs(pid)]
        if not running or time.monotonic() > give_up:
            return len(running)
        time.sleep(0.1)
