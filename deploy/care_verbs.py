"""service, logs and doctor, as a person types them."""

import dataclasses
from typing import Annotated

import typer

from deploy import care
from deploy.verbs import Target
from edge.contract.errors import UsageError
from edge.contract.results import Outcome


def service(
    target: Target,
    source: Annotated[str | None, typer.Argument(help="A camera of the board: 0, /dev/video1.")] = None,
    remove: Annotated[bool, typer.Option("--remove", help="Stop the service and take it away.")] = False,
    web: Annotated[
        str | None,
        typer.Option(metavar="ADDRESS:PORT", help="Serve the page there: 0.0.0.0:8080 for the network."),
    ] = None,
    tls: Annotated[str | None, typer.Option(metavar="PEM", help="Of the page: a file of the board.")] = None,
    keep_pictures: Annotated[bool, typer.Option(help="Of what is taught on the page.")] = False,
    collect: Annotated[
        bool, typer.Option("--collect", help="A button on the page takes pictures for `edgewise train`.")
    ] = False,
) -> Outcome:
    """Make a board name what its camera sees, from now on and after each start.

    It installs a systemd service with a user of its own. That needs root on the board; where sudo wants a password, it
    asks on this terminal, over `ssh -t`: edgewise never sees what is typed.

    Example: edgewise service nano@192.168.55.1 0
    """
    if (source is None) != remove:
        raise UsageError("a source and --remove together, or neither", "one of them", "name a camera, such as 0")
    page = [*(("--web", web) if web else ()), *(("--tls", tls) if tls else ())]
    page += ["--keep-pictures"] * keep_pictures + ["--collect"] * collect
    if source is None and page:
        raise UsageError(f"--remove with {page[0]}", "--remove alone", "leave one out")
    done = care.remove_service(target) if source is None else care.install_service(target, source, page)
    line = f"{done.unit} runs on {target}: {done.status}" if done.installed else f"{done.unit} is gone from {target}"
    return Outcome((line,), dataclasses.asdict(done))


def logs(
    target: Target,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on with what is said from now on.")] = False,
    lines: Annotated[int, typer.Option("--lines", "-n", help="The last so many.")] = 100,
) -> Outcome:
    """Show what a board's service said.

    Example: edgewise logs nano@192.168.55.1 -f
    """
    if follow:
        care.follow_log(target, lines)
    said = care.log(target, lines)
    return Outcome(tuple(said), {"lines": said})


def doctor(target: Target) -> Outcome:
    """Check a board and say what to do about what is wrong. It need not have been flashed yet.

    Exit code 1 if something is wrong; a hint costs speed or a feature only.

    Example: edgewise doctor nano@192.168.55.1
    """
    found = care.examine(target)
    fields = {"wrong": found.wrong, "hints": found.hints, "checks": found.checks}
    return Outcome(found.lines, fields, 1 if found.wrong else 0)
