"""`edgewise bench`, as a person types it."""

import shlex
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer

from bench import camera, flash, int8, learning, training
from bench.camera import CameraBench
from bench.flash import FlashBench
from bench.int8 import Int8Bench
from bench.learning import LearningBench
from bench.rows import as_fields, markdown
from bench.training import TrainingBench
from edge.contract.errors import UsageError
from edge.contract.results import Outcome

Bench = TrainingBench | Int8Bench | LearningBench | FlashBench | CameraBench

_PYTHON36 = Path(__file__).resolve().parents[1] / ".venv36" / "bin" / "python"  # where scripts/test puts it


def bench(
    name: Annotated[str, typer.Argument(help="What is measured: train, int8, learning, flash or camera.")],
    progress: Callable[[str, int, int], None],
    runs: Annotated[Path, typer.Option(help="Finished run folders, as scripts/NAME_runs.py leaves them.")] = Path(
        "runs"
    ),
    data: Annotated[Path, typer.Option(help="For train and learning: the data sets' folders.")] = Path("data"),
    only: Annotated[str | None, typer.Option(help="One group of rows; a wrong name lists them.")] = None,
    quick: Annotated[bool, typer.Option("--quick", help="Fewer pictures, seeds or draws: two minutes.")] = False,
    out: Annotated[Path, typer.Option(help="Where NAME.json and NAME.md are written, row by row.")] = Path("bench-out"),
    python36: Annotated[
        Path | None, typer.Option(envvar="PYTHON36", help="A Python 3.6 with the packages of constraints/py36.txt.")
    ] = None,
) -> Outcome:
    """Measure the claims beside the public tools. train: accuracy beside heads on frozen features, time, what `check`
    finds of planted faults. int8: accuracy, agreement, latency, exactness. learning: new classes from a few examples,
    what is unknown, calibration, the time of a pass, corrections by MNIST's writers, looks. flash: time and bytes over
    a real sshd; installs that are killed, cut off from power and mutated (as root, for its mounts). camera: the frame
    loop beside raw inference and others' loops, ages, start, memory, streams lost and back.

    A tool that is not installed or does not work has its failing command in the table; `scripts/setup bench` installs
    them. A claim that does not hold is printed like any other.

    Examples: edgewise bench int8 --runs runs; edgewise bench learning --runs runs --data data
    """
    words = ["edgewise", "bench", name, "--runs", str(runs)]
    words += ["--data", str(data)] if name in (training.NAME, learning.NAME) else []
    words += ["--only", only] if only else []
    command = shlex.join([*words, *(["--quick"] if quick else [])])
    python36 = python36 or _find_python36()
    benches: dict[str, Callable[[], Bench]] = {
        training.NAME: lambda: TrainingBench(
            runs, data, out, training.QUICK if quick else training.FULL, command, progress
        ),
        int8.NAME: lambda: Int8Bench(runs, out, int8.QUICK if quick else int8.FULL, python36, command, progress),
        learning.NAME: lambda: LearningBench(
            runs, data, out, learning.QUICK if quick else learning.FULL, command, progress
        ),
        flash.NAME: lambda: FlashBench(runs, out, flash.QUICK if quick else flash.FULL, command, progress),
        camera.NAME: lambda: CameraBench(runs, out, camera.QUICK if quick else camera.FULL, command, progress),
    }
    if name not in benches:
        raise UsageError(f"the bench {name!r}", f"one of {', '.join(benches)}", f"run `edgewise bench {int8.NAME}`")
    chosen = benches[name]()
    measured = chosen.machine, chosen.measure(only)
    lines = markdown(*measured).splitlines()
    if quick:
        lines.insert(0, "Quick: fewer pictures, seeds or draws; not the figures to quote.")
    return Outcome(tuple(lines), as_fields(*measured))


def _find_python36() -> Path | None:
    if _PYTHON36.exists():
        return _PYTHON36
    found = shutil.which("python3.6")
    return Path(found) if found else None
