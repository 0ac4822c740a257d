"""The story of `edgewise bench flash`: finished runs in, flashed over a real sshd, killed, cut, mutated; rows out."""

import json
import multiprocessing
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timezone
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from bench.fuzz import fuzz
from bench.groups import chosen_groups
from bench.kills import kill_at_every_call
from bench.power_cuts import cut_power
from bench.process import processor_seconds
from bench.rows import Row, all_of, at_most, machine, write
from bench.ssh_board import SSHD, SshBoard
from bench.survivor import Scene, make_scene
from deploy.keys import keygen
from deploy.pack import pack
from edge.contract.archive import Archive
from edge.contract.errors import InputError

NAME = "flash"
_ROOT = Path(__file__).resolve().parents[1]
_MEMORY = Path("/dev/shm")  # noqa: S108  a folder in memory; a fuzzed install need not be durable
_NOW = datetime(2026, 11, 22, tzinfo=timezone.utc)
_MOST_TIMES_SCP = 1.5
_MOST_UNCHANGED_PERCENT = 1.0
_MOST_BESIDES_KB = 64.0  # courier, manifest, questions and answers
_COUNTED_S = 0.3  # until the server has waited for the process of a connection that ended

T = TypeVar("T")

Progress = Callable[[str, int, int], None]


@dataclass(frozen=True)
class Settings:
    rounds: int  # of flash and scp beside each other
    kill_every: int  # 1: at every call
    cuts: int
    mutations: int
    seed: int = 0


FULL = Settings(rounds=7, kill_every=1, cuts=200, mutations=20_000)
QUICK = Settings(rounds=1, kill_every=30, cuts=3, mutations=500)


@dataclass(frozen=True)
class Flashed:
    """What one flash said of itself."""

    staged_seconds: float
    health_seconds: float
    bytes_sent: int
    bytes_in_release: int


class FlashBench:
    """Rows so far, and the two releases, of different runs with the same runtime."""

    def __init__(self, runs: Path, out: Path, settings: Settings, command: str, progress: Progress) -> None:
        """Raises InputError for a folder with fewer than two runs that can be packed."""
        self.out, self.settings, self.command, self.progress = out, settings, command, progress
        self.runs = find_runs(runs)
        self.machine = {**machine(), "settings": str(settings)}
        self.rows: list[Row] = []

    def measure(self, only: str | None) -> list[Row]:
        """Every row, or those of one group. Raises UsageError for another name."""
        groups: dict[str, Callable[[Path], None]] = {
            "ssh": self.over_ssh,
            "kills": self.kills,
            "cuts": self.cuts,
            "mutations": self.mutations,
        }
        for measure in chosen_groups(groups, only):
            with tempfile.TemporaryDirectory(prefix="edgewise-bench-") as folder:
                measure(Path(folder))
        return self.rows

    def over_ssh(self, folder: Path) -> None:
        """Time and bytes, with the two largest runs."""
        if SSHD is None:
            self.add(self.unmeasured("flash over SSH", "sshd is not installed"))
            return
        key = keygen(folder / "owner")
        one, two = (
            pack(run, key.key, _NOW, out=folder / f"{counter}.edge", name="bench", counter=counter).archive
            for counter, run in ((1, self.runs[-1]), (2, self.runs[-2]))
        )
        with _served(folder / "ssh") as board:
            self.add(*self.against_scp(board, one, key.public))
            unchanged = flash(board, one)
            new = flash(board, two)
        share = 100 * unchanged.bytes_sent / unchanged.bytes_in_release
        must, holds = at_most(_MOST_UNCHANGED_PERCENT, share)
        sizes: dict[str, float | str] = {
            "sent, bytes": unchanged.bytes_sent,
            "in the release, bytes": unchanged.bytes_in_release,
        }
        self.add(Row("unchanged release: share that is sent", share, "%", must, holds, self.command, sizes))
        files = packed_difference(one, two)
        besides = (new.bytes_sent - files) / 1e3
        must, holds = at_most(_MOST_BESIDES_KB, besides)
        sizes = {"sent, bytes": new.bytes_sent, "its changed files, packed, bytes": files}
        self.add(Row("new model, same runtime: sent besides", besides, "kB", must, holds, self.command, sizes))

    def against_scp(self, board: SshBoard, archive: Path, public: Path) -> list[Row]:
        """A first flash and an scp of the same archive, in turn."""
        flashes, copies, spent = [], [], dict[str, list[float]](flash=[], scp=[])
        for turn in range(self.settings.rounds):
            steps: list[Callable[[], None]] = [
                lambda: flashes.append(_timed(board, spent["flash"], lambda: first_flash(board, archive, public))),
                lambda: copies.append(_timed(board, spent["scp"], lambda: scp(board, archive))),
            ]
            for step in steps if turn % 2 == 0 else reversed(steps):
                step()
            self.progress("flash and scp", turn + 1, self.settings.rounds)
        ratio = statistics.median(f.staged_seconds / s for f, s in zip(flashes, copies, strict=True))
        must, holds = at_most(_MOST_TIMES_SCP, ratio)
        seconds: dict[str, float | str] = {
            "flash to STAGED, s": statistics.median(f.staged_seconds for f in flashes),
            "health check, s": statistics.median(f.health_seconds for f in flashes),
            "scp, s": statistics.median(copies),
            "processor time of the whole flash, s": statistics.median(spent["flash"]),
            "of scp, s": statistics.median(spent["scp"]),
            "archive, bytes": archive.stat().st_size,
        }
        return [Row("first flash to STAGED / scp of the archive", ratio, "times", must, holds, self.command, seconds)]

    def kills(self, folder: Path) -> None:
        name, scene = "installs killed at a durable call", self.scene(folder)
        try:
            done = kill_at_every_call(scene, folder, self.settings.kill_every, partial(self.progress, "kills"))
            self.add(self.survived(name, sum(done.kills.values()), done.bricks, done.kills))
        except InputError as error:
            self.add(self.unmeasured(name, str(error)))

    def cuts(self, folder: Path) -> None:
        name, scene, settings = "power cuts on a mounted ext4", self.scene(folder), self.settings
        try:
            done = cut_power(scene, folder, settings.cuts, settings.seed, partial(self.progress, "power cuts"))
            self.add(self.survived(name, done.cuts, done.bricks, done.found))
        except InputError as error:
            self.add(self.unmeasured(name, str(error)))

    def scene(self, folder: Path) -> Scene:
        """Two releases, of the smallest runs."""
        made = folder / "scene"
        made.mkdir()
        return make_scene(self.runs[0], self.runs[1], made)

    def mutations(self, _: Path) -> None:
        """In a process of its own, whose peak of memory is the mutations' alone."""
        memory = _MEMORY if _MEMORY.is_dir() else None
        spawn = multiprocessing.get_context("spawn")
        with tempfile.TemporaryDirectory(dir=memory) as folder, spawn.Pool(1) as pool:
            done = pool.apply(fuzz, (self.settings.mutations, self.settings.seed, Path(folder)))
        must, holds = all_of(done.mutated - done.same, done.refused)
        about: dict[str, float | str] = {
            "with the same signed bytes, installed": done.same,
            "harmed": "; ".join(done.harmed) or 0,
            "memory, MB more": done.memory_mb,
        }
        name = f"mutated releases ({done.mutated}) refused in one line"
        self.add(Row(name, done.refused, "", must, holds, self.command, about))

    def survived(self, name: str, count: int, bricks: tuple[str, ...], kinds: dict[str, int]) -> Row:
        """The row of so many interruptions, after each of which a GOOD release must answer, with all it has learnt."""
        must, holds = all_of(count, count - len(bricks))
        about: dict[str, float | str] = dict(kinds)
        if bricks:
            about["lost"] = "; ".join(bricks)
        return Row(f"{name}: a GOOD release answers", count - len(bricks), "", must, holds, self.command, about)

    def unmeasured(self, name: str, why: str) -> Row:
        return Row(name, why, "", "", None, self.command)

    def add(self, *rows: Row) -> None:
        self.rows.extend(rows)
        write(self.out, NAME, self.machine, self.rows)


def find_runs(runs: Path) -> list[Path]:
    """The run folders under `runs` that can be packed, the smallest first. Raises InputError for fewer than two."""
    found = sorted(runs.glob("*/int8/head.npz"), key=lambda path: (path.parent / "model.u8.onnx").stat().st_size)
    if len(found) < 2:
        raise InputError(
            f"{runs} holds {len(found)} runs with a head", "two", "run `edgewise train` and `edgewise quantize`"
        )
    return [path.parents[1] for path in found]


def first_flash(board: SshBoard, archive: Path, public: Path) -> Flashed:
    """Onto a board that has nothing. What it had is moved: ext4 is slow to make files where many were just deleted."""
    if board.root.exists():
        board.root.rename(board.folder / f"board-{time.monotonic_ns()}")
    os.sync()
    return flash(board, archive, "--trust", str(public))


def flash(board: SshBoard, archive: Path, *more: str) -> Flashed:
    """The command as a person types it."""
    words = [sys.executable, "-m", "edgewise", "flash", str(archive), board.direct, "--yes", "--json", *more]
    found: dict[str, Any] = json.loads(_run(words, board))
    return Flashed(*(found[name] for name in ("staged_seconds", "health_seconds", "bytes_sent", "bytes_in_release")))


def scp(board: SshBoard, archive: Path) -> float:
    """Seconds that the system's scp takes to the same server."""
    host, port = board.direct.split(":")
    to = board.folder / "copied"
    to.unlink(missing_ok=True)
    os.sync()
    started = time.monotonic()
    _run(["scp", "-q", "-F", str(board.folder / "config"), "-P", port, str(archive), f"{host}:{to}"], board)
    return time.monotonic() - started


def _timed(board: SshBoard, spent: list[float], act: Callable[[], T]) -> T:
    """Adds to `spent` the seconds of processor time that `act` took at the desk and behind the server."""
    pids = (os.getpid(), board.server_pid())
    before = sum(map(processor_seconds, pids))
    done = act()
    time.sleep(_COUNTED_S)
    spent.append(sum(map(processor_seconds, pids)) - before)
    return done


def packed_difference(one: Path, two: Path) -> int:
    """The bytes of the files of `two` that `one` has not, as they stand in the archive."""
    with Archive(str(one), _unverified) as before, Archive(str(two), _unverified) as after:
        had = {entry.sha256 for entry in before.manifest.files.values()}
        new = {entry.sha256: name for name, entry in after.manifest.files.items() if entry.sha256 not in had}
        return sum(after.packed(name).size_bytes for name in new.values())


def _unverified(data: bytes, signature: bytes) -> None:
    """This bench has packed it itself."""


def _run(words: list[str], board: SshBoard) -> bytes:
    environment = {**os.environ, "PATH": f"{board.bin}:{os.environ['PATH']}"}
    done = subprocess.run(words, cwd=_ROOT, env=environment, capture_output=True, check=False)
    if done.returncode != 0:
        raise InputError(f"{words[0]}: {done.stderr.decode()[-300:]}", "a flash that works", "see what it says")
    return done.stdout


@contextmanager
def _served(folder: Path) -> Iterator[SshBoard]:
    board = SshBoard(folder, sys.executable)
    try:
        yield board
    finally:
        board.close()
