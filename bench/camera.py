"""The story of `edgewise bench camera`: a Lite0 run in; films, streams and long runs through the loop; rows out."""

import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timezone
from functools import partial
from pathlib import Path

from threadpoolctl import threadpool_limits

from bench.board_process import endure, first_label_seconds, slowest_imports, steady_memory_mb
from bench.camera_peers import PeerLoop, peer_loops
from bench.film_loop import OURS, RAW, Network, make_film, raw_network, time_film
from bench.groups import chosen_groups
from bench.live_loop import frame_ages, return_times
from bench.page import PageTimes, page_rows
from bench.rows import Row, at_most, machine, write
from bench.timing import Latency
from deploy.keys import keygen
from deploy.pack import pack
from edge.classifier import Classifier, open_classifier
from edge.contract.errors import InputError
from edge.release import open_release
from edge.store import open_store
from train.run_folder import load_run

NAME = "camera"
_ROOT = Path(__file__).resolve().parents[1]
_NOW = datetime(2026, 11, 22, tzinfo=timezone.utc)
_NETWORK = ("efficientnet-lite0", 224, 224)
_MOST_TIMES_RAW = {(640, 480): 1.03, (1280, 720): 1.08, (1920, 1080): 1.25}
_RATE, _CONSUMED = 30, 5  # frames a second
_MOST_START_S, _MOST_MEMORY_MB, _MOST_GROWTH_MB, _MOST_RETURN_S = 0.35, 130.0, 3.0, 2.0

Progress = Callable[[str, int, int], None]


@dataclass(frozen=True)
class Settings:
    film_frames: int
    rounds: int
    age_seconds: float
    starts: int
    returns: int
    frames: int  # of the long run
    losses: int
    rate: int = 1500  # frames a second of the long run's camera
    page: PageTimes = PageTimes(rounds=60, seconds=1.0)  # noqa: RUF009  frozen


FULL = Settings(film_frames=150, rounds=5, age_seconds=60, starts=11, returns=5, frames=200_000, losses=100)
QUICK = Settings(
    film_frames=60,
    rounds=3,
    age_seconds=10,
    starts=3,
    returns=2,
    frames=4_000,
    losses=4,
    page=PageTimes(rounds=8, seconds=0.5),
)


@dataclass(frozen=True)
class Stand:
    """A run, a board that has it, its network for the loop and for onnxruntime alone, and films by size."""

    run: Path
    root: Path
    classifier: Classifier
    network: Network
    films: dict[tuple[int, int], Path]


class CameraBench:
    """Rows so far."""

    def __init__(self, runs: Path, out: Path, settings: Settings, command: str, progress: Progress) -> None:
        self.runs, self.out, self.settings, self.command, self.progress = runs, out, settings, command, progress
        self.machine = {**machine(), "settings": str(settings)}
        self.rows: list[Row] = []

    def measure(self, only: str | None) -> list[Row]:
        """Every row, or those of one group. Raises UsageError for another name, InputError for a folder without a Lite0
        run of 224 x 224 pixels that can be packed.
        """
        groups: dict[str, Callable[[Stand], None]] = {
            "films": self.films,
            "process": self.process,
            "page": self.page,
            "streams": self.streams,
            "long": self.long_run,
            "peers": self.peers,
        }
        chosen = chosen_groups(groups, only)
        # numpy's BLAS has one thread, as in the board's own process (edge/__main__.py): its pool waits by spinning
        with threadpool_limits(1, "blas"), tempfile.TemporaryDirectory(prefix="edgewise-bench-") as folder:
            stand = make_stand(find_run(self.runs), Path(folder), self.settings.film_frames)
            for measure in chosen:
                measure(stand)
        return self.rows

    def films(self, stand: Stand) -> None:
        for size, film in stand.films.items():
            times, busy = self.timed(stand, film)
            ours = times.pop(OURS)
            unit = f"times ({ours.milliseconds:.2f} ms; quartiles {ours.low:.2f} to {ours.high:.2f})"
            raw = f"({times.pop(RAW).milliseconds:.2f} ms)"
            peers: dict[str, float | str] = {"processor time of the loop's thread / raw": busy, "raw session.run": raw}
            peers |= {name: f"{time.ratio:.2f} ({time.milliseconds:.2f} ms)" for name, time in times.items()}
            must, holds = at_most(_MOST_TIMES_RAW[size], round(ours.ratio, 4))
            name = f"film {film.stem}: frame loop / raw session.run"
            self.add(Row(name, ours.ratio, unit, must, holds, self.command, peers))

    def timed(self, stand: Stand, film: Path) -> tuple[dict[str, Latency], float]:
        step = partial(self.progress, film.stem)
        return time_film(film, stand.classifier, stand.network, self.settings.rounds, step)

    def peers(self, stand: Stand) -> None:
        """Each with a network of its own: what its loop adds to that stands beside its time."""
        film = next(iter(stand.films.values()))
        ours = self.timed(stand, film)[0][OURS].milliseconds
        found = peer_loops(film, stand.run, self.out / "peers", partial(self.progress, "peers"))
        loops = [peer.loop_ms for peer in found.values() if isinstance(peer, PeerLoop)]
        peers: dict[str, float | str] = {name: str(peer) for name, peer in found.items()}
        holds = all(ours < loop for loop in loops) if loops else None
        name = f"film {film.stem}: milliseconds a frame, beside peers' loops"
        self.add(Row(name, ours, "ms", "ahead of all", holds, self.command, peers))

    def process(self, stand: Stand) -> None:
        film = next(iter(stand.films.values()))
        seconds = first_label_seconds(stand.root, film, self.settings.starts)
        imports: dict[str, float | str] = {"slowest imports": slowest_imports(stand.root, film)}
        must, holds = at_most(_MOST_START_S, seconds)
        self.add(Row("start of the process to the first label", seconds, "s", must, holds, self.command, imports))
        memory = steady_memory_mb(stand.root, film)
        must, holds = at_most(_MOST_MEMORY_MB, memory)
        self.add(Row("memory of `edgewise run`, page off", memory, "MB RSS", must, holds, self.command))

    def page(self, stand: Stand) -> None:
        self.add(*page_rows(stand.root, self.settings.page, self.command, self.progress))

    def streams(self, stand: Stand) -> None:
        ages = frame_ages(stand.classifier, _RATE, _CONSUMED, self.settings.age_seconds)
        must, holds = at_most(round(1e3 / _RATE + ages.median_pass, 1), ages.p99)
        about: dict[str, float | str] = {
            "frames": ages.count,
            "since the camera made it, ms": ages.p99_made,
            "one pass, ms": ages.median_pass,
            "median and p99, ms": ", ".join(f"{name} {mid:.1f}, {p99:.1f}" for name, (mid, p99) in ages.stages.items()),
            "ms taken by the host, oldest hundredth and others": f"{ages.stolen:.0f}, {ages.stolen_usually:.0f}",
        }
        name = f"age of a classified frame, camera {_RATE} fps, consumer {_CONSUMED} fps, p99"
        self.add(Row(name, ages.p99, "ms", must, holds, self.command, about))
        name = "RTSP server killed and restarted: its return to the next label, slowest"
        try:
            taken = return_times(stand.classifier, self.settings.returns, partial(self.progress, "RTSP"))
        except InputError as error:
            self.add(Row(name, str(error), "", "", None, self.command))
            return
        must, holds = at_most(_MOST_RETURN_S, max(taken))
        every: dict[str, float | str] = {"each, s": ", ".join(f"{seconds:.2f}" for seconds in taken)}
        self.add(Row(name, max(taken), "s", must, holds, self.command, every))

    def long_run(self, stand: Stand) -> None:
        settings = self.settings
        step = partial(self.progress, "losses")
        done = endure(stand.root, settings.frames, settings.losses, settings.rate, step)
        must, holds = at_most(_MOST_GROWTH_MB, done.growth_mb)
        name = f"{done.frames} frames, camera lost and back {done.lost} times: growth"
        about: dict[str, float | str] = {
            "classified": done.classified,
            "times that results came": done.back,
            "threads more": done.threads,
            "files more": done.files,
            "processes left": done.readers,
        }
        clean = max(done.threads, done.files, done.readers) <= 0
        whole = holds and clean and done.back == done.lost + 1
        self.add(Row(name, done.growth_mb, "MB RSS", f"{must}, nothing left", whole, self.command, about))

    def add(self, *rows: Row) -> None:
        self.rows.extend(rows)
        write(self.out, NAME, self.machine, self.rows)


def find_run(runs: Path) -> Path:
    """The first quantized Lite0 run under `runs`. Raises InputError."""
    for path in sorted(runs.glob("*/int8/head.npz")):
        spec = load_run(path.parents[1]).spec
        if (spec.network, spec.height, spec.width) == _NETWORK:
            return path.parents[1]
    raise InputError(
        f"{runs} holds no quantized run of {_NETWORK[0]} at 224 pixels with a head",
        "one",
        "run `edgewise train PICTURES --recipe photos --out RUNS/photos` and `edgewise quantize RUNS/photos`",
    )


def make_stand(run: Path, folder: Path, frames: int) -> Stand:
    """`run` on a board in `folder`, and films of so many frames. Raises InputError as make_board()."""
    root = make_board(run, folder)
    release = open_release(str((root / "current").resolve()))
    with open_store(":memory:") as nothing:
        classifier = open_classifier(release, nothing)
    films = {size: make_film(folder, *size, frames) for size in _MOST_TIMES_RAW}
    return Stand(run, root, classifier, raw_network(release.file("model.u8.onnx")), films)


def make_board(run: Path, folder: Path) -> Path:
    """The root of a stand-in board in `folder` that runs `run`, flashed as a person does it."""
    key = keygen(folder / "owner")
    archive = pack(run, key.key, _NOW, out=folder / "1.edge", name="bench", counter=1).archive
    target = f"local:{folder / 'board'}"
    words = ["flash", str(archive), target, "--trust", str(key.public), "--yes"]
    done = subprocess.run([sys.executable, "-m", "edgewise", *words], cwd=_ROOT, capture_output=True, check=False)
    if done.returncode != 0:
        shutil.rmtree(folder / "board", ignore_errors=True)
        raise InputError(
            f"the run {run} cannot be flashed: {done.stderr.decode()[-300:].strip()}",
            "golden vectors that hold",
            "quantize it again",
        )
    return folder / "board"
