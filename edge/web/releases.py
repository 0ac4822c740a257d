"""The board's releases for the page: what is installed, and the way back. Needs no network and no loop."""

import os
import threading
from typing import Any, Callable, Dict

from edge.board import Board
from edge.contract.errors import BoardError
from edge.install import rollback, status


class Releases:
    """For any thread; one change at a time."""

    def __init__(self, board: Board, running: str, run_golden: Callable[[str], object]) -> None:
        """running: the release that this process is of; run_golden: as for edge.install.rollback."""
        self._board = board
        self._running = running
        self._run_golden = run_golden
        self._changing = threading.Lock()

    def fields(self) -> Dict[str, Any]:
        """Raises BoardError, FormatError."""
        found = status(self._board)
        releases = [
            {"name": name, "state": entry.state, "why": entry.why} for name, entry in sorted(found.releases.items())
        ]
        return {
            "current": found.current,
            "previous": found.previous,
            "running": self._running,
            "busy": found.busy,
            "releases": releases,
        }

    def go_back(self) -> Dict[str, Any]:
        """Makes the release before current again, which the loop then starts. Raises BoardError, GateError."""
        if not os.access(self._board.root, os.W_OK):
            raise BoardError(
                "the service may not change the board's releases",
                "the board's owner",
                "run `edgewise rollback`; the page is there again after it",
            )
        with self._changing:
            rollback(self._board, self._run_golden)
        return self.fields()
