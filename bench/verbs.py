"""`edgewise bench`, as a person types it."""

import shlex
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer

from bench.int8 import FULL, NAME, QUICK, Int8Bench
from bench.rows import as_fields, markdown
from edge.contract.errors import UsageError
from edge.contract.results import Outcome

_PYTHON36 = Path(__file__).resolve().parents[1] / ".venv36" / "bin" / "python"  # where scripts/test puts it


def bench(
    name: Annotated[str, typer.Argument(help="What is measured: int8.")],
    progress: Callable[[str, int, int], None],
    runs: Annotated[Path, typer.Option(help="Finished run folders, as scripts/int8_runs leaves them.")] = Path("runs"),
    quick: Annotated[bool, typer.Option("--quick", help="Fewer pictures, one seed: two minutes.")] = False,
    out: Annotated[Path, typer.Option(help="Where int8.json and int8.md are written, row by row.")] = Path("bench-out"),
    python36: Annotated[
        Path | None, typer.Option(envvar="PYTHON36", help="A Python 3.6 with the packages of constraints/py36.txt.")
    ] = None,
) -> Outcome:
    """Measure the claims about INT8 beside the public tools: accuracy, agreement, latency, exactness.

    A tool that is not installed or does not work has its failing command in the table; `scripts/setup bench` installs
    them. A claim that does not hold is printed like any other.

    Example: edgewise bench int8 --runs runs
    """
    if name != NAME:
        raise UsageError(f"the bench {name!r}", NAME, f"run `edgewise bench {NAME}`")
    words = ["edgewise", "bench", name, "--runs", str(runs), *(["--quick"] if quick else [])]
    measuring = Int8Bench(runs, out, QUICK if quick else FULL, shlex.join(words), progress)
    rows = measuring.measure(python36 or _find_python36())
    lines = markdown(measuring.machine, rows).splitlines()
    if quick:
        lines.insert(0, "Quick: fewer pictures and one seed; not the figures to quote.")
    return Outcome(tuple(lines), as_fields(measuring.machine, rows))


def _find_python36() -> Path | None:
    if _PYTHON36.exists():
        return _PYTHON36
    found = shutil.which("python3.6")
    return Path(found) if found else None
