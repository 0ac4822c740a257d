"""The rows of training in several processes: what two come to beside one, and what it costs when one is killed."""

import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import mean

from bench.rows import Row
from edge.contract.errors import InputError
from train.run_folder import METRICS, MODEL, read_report

_NOISE = 1.0  # points: of 360 test pictures each is 0.28, and a right share of 99 % is known to half a point
_KILLED_AFTER = 3  # whole epochs
_LONGEST_S = 600
_ROOT = Path(__file__).resolve().parents[1]
_TRAIN = ("-m", "edgewise", "train", "digits", "--recipe", "small")
_WAYS = {
    "one": (),
    "two": ("-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", "--max-restarts", "1"),
}


def process_rows(seeds: int, command: str, progress: Callable[[int, int], None]) -> list[Row]:
    """Digits by `small`, with as many seeds. Raises InputError for a training that fails."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        pairs = []
        for seed in range(seeds):
            pairs.append([_accuracy(way, seed, folder / f"{label}-{seed}") for label, way in _WAYS.items()])
            progress(seed + 1, seeds + 1)
        lost, same = _kill_one(folder / "killed", folder / "two-0")
        progress(seeds + 1, seeds + 1)
    off = mean(two - one for one, two in pairs)
    told = ", ".join(f"{one:.2f} and {two:.2f}" for one, two in pairs)
    weights = "the same weights" if same else "other weights"
    return [
        Row(
            "digits: 2 processes minus 1",
            off,
            f"points on test (1 and 2: {told})",
            f"within {_NOISE:g}",
            abs(off) <= _NOISE,
            command,
        ),
        Row(
            "digits: one of 2 processes killed, whole epochs lost",
            lost,
            f"({weights} as without)",
            "0, the same weights",
            same and not lost,
            command,
        ),
    ]


def _accuracy(way: tuple[str, ...], seed: int, run: Path) -> float:
    """Percent of the test pictures."""
    with _training(way, seed, run):
        pass
    return 100 * float(read_report(run)["test_accuracy"])


@contextmanager
def _training(way: tuple[str, ...], seed: int, run: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A training that is begun, and waited for at the end. Raises InputError where it fails."""
    words = [sys.executable, *way, *_TRAIN, "--seed", str(seed), "--out", str(run), "--resume"]
    log = run.with_suffix(".log")
    with log.open("wb") as file:
        one_thread = {**os.environ, "OMP_NUM_THREADS": "1"}
        process = subprocess.Popen(words, cwd=_ROOT, env=one_thread, stdout=file, stderr=subprocess.STDOUT)
    try:
        yield process
        failed = process.wait(_LONGEST_S)
    finally:
        process.kill()
    if failed:
        last = (log.read_text().splitlines() or [""])[-1]
        raise InputError(f"{' '.join(words)} ended with {failed}: {last}", "a training that ends", "try it alone")


def _kill_one(run: Path, whole: Path) -> tuple[int, bool]:
    """Trains as `whole` was, and kills one of the processes in the middle of an epoch.

    Returns how many of the epochs before that were taken again, and whether it came to the weights of `whole`.
    """
    with _training(_WAYS["two"], 0, run) as process:
        while len(before := _epochs(run)) < _KILLED_AFTER and process.poll() is None:
            time.sleep(0.05)
        workers = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
        os.kill(int(workers[-1]), signal.SIGKILL)
    lost = len(set(before) - set(_epochs(run)))
    return lost, (run / MODEL).read_bytes() == (whole / MODEL).read_bytes()


def _epochs(run: Path) -> list[str]:
    path = run / METRICS
    return path.read_text().splitlines() if path.exists() else []
