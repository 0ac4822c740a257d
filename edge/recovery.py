"""Puts right what a power cut left of an install. Of its own, since each start of a command that classifies does it."""

import os

from edge.board import Board, current_name, disk_errors, load_state, locked, point_current, save_state
from edge.objects import sweep
from edge.states import GOOD, INTERRUPTED, State, fail, lose


def recover(board: Board) -> bool:
    """Puts right what a power cut left in the middle of an install. True if `current` named an unconfirmed release."""
    with disk_errors(board), locked(board):
        before = current_name(board)
        return put_right(board).current != before


def put_right(board: Board) -> State:
    """As recover(), for whoever holds the lock. Returns the state as it is then."""
    for folder in ("objects", "releases"):
        os.makedirs(board.path(folder), exist_ok=True)
    state = fail(load_state(board), INTERRUPTED)
    state = lose(state, [name for name in state.releases if not os.path.isdir(board.release(name))])
    settle(board, state)
    return state


def settle(board: Board, state: State) -> None:
    """Makes the disk what `state` says: the link first, since a release must not be removed while it is current."""
    point_current(board, state.current)
    sweep(board, [name for name, entry in state.releases.items() if entry.state == GOOD])
    if load_state(board) != state:
        save_state(board, state)
