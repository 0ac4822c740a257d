"""What state.json says, and each change to it as a function State -> State. Nothing here reads or writes a disk.

STAGED --> TRIAL --> GOOD       files here; golden vectors running; confirmed
   `---------`--------`--> FAILED     refused, interrupted by a power cut, out of disk or lost; its files are removed
"""

import json
from typing import Dict, Iterable, NamedTuple, Optional

from edge.contract.errors import BoardError, FormatError, TrustError

SCHEMA = 1
STAGED, TRIAL, GOOD, FAILED = "STAGED", "TRIAL", "GOOD", "FAILED"
INTERRUPTED = "it was interrupted before it was confirmed"
LOST = "its files are gone"


class Entry(NamedTuple):
    state: str
    counter: int
    why: str  # of a FAILED release; else empty


class State(NamedTuple):
    """`current` and `previous` are GOOD releases. `counter` is the highest that was ever GOOD here: it never falls."""

    counter: int
    current: Optional[str]
    previous: Optional[str]
    releases: Dict[str, Entry]


EMPTY = State(0, None, None, {})


def stage(state: State, release: str, counter: int) -> State:
    """A release that is being copied here.

    Raises TrustError for one that is no newer than what this board has run, unless it is that one, and lost.
    """
    before = state.releases.get(release)
    # A FAILED one with the highest counter was GOOD: no other release is staged with that counter
    lost = before is not None and before.state == FAILED and before.counter == counter == state.counter
    if counter <= state.counter and not lost:
        remedy = "pack it with a higher counter"
        if release == state.previous:
            remedy = "this board has it: go back to it with rollback"
        raise TrustError(
            "the release {} has the counter {}".format(release, counter), "more than {}".format(state.counter), remedy
        )
    kept = {name: entry for name, entry in state.releases.items() if entry.state == GOOD}
    kept[release] = Entry(STAGED, counter, "")
    return state._replace(releases=kept)


def begin_trial(state: State, release: str) -> State:
    return _moved(state, release, STAGED, TRIAL)


def confirm(state: State, release: str) -> State:
    """The release is GOOD and current; the one before stays as `previous`, older ones go."""
    moved = _moved(state, release, TRIAL, GOOD)
    kept = {name: entry for name, entry in moved.releases.items() if name in (release, state.current)}
    return State(max(state.counter, kept[release].counter), release, state.current, kept)


def fail(state: State, why: str) -> State:
    """Whatever was STAGED or in TRIAL is FAILED. The same state if nothing was."""
    return state._replace(
        releases={
            name: entry._replace(state=FAILED, why=why) if entry.state in (STAGED, TRIAL) else entry
            for name, entry in state.releases.items()
        }
    )


def lose(state: State, names: Iterable[str]) -> State:
    """The releases `names` have no files any more: FAILED if they were GOOD. The counter stays."""
    gone = {name for name in names if state.releases[name].state == GOOD}
    kept = [name for name in (state.current, state.previous) if name and name not in gone]
    lost = {name: state.releases[name]._replace(state=FAILED, why=LOST) for name in gone}
    current, previous = (kept + [None, None])[:2]  # type: ignore[operator]
    return State(state.counter, current, previous, dict(state.releases, **lost))


def roll_back(state: State) -> State:
    """`current` and `previous` change places. Raises BoardError if this board has run no other release as GOOD."""
    if state.previous is None:
        raise BoardError("no release before {}".format(state.current), "one that was GOOD here", "flash another")
    return state._replace(current=state.previous, previous=state.current)


def state_bytes(state: State) -> bytes:
    """The content of state.json."""
    fields = {"schema": SCHEMA, "counter": state.counter, "current": state.current, "previous": state.previous}
    releases = {name: dict(entry._asdict()) for name, entry in state.releases.items()}
    return (json.dumps(dict(fields, releases=releases), indent=1, sort_keys=True) + "\n").encode("ascii")


def parse_state(data: bytes) -> State:
    """Raises FormatError unless `data` is a state.json in which current and previous are GOOD."""
    try:
        fields = json.loads(data.decode("ascii"))
        if fields.pop("schema") != SCHEMA:
            raise ValueError("another schema")
        releases = {name: Entry(**entry) for name, entry in fields.pop("releases").items()}
        state = State(releases=releases, **fields)
        if type(state.counter) is not int or any(
            entry.state not in (STAGED, TRIAL, GOOD, FAILED) or type(entry.counter) is not int
            for entry in releases.values()
        ):
            raise ValueError("another state or counter")
        if any(name and releases[name].state != GOOD for name in (state.current, state.previous)):
            raise ValueError("current or previous is not GOOD")
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise FormatError(
            "state.json is not readable: {}".format(error), "the file that an install wrote", "restore it from a backup"
        ) from None
    return state


def _moved(state: State, release: str, before: str, after: str) -> State:
    entry = state.releases[release]
    if entry.state != before:
        raise BoardError("{} is {}".format(release, entry.state), before, "install it again")
    return state._replace(releases=dict(state.releases, **{release: entry._replace(state=after)}))
