"""One release onto several boards at once. What happens to one board is nothing to the others."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from deploy.flash import Agree, Contact, FlashReport, Prepare, install, meet
from edge.contract.errors import EdgewiseError, UsageError

Progress = Callable[[str, int, int], None]  # target, bytes sent so far of what it lacks, of how many


@dataclass(frozen=True)
class Flashed:
    """What came of one board: a report or an error."""

    target: str
    report: FlashReport | None
    error: EdgewiseError | None


def flash_several(
    archive: Path,
    targets: list[str],
    trust: Path | None,
    progress: Progress,
    agree: Agree,
    set_aside: bool = False,
    prepare: Prepare = lambda board, found: None,
) -> list[Flashed]:
    """Installs `archive` on each board, in the order of `targets`.

    The boards are met one after the other, since ssh may ask for a password and `agree` for a yes; then all are flashed
    at once. Raises UsageError for a target that stands twice.
    """
    twice = sorted(target for target in set(targets) if targets.count(target) > 1)
    if twice:
        raise UsageError(f"{twice[0]} twice", "each board once", "name it once")

    def met(target: str) -> Contact | EdgewiseError:
        try:
            return meet(archive, target, trust, agree, prepare=prepare)
        except EdgewiseError as error:
            return error

    def flashed(target: str, contact: Contact | EdgewiseError) -> Flashed:
        if isinstance(contact, EdgewiseError):
            return Flashed(target, None, contact)
        try:
            done = install(contact, archive, lambda sent, total: progress(target, sent, total), set_aside=set_aside)
        except EdgewiseError as error:
            return Flashed(target, None, error)
        return Flashed(target, done, None)

    contacts = [met(target) for target in targets]
    with ThreadPoolExecutor(max_workers=len(targets)) as pool:
        return list(pool.map(flashed, targets, contacts))
