"""Power cuts in the middle of an install on a real ext4 in a loop-mounted file, and what is left after each.

The cut is FS_IOC_SHUTDOWN without a flush of the journal, as xfstests simulates it (src/godown):
from one moment on nothing reaches the disk any more, and what ext4 had not written is gone. The file system is then
mounted again, which replays its journal. `noauto_da_alloc` takes away what ext4 does for programs that forget fsync.
"""

import fcntl
import os
import random
import signal
import struct
import subprocess
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, cast

from bench.kills import trace_command
from bench.survivor import Scene, install_command, survived
from edge.contract.errors import EdgewiseError, InputError
from edge.states import parse_state

_FS_IOC_SHUTDOWN = 0x8004587D  # _IOR('X', 125, __u32), include/uapi/linux/fs.h
_NO_LOG_FLUSH = 2
_IMAGE_BYTES = 96 << 20


@dataclass(frozen=True)
class CutReport:
    cuts: int
    bricks: tuple[str, ...]  # number and what was lost
    found: dict[str, int]  # the second release's state on the disk when the power came back; "none" before STAGED
    after: dict[str, int]  # releases that answered afterwards


def cut_power(
    scene: Scene, folder: Path, cuts: int, seed: int, progress: Callable[[int, int], None] = lambda step, steps: None
) -> CutReport:
    """Cuts the power `cuts` times, a moment after a durable call, both drawn from `seed`.

    strace says when a call is made; times alone would mostly meet the start of Python. Raises InputError where strace
    is not installed or nothing can be mounted.
    """
    image, place = folder / "disk.img", folder / "mounted"
    place.mkdir()
    _make_disk(scene, image, place)
    calls = _calls(scene, image, place, folder)
    rng = random.Random(seed)  # noqa: S311  not for secrets
    bricks, found, after = [], Counter[str](), Counter[str]()
    for number in range(cuts):
        disk = _copy(image, folder / f"cut{number}.img")
        with _mounted(disk, place), _installing(scene, place / "board") as process:
            _wait_for_call(process, rng.randint(0, calls), 10 ** rng.uniform(-4, -0.5))
            _shut_down(place)
        # A copy: `mount` would take the loop device of the same file, and what it knows of it, as long as that lives
        after_cut = _copy(disk, folder / f"after{number}.img")
        with _mounted(after_cut, place):
            try:
                found[_second_state(place / "board")] += 1
                after[survived(scene, place / "board")] += 1
            except (EdgewiseError, OSError, ValueError) as error:
                bricks.append(f"{number}: {error}")
        disk.unlink()
        after_cut.unlink()
        progress(number + 1, cuts)
    return CutReport(cuts, tuple(bricks), dict(found), dict(after))


def _make_disk(scene: Scene, image: Path, place: Path) -> None:
    with image.open("wb") as file:
        file.truncate(_IMAGE_BYTES)
    _run("mkfs.ext4", "-q", "-F", str(image))
    with _mounted(image, place):
        _run("cp", "-a", str(scene.board), str(place / "board"))


def _calls(scene: Scene, image: Path, place: Path, folder: Path) -> int:
    """How many durable calls a whole install makes. Raises InputError where strace may not trace it."""
    with _mounted(_copy(image, folder / "cut.img"), place), _installing(scene, place / "board") as process:
        count = sum(1 for _ in cast("IO[bytes]", process.stderr))
        if process.wait() != 0:
            raise InputError("strace cannot trace an install here", "the right to trace", "allow ptrace")
        return count


def _wait_for_call(process: "subprocess.Popen[bytes]", number: int, further_s: float) -> None:
    """Until the install has made so many calls, or ended, and a moment longer."""
    for _ in range(number):
        if not cast("IO[bytes]", process.stderr).readline():
            return
    time.sleep(further_s)


@contextmanager
def _installing(scene: Scene, board: Path) -> Iterator[subprocess.Popen[bytes]]:
    """An install that goes on meanwhile; at the end nothing of it is left."""
    words, runtime, environment = install_command(scene, board)
    told = scene.told.open("rb")
    process = subprocess.Popen(
        [*trace_command(), *words],
        cwd=runtime,
        env=environment,
        stdin=told,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,  # what strace says
        start_new_session=True,
    )
    try:
        yield process
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
        told.close()


def _second_state(board: Path) -> str:
    """STAGED, TRIAL, GOOD or FAILED of the release with counter 2; "none" before it is there."""
    state = parse_state((board / "state.json").read_bytes())
    return next((entry.state for entry in state.releases.values() if entry.counter == 2), "none")


def _shut_down(place: Path) -> None:
    handle = os.open(place, os.O_RDONLY)
    try:
        fcntl.ioctl(handle, _FS_IOC_SHUTDOWN, struct.pack("I", _NO_LOG_FLUSH))
    finally:
        os.close(handle)


@contextmanager
def _mounted(image: Path, place: Path) -> Iterator[None]:
    _run("mount", "-t", "ext4", "-o", "loop,noauto_da_alloc", str(image), str(place))
    try:
        yield
    finally:
        _unmount(place)


def _unmount(place: Path) -> None:
    """A process that was killed may still be leaving the disk."""
    for _ in range(100):
        if subprocess.run(["umount", str(place)], capture_output=True, check=False).returncode == 0:  # noqa: S607
            return
        time.sleep(0.05)
    raise InputError(f"{place} cannot be unmounted", "a disk that nobody uses", "see who uses it: fuser -m")


def _copy(image: Path, to: Path) -> Path:
    _run("cp", "--sparse=always", str(image), str(to))
    return to


def _run(*words: str) -> None:
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise InputError(f"{words[0]}: {done.stderr.strip()[-200:]}", "root, and loop mounts", "run it where these are")
