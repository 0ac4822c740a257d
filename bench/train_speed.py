"""The rows of fine-tuning's speed: our training beside the loop of PyTorch's tutorial, in turn, on one thread."""

import json
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable, Mapping
from contextlib import ExitStack, suppress
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bench.rows import Row, at_least
from bench.train_loops import BATCH, PHOTOS, PHOTOS_WHOLE, TUTORIAL, TUTORIAL_FROZEN, WAYS
from edge.contract.errors import InputError

_LEAST = 1.3
_STEPS = 2  # a turn; the first is not counted: the other loops' turns were before it
_ROUNDS, _QUICK_ROUNDS = 9, 3
_END_S = 120
_FEW = {"train": 7, "val": 2, "test": 2}  # pictures a class that our loop gets: enough for a turn
_ROOT = Path(__file__).resolve().parents[1]


class Loop:
    """A running `python -m bench.train_loops`."""

    def __init__(self, way: str, pictures: Path) -> None:
        self.way = way
        command = [sys.executable, "-m", "bench.train_loops", way, str(pictures), str(_STEPS)]
        self.process = subprocess.Popen(
            command, cwd=_ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
        )

    def turn(self) -> NDArray[np.float64]:
        """Takes a turn. Seconds that each counted step took, (N, 2): of the clock, of its processor time."""
        if not self.process.stdin or not self.process.stdout:
            raise ValueError("a loop without pipes")
        with suppress(BrokenPipeError):
            self.process.stdin.write("\n")
            self.process.stdin.flush()
        said = self.process.stdout.readline()
        if not said:
            raise InputError(f"the loop {self.way!r} ended", "a loop that trains", "run python -m bench.train_loops")
        return np.diff(np.array(json.loads(said)), axis=0)[1:]

    def __enter__(self) -> "Loop":
        return self

    def __exit__(self, *_: object) -> None:
        try:
            self.process.communicate(timeout=_END_S)  # the end of its input is the end of its loop
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.communicate()


def train_speed_rows(pictures: Path, quick: bool, command: str, progress: Callable[[int, int], None]) -> list[Row]:
    """Three ratios of pictures a second: as each is by default, and with the same layers trained in both.

    pictures: trashnet_256.zip. The tutorial's workers read ahead while others have their turn, on whatever core is
    free: that is in its favour. Raises InputError for a loop that ends.
    """
    rounds = _QUICK_ROUNDS if quick else _ROUNDS
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        every, few = Path(folder) / "every", Path(folder) / "few"
        extract(pictures, every, {"train": None})
        extract(pictures, few, _FEW)
        loops = [stack.enter_context(Loop(way, every if way.startswith(TUTORIAL) else few)) for way in WAYS]
        for loop in loops:
            loop.turn()  # does not count
        turns: dict[str, list[NDArray[np.float64]]] = {way: [] for way in WAYS}
        for turn in range(rounds):
            first = turn % len(loops)
            for loop in loops[first:] + loops[:first]:
                turns[loop.way].append(np.median(loop.turn(), axis=0))
            progress(turn + 1, rounds)
    seconds = {way: np.array(found) for way, found in turns.items()}
    return [
        speed_row("as each is by default", seconds, PHOTOS, TUTORIAL, command),
        speed_row("the whole network trained in both", seconds, PHOTOS_WHOLE, TUTORIAL, command),
        speed_row("the same layers frozen in both", seconds, PHOTOS, TUTORIAL_FROZEN, command),
    ]


def speed_row(name: str, seconds: Mapping[str, NDArray[np.float64]], ours: str, theirs: str, command: str) -> Row:
    """The median ratio over the turns. seconds: of a step, (turns, 2): of the clock, of processor time."""
    ratios = seconds[theirs] / seconds[ours]
    low, ratio, high = np.percentile(ratios[:, 0], [25, 50, 75])
    speeds = {way: BATCH / float(np.median(seconds[way][:, 0])) for way in (ours, theirs)}
    processor = float(np.median(ratios[:, 1]))
    must, holds = at_least(_LEAST, float(ratio)) if (ours, theirs) == (PHOTOS, TUTORIAL) else ("", None)
    return Row(
        f"fine-tuning Lite0 224 on a CPU, one thread, batch {BATCH}: pictures a second over the tutorial's, {name}",
        round(float(ratio), 3),
        f"({speeds[ours]:.1f} a second; quartiles {low:.2f} to {high:.2f}; by processor time {processor:.2f})",
        must,
        holds,
        command,
        {theirs: f"{speeds[theirs]:.1f} a second"},
    )


def extract(archive: Path, folder: Path, most: Mapping[str, int | None]) -> None:
    """The first `most` pictures of each class, or all, of the parts that it names."""
    taken: dict[str, int] = {}
    with zipfile.ZipFile(archive) as pictures:
        for name in sorted(pictures.namelist()):
            part, _, rest = name.partition("/")
            label = f"{part}/{rest.partition('/')[0]}"
            if part not in most or not name.endswith(".jpg"):
                continue
            limit = most[part]
            if limit is None or taken.get(label, 0) < limit:
                pictures.extract(name, folder)
                taken[label] = taken.get(label, 0) + 1
