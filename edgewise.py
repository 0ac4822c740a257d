"""edgewise, the command: a table of verbs, each imported only when it is called."""

import functools
import importlib
import inspect
import json
import logging
import os
import shlex
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

from edge.contract.errors import EdgewiseError, UsageError
from edge.contract.results import Outcome

if TYPE_CHECKING:
    import typer


class Verb(NamedTuple):
    target: str  # "room.module:function"; the function returns an Outcome and may take `progress`, `ask` and `command`
    summary: str


DESK = {
    "check": Verb("train.check.verb:check", "Look through pictures before training: broken, copied, mislabelled."),
    "train": Verb("train.verbs:train", "Train a network on a folder of pictures."),
    "compare": Verb("train.compare.verb:compare", "Compare runs: what they read right, and where they differ."),
    "import": Verb("train.verbs:import_weights", "Make a run of weights trained elsewhere, without pictures."),
    "quantize": Verb("quantize.verbs:quantize", "Turn a trained run into INT8 and prove the match."),
    "verify": Verb("quantize.verify:verify", "Make every figure of a certificate again, from the files alone."),
    "keygen": Verb("deploy.verbs:keygen", "Make a key pair for signing releases."),
    "rotate": Verb("deploy.verbs:rotate", "Let a new key take the place of the one that a board trusts."),
    "pack": Verb("deploy.verbs:pack", "Sign a quantized run into one release file."),
    "flash": Verb("deploy.verbs:flash", "Install a release on a board."),
    "status": Verb("deploy.verbs:status", "Say what a board runs."),
    "rollback": Verb("deploy.verbs:rollback", "Go back to the release that ran before."),
    "service": Verb("deploy.care_verbs:service", "Make a board name what its camera sees, from now on."),
    "logs": Verb("deploy.care_verbs:logs", "Show what a board's service said."),
    "doctor": Verb("deploy.care_verbs:doctor", "Check a board, and say what to do about what is wrong."),
    "accept": Verb("deploy.accept_verbs:accept", "Have a board prove its engines, its camera and its heat; sign it."),
    "bench": Verb("bench.verbs:bench", "Measure the claims, beside the public tools."),
    "demo": Verb("train.demo.story:demo", "The whole story on this machine, in two minutes."),
}
BOARD = {  # run by the board's own runtime: python3 -m edge VERB
    "run": "Classify a camera, a film or a folder of pictures.",
    "collect": "Take pictures from a camera into a folder for `train`.",
    "teach": "Teach a label from pictures.",
    "fit": "Fit the camera's look from a few pictures.",
    "forget": "Take back what was taught.",
    "engines": "Measure what runs the network fastest on a board, and take that.",
    "alerts": "List what was alerted of, and mark it.",
    "learned": "List, show, undo, export, import or check what was taught.",
}


def main(argv: list[str] | None = None) -> int:
    """Runs one verb. 0: done. 1: refused or failed, with one line. 2: wrong use."""
    arguments = sys.argv[1:] if argv is None else argv
    os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")  # else onnxruntime 1.29 tells its maker about each network
    logging.basicConfig(format="%(message)s", level=logging.WARNING, stream=sys.stderr)
    logging.getLogger("edgewise").setLevel(logging.INFO)
    wanted = next((a for a in arguments if not a.startswith("-")), None)
    try:
        if wanted in BOARD:
            return on_board(arguments)
        typed = shlex.join(["edgewise", *arguments])
        app = build_app(None if "_EDGEWISE_COMPLETE" in os.environ else wanted, typed)
        app(arguments, prog_name="edgewise")
    except Exception as error:
        if "--debug" in arguments:
            raise
        return report_error(error, "--json" in arguments)
    return 0


def on_board(arguments: list[str]) -> int:
    """Starts the board's own command, which takes the rest; its help and `collect` are the same without a board."""
    at_the_desk = "collect" in arguments and "--board" not in arguments  # a camera here, before there is a board
    if "--help" in arguments or "-h" in arguments or at_the_desk:
        from edge.__main__ import main as board_main

        return board_main(["--board", "", *arguments])
    from deploy.launch import launch

    return launch(arguments)


def build_app(wanted: str | None, typed: str = "") -> "typer.Typer":
    """The Typer application. Only the module of the `wanted` verb is imported; every verb's when it is None.

    typed: the whole command, for a verb that keeps it.
    """
    import typer

    app = typer.Typer(
        no_args_is_help=True,
        rich_markup_mode=None,
        help="From a folder of pictures to a camera that can be taught. Every verb takes --help, --json and --debug.",
    )
    for name, verb in DESK.items():
        imported = wanted in (None, name)
        function = command(load(verb.target), typed) if imported else _not_imported
        app.command(name, short_help=verb.summary)(function)
    for name, summary in BOARD.items():
        app.command(name, help=summary, rich_help_panel="On a board")(_not_imported)
    return app


def load(target: str) -> Callable[..., Outcome]:
    module, function = target.split(":")
    loaded: Callable[..., Outcome] = getattr(importlib.import_module(module), function)
    return loaded


def command(function: Callable[..., Outcome], typed: str = "") -> Callable[..., None]:
    """`function` as a command: with --json and --debug, its progress drawn, its Outcome printed."""
    import typer

    signature = inspect.signature(function)
    given = set(signature.parameters) & {"progress", "ask", "command"}

    @functools.wraps(function)
    def run(*, json_wanted: bool, debug: bool, **arguments: Any) -> None:
        del debug  # main looks at it
        if "ask" in given:
            arguments["ask"] = ask
        if "command" in given:
            arguments["command"] = typed
        if "progress" in given:
            with progress_bars() as progress:
                outcome = function(progress=progress, **arguments)
        else:
            outcome = function(**arguments)
        for line in outcome.lines:
            _print_text(line, to_stderr=json_wanted)
        if json_wanted:
            sys.stdout.write(json.dumps(outcome.fields) + "\n")
        if outcome.exit_code:
            raise typer.Exit(outcome.exit_code)

    keyword = inspect.Parameter.KEYWORD_ONLY
    own = [p.replace(kind=keyword) for p in signature.parameters.values() if p.name not in given]
    json_type = Annotated[bool, typer.Option("--json", help="One JSON object on stdout, text on stderr.")]
    debug_type = Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")]
    own.append(inspect.Parameter("json_wanted", keyword, default=False, annotation=json_type))
    own.append(inspect.Parameter("debug", keyword, default=False, annotation=debug_type))
    run.__signature__ = signature.replace(parameters=own, return_annotation=None)  # type: ignore[attr-defined]
    run.__annotations__ = {p.name: p.annotation for p in own}
    return run


@contextmanager
def progress_bars() -> Iterator[Callable[[str, int, int], None]]:
    """Gives `progress(stage, step, steps)`: a bar a stage on a terminal, nothing elsewhere.

    Steps are counted, but where a stage's name ends in "bytes" an amount and a speed are shown. Nothing is drawn before
    the first call, so that ssh can ask for a password and `ask` for a yes on a quiet terminal.
    """
    from rich.console import Console
    from rich.markup import escape
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (
        TextColumn("{task.description:>10}"),
        BarColumn(),
        TextColumn("{task.fields[amount]}"),
        TimeRemainingColumn(elapsed_when_finished=True),
    )
    bars = Progress(*columns, console=Console(stderr=True), disable=not sys.stderr.isatty())
    tasks: dict[str, Any] = {}

    def progress(stage: str, step: int, steps: int) -> None:
        if stage not in tasks:
            bars.start()
            tasks[stage] = bars.add_task(escape(stage), total=steps, amount="")
        bars.update(tasks[stage], completed=step, total=steps)
        speed = bars.tasks[tasks[stage]].speed if stage.endswith("bytes") else None
        bars.update(tasks[stage], amount=_amount(stage, step, steps, speed))

    try:
        yield progress
    finally:
        bars.stop()


def _amount(stage: str, step: int, steps: int, speed: float | None) -> str:
    """`3/10`, or for bytes `1.2/9.8 MB 0.8 MB/s`."""
    if not stage.endswith("bytes"):
        return f"{step}/{steps}"
    text = f"{step / 1e6:.1f}/{steps / 1e6:.1f} MB"
    return text if speed is None else f"{text} {speed / 1e6:.1f} MB/s"


def ask(lines: tuple[str, ...], question: str) -> bool:
    """Whether the person at the terminal says yes. Where there is no terminal nobody does."""
    for line in lines:
        _print_text(line, to_stderr=True)
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        return False
    sys.stderr.write(f"{question} [y/N] ")
    sys.stderr.flush()
    return sys.stdin.readline().strip().lower() in ("y", "yes")


def report_error(error: Exception, json_wanted: bool) -> int:
    """One line on stderr, and with --json one object on stdout. Returns the exit code."""
    if isinstance(error, ModuleNotFoundError):
        error = UsageError(
            f"{error.name} is not installed", "edgewise's desktop part", "pip install 'edgewise[desktop]'"
        )
    if isinstance(error, EdgewiseError):
        fields = {"found": error.found, "expected": error.expected, "remedy": error.remedy}
        line, code = str(error), error.exit_code
    else:
        line = f"{type(error).__name__}: {error}; this is a fault of edgewise; run again with --debug and report it"
        fields, code = {"found": line}, 1
    sys.stderr.write("edgewise: " + " ".join(line.split()) + "\n")
    if json_wanted:
        sys.stdout.write(json.dumps({"error": {"kind": type(error).__name__, **fields}}) + "\n")
    return code


def _print_text(line: str, to_stderr: bool) -> None:
    (sys.stderr if to_stderr else sys.stdout).write(line + "\n")


def _not_imported() -> None:
    """Stands in the list of verbs for one that was not called."""


if __name__ == "__main__":
    sys.exit(main())
