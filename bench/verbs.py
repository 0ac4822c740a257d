"""`edgewise bench`, as a person types it."""

import shlex
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer

from bench import camera, flash, int8, learning, training
from bench.rows import Row, as_fields, markdown
from edge.contract.errors import UsageError
from edge.contract.results import Outcome

_PYTHON36 = Path(__file__).resolve().parents[1] / ".venv36" / "bin" / "python"  # where scripts/test puts it


def bench(
    name: Annotated[str, typer.Argument(help="What is measured: train, int8, learning, flash or camera.")],
    progress: Callable[[str, int, int], None],
    runs: Annotated[Path, typer.Option(help="Finished run folders, as scripts/NAME_runs.py leaves them.")] = Path(
        "runs"
    ),
    data: Annotated[Path, typer.Option(help="For train and learning: the data sets' folders.")] = Path("data"),
    only: Annotated[
        str | None, typer.Option(help="For train and learning: one group of rows; a wrong name lists them.")
    ] = None,
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
    grouped = (training.NAME, learning.NAME)
    if only and name not in grouped:
        raise UsageError(f"--only with the bench {name!r}", f"--only with {' or '.join(grouped)}", "leave it out")
    words = ["edgewise", "bench", name, "--runs", str(runs)]
    words += ["--data", str(data)] if name in grouped else []
    words += ["--only", only] if only else []
    command = shlex.join([*words, *(["--quick"] if quick else [])])
    measured: tuple[dict[str, str], list[Row]]
    if name == training.NAME:
        seeds = training.QUICK if quick else training.FULL
        training_bench = training.TrainingBench(runs, data, out, seeds, command, progress)
        measured = training_bench.machine, training_bench.measure(only)
    elif name == int8.NAME:
        int8_bench = int8.Int8Bench(runs, out, int8.QUICK if quick else int8.FULL, command, progress)
        measured = int8_bench.machine, int8_bench.measure(python36 or _find_python36())
    elif name == learning.NAME:
        settings = learning.QUICK if quick else learning.FULL
        learning_bench = learning.LearningBench(runs, data, out, settings, command, progress)
        measured = learning_bench.machine, learning_bench.measure(only)
    elif name == flash.NAME:
        flash_bench = flash.FlashBench(runs, out, flash.QUICK if quick else flash.FULL, command, progress)
        measured = flash_bench.machine, flash_bench.measure()
    elif name == camera.NAME:
        settings_of_camera = camera.QUICK if quick else camera.FULL
        camera_bench = camera.CameraBench(runs, out, settings_of_camera, command, progress)
        measured = camera_bench.machine, camera_bench.measure()
    else:
        names = ", ".join((training.NAME, int8.NAME, learning.NAME, flash.NAME, camera.NAME))
        raise UsageError(f"the bench {name!r}", f"one of {names}", f"run `edgewise bench {int8.NAME}`")
    lines = markdown(*measured).splitlines()
    if quick:
        lines.insert(0, "Quick: fewer pictures, seeds or draws; not the figures to quote.")
    return Outcome(tuple(lines), as_fields(*measured))


def _find_python36() -> Path | None:
    if _PYTHON36.exists():
        return _PYTHON36
    found = shutil.which("python3.6")
    return Path(found) if found else None
