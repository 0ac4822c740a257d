"""keygen, rotate, pack, flash, status and rollback, as a person types them."""

import dataclasses
import json
from collections.abc import Callable
from datetime import datetime, timezone
from pathlib import Path
from typing import Annotated, Any

import typer

from deploy import bootstrap as bootstrapping
from deploy import flash as flashing
from deploy import installed, keys, several
from deploy import pack as packing
from deploy.board import Board, Look
from edge.contract.boards import ANY, NAMES
from edge.contract.errors import UsageError
from edge.contract.results import BUSY, RETRAINED, Outcome

Progress = Callable[[str, int, int], None]
Ask = Callable[[tuple[str, ...], str], bool]  # lines to show, then a question that a person answers
Target = Annotated[str, typer.Argument(help="user@host, user@host:port, or local:DIR, a stand-in board in a folder.")]


def keygen(
    name: Annotated[Path, typer.Argument(help="NAME.key (private) and NAME.pub are written.")] = Path("edgewise"),
    replaces: Annotated[
        Path | None, typer.Option(help="The private key that boards trust now: NAME.rotation is written, too.")
    ] = None,
) -> Outcome:
    """Make a key pair for signing releases.

    The private half stays on this machine; a board is given the public half at first contact.

    With --replaces the new key can take the place of one that boards trust: see `edgewise rotate`.

    Example: edgewise keygen mine
    """
    made = keys.keygen(name, replaces)
    lines = [f"private key: {made.key} (keep it; who has it can sign for your boards)", f"public key: {made.public}"]
    if made.rotation:
        lines.append(f"for boards that trust the key before: edgewise rotate {made.rotation} TARGET")
    return Outcome(tuple(lines), _fields(made))


def rotate(
    rotation: Annotated[Path, typer.Argument(help="The NAME.rotation of `keygen --replaces`.")], target: Target
) -> Outcome:
    """Let a new key take the place of the one that a board trusts.

    From then on the board takes releases signed by the new key only. What it runs stays. A key that was replaced never
    comes back. It can be done again at no harm.

    Example: edgewise keygen new --replaces mine.key; edgewise rotate new.rotation nano@192.168.55.1
    """
    done = installed.rotate(rotation, target)
    again = " already" if done.already else ""
    return Outcome((f"{target} trusts {done.trusted} in place of {done.retired}{again}",), _fields(done))


def pack(
    run: Annotated[Path, typer.Argument(help="The run folder, quantized.")],
    key: Annotated[Path, typer.Option(help="The private key, NAME.key.")],
    out: Annotated[Path | None, typer.Option(help="The release to write: RUN/NAME-VERSION.edge by default.")] = None,
    name: Annotated[str | None, typer.Option(help="The release's name: the run folder's by default.")] = None,
    version: Annotated[str, typer.Option(help="The release's version, such as 1.2.")] = "1",
    for_board: Annotated[
        list[str] | None,
        typer.Option(help=f"A board that may run it; can be repeated. One of {', '.join(NAMES)}; any by default."),
    ] = None,
    counter: Annotated[
        int | None, typer.Option(help="Boards take only a higher one than they have run: the clock's seconds.")
    ] = None,
) -> Outcome:
    """Sign a quantized run into one release file.

    Example: edgewise pack runs/digits --key mine.key --for-board jetson-nano
    """
    boards = tuple(for_board or (ANY,))
    unknown = sorted(set(boards) - set(NAMES))
    if unknown:
        raise UsageError(f"the board {unknown[0]!r}", f"one of {', '.join(NAMES)}", "name it so")
    now = datetime.now(timezone.utc)
    made = packing.pack(run, key, now, out=out, name=name, version=version, counter=counter, boards=boards)
    line = f"{made.archive}: {made.files} files, {made.archive_bytes:,} bytes, release {made.release}"
    return Outcome((line, f"signed by key {made.key_id}"), _fields(made))


def flash(
    archive: Annotated[Path, typer.Argument(help="The release, NAME-VERSION.edge.")],
    targets: Annotated[list[str], typer.Argument(help="As for status; several are flashed at once.")],
    progress: Progress,
    ask: Ask,
    trust: Annotated[Path | None, typer.Option(help="The public key, NAME.pub: needed at first contact.")] = None,
    set_aside: Annotated[bool, typer.Option("--set-aside", help="Also where that sets aside what was learnt.")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask at first contact, nor with --bootstrap.")] = False,
    bootstrap: Annotated[bool, typer.Option("--bootstrap", help="First put there the packages that it lacks.")] = False,
    wheels: Annotated[
        Path | None, typer.Option(help="With --bootstrap: a folder of wheels that come first: a vendor's, or offline.")
    ] = None,
) -> Outcome:
    """Install a release on a board: only what it lacks is sent, and it runs its golden vectors before it switches.

    What the board has learnt goes along if the network is the same, or if its pictures were kept. Else the board says
    what it would set aside, and nothing is changed; with --set-aside it goes on.

    At first contact with a board over SSH it shows what will be installed and which key the board will trust, and asks.
    If the link is lost, flash again: what arrived is kept. Of several boards, all are asked about first; one that fails
    does not stop the others.

    A bare board has a Python and little else. --bootstrap says what it lacks and where that will be put, and asks; the
    wheels come from this machine, so the board needs no internet, and nothing of its system is changed.

    Example: edgewise flash digits-1.edge nano@192.168.55.1 --trust mine.pub
    """

    def agree(contact: flashing.FirstContact) -> bool:
        local = contact.target.startswith("local:")
        return yes or local or ask(_contact_lines(contact), "Install it and trust this key?")

    if wheels is not None and not (bootstrap and wheels.is_dir()):
        raise UsageError(f"--wheels {wheels}", "--bootstrap and a folder of wheels", "name both")
    unpacked: dict[str, tuple[str, ...]] = {}

    def prepare(board: Board, found: Look) -> None:
        def bar(sent: int, total: int) -> None:
            progress(f"{board.target.name} wheels, bytes", sent, total)

        if bootstrap:
            unpacked[board.target.name] = bootstrapping.bootstrap(
                board, found, wheels, lambda lines: yes or ask(lines, "Do it?"), bar
            )

    if len(targets) == 1:
        done = flashing.flash(
            archive,
            targets[0],
            trust,
            lambda sent, total: progress("bytes", sent, total),
            agree,
            set_aside=set_aside,
            prepare=prepare,
        )
        outcome = Outcome(_flash_lines(targets[0], done), _fields(done))
    else:
        outcome = _flash_several(archive, targets, trust, progress, agree, set_aside, prepare)
    lines = tuple(f"{target}: unpacked {', '.join(names)}" for target, names in unpacked.items() if names)
    more = {"unpacked": {target: list(names) for target, names in unpacked.items()}} if bootstrap else {}
    return outcome._replace(lines=lines + outcome.lines, fields={**outcome.fields, **more})


def _flash_several(
    archive: Path,
    targets: list[str],
    trust: Path | None,
    progress: Progress,
    agree: flashing.Agree,
    set_aside: bool,
    prepare: flashing.Prepare,
) -> Outcome:
    done = several.flash_several(
        archive,
        targets,
        trust,
        lambda target, sent, total: progress(f"{target} bytes", sent, total),
        agree,
        set_aside,
        prepare,
    )
    lines: list[str] = []
    boards: list[dict[str, Any]] = []
    for each in done:
        if each.report is not None:
            lines += _flash_lines(each.target, each.report)
            boards.append({"target": each.target, **_fields(each.report)})
        elif each.error is not None:
            lines.append(f"FAILED on {each.target}: {each.error}")
            said = {name: getattr(each.error, name) for name in ("found", "expected", "remedy")}
            boards.append({"target": each.target, "error": {"kind": type(each.error).__name__, **said}})
    failed = sum(each.error is not None for each in done)
    lines.append(f"{len(done) - failed} of {len(done)} boards are flashed")
    return Outcome(tuple(lines), {"boards": boards}, 1 if failed else 0)


def _flash_lines(target: str, done: flashing.FlashReport) -> tuple[str, ...]:
    lines = [
        f"{done.release} is {done.state} on {target}",
        f"{done.bytes_sent:,} bytes sent of {done.bytes_in_release:,}, {done.seconds:.1f} s"
        f" ({done.health_seconds:.1f} s its trial)",
    ]
    if done.bytes_kept:
        lines.append(f"{done.bytes_kept:,} bytes were there from the flash before")
    if done.needs_measuring:
        lines.append(f"its engines were measured with another network: run `edgewise engines --board {target}` again")
    return tuple(lines)


def _contact_lines(contact: flashing.FirstContact) -> tuple[str, ...]:
    return (
        f"First contact with {contact.target} ({contact.machine}).",
        f"release: {contact.release}, {contact.files} files, {contact.size_bytes:,} bytes, into {contact.root}",
        f"key: {contact.key_id}. The board will take releases signed by it, and no others.",
    )


def status(target: Target) -> Outcome:
    """Say what a board runs.

    Example: edgewise status local:board
    """
    found = installed.status(target)
    lines = [f"current: {found.current or 'nothing'}", f"previous: {found.previous or 'none'}"]
    for name, release in found.releases.items():
        lines.append(f"{name}: {release.state}" + (f" ({release.why})" if release.why else ""))
    lines.append(f"trusts: {', '.join(found.trusted)}")
    lines += [BUSY] if found.busy else []
    lines += [RETRAINED] if found.retrained else []
    lines += [f"engine: {found.engine['name']} ({found.engine['why']})"] if found.engine else []
    return Outcome(tuple(lines), _fields(found))


def rollback(target: Target) -> Outcome:
    """Go back to the release that ran before, once its golden vectors hold again.

    Example: edgewise rollback local:board
    """
    done = installed.rollback(target)
    return Outcome((f"{done.release} runs on {target}",), _fields(done))


def _fields(record: Any) -> dict[str, Any]:
    """A report's fields as JSON has them: paths as text."""
    fields: dict[str, Any] = json.loads(json.dumps(dataclasses.asdict(record), default=str))
    return fields
