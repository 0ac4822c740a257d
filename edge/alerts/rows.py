"""The alerts in the store: what a board alerted of, and which of it a person wanted."""

import sqlite3
from typing import List, NamedTuple, Optional, Tuple

import numpy as np

from edge.database import transaction
from edge.rows import Key

MOST_UNMARKED = 500
# Why there is a row: its rule held; it held, but the moment was like unwanted ones, so that nobody was told; it did not
# hold, but the moment was like wanted ones; a person missed an alert
BY_RULE, QUIET, ALIKE, MISSED = "rule", "quiet", "alike", "missed"


class AlertRow(NamedTuple):
    id: int
    rule: str  # its text
    label: str
    score: float
    source: str
    taken: str  # UTC, as 2026-11-22T05:41:00Z
    how: str  # BY_RULE, QUIET, ALIKE or MISSED
    wanted: Optional[bool] = None  # as a person marked it
    has_picture: bool = False


class AlertRows:
    """Every method that writes returns only when its change is on disk."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def add(
        self, row: AlertRow, key: Key, codes: np.ndarray, picture: Optional[bytes] = None, most_bytes: int = 0
    ) -> int:
        """Keeps an alert; `row.id`, `row.wanted` and `row.has_picture` are made anew. Returns its id.

        codes: (D,) int8 under `key`; picture: a JPEG, beside which older ones stay while all are most_bytes at most. Of
        alerts without a mark the newest MOST_UNMARKED stay.
        """
        with transaction(self._connection) as run:
            cursor = run(
                "INSERT INTO alerts (rule, label, score, source, taken, how, backbone, look, codes, picture)"
                " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                (*row[1:7], *key, codes.tobytes(), picture),
            )
            run(
                "DELETE FROM alerts WHERE wanted IS NULL AND id NOT IN"
                " (SELECT id FROM alerts WHERE wanted IS NULL ORDER BY id DESC LIMIT ?)",
                (MOST_UNMARKED,),
            )
            if picture is not None:
                self._drop_pictures(run, most_bytes)
        return cursor.lastrowid

    def all(self) -> List[AlertRow]:
        """The newest first."""
        rows = self._connection.execute(
            "SELECT id, rule, label, score, source, taken, how, wanted, picture IS NOT NULL FROM alerts"
            " ORDER BY id DESC"
        )
        return [
            AlertRow(*row[:7], wanted=None if row[7] is None else bool(row[7]), has_picture=bool(row[8]))
            for row in rows
        ]

    def picture(self, alert: int) -> Optional[bytes]:
        """The JPEG of the alert with this id, if it is there and kept one."""
        row = self._connection.execute("SELECT picture FROM alerts WHERE id = ?", (alert,)).fetchone()
        return row[0] if row else None

    def mark(self, alert: int, wanted: bool) -> bool:
        """Keeps what a person says of the alert with this id. False: there is none."""
        with transaction(self._connection) as run:
            cursor = run(
                "UPDATE alerts SET wanted = ?, marked = (SELECT coalesce(max(marked), 0) + 1 FROM alerts) WHERE id = ?",
                (wanted, alert),
            )
            return cursor.rowcount == 1

    def take_back(self) -> Optional[int]:
        """Takes the newest mark back. Returns the alert's id, None if there is no mark."""
        with transaction(self._connection) as run:
            row = run("SELECT id FROM alerts WHERE marked IS NOT NULL ORDER BY marked DESC LIMIT 1").fetchone()
            if row:
                run("UPDATE alerts SET wanted = NULL, marked = NULL WHERE id = ?", row)
            return row[0] if row else None

    def marked(self, rule: str, key: Key, features: int, most: int) -> Tuple[np.ndarray, np.ndarray, bool]:
        """Codes (N, features) int8 and whether they were wanted (N,) bool, of the rule's newest `most` marks.

        And whether one of them is of an alert that was missed.
        """
        rows = self._connection.execute(
            "SELECT codes, wanted, how FROM alerts WHERE rule = ? AND backbone = ? AND look = ? AND wanted IS NOT NULL"
            " AND length(codes) = ? ORDER BY marked DESC LIMIT ?",
            (rule, *key, features, most),
        ).fetchall()
        wanted = np.array([row[1] for row in rows], bool)
        return _codes([row[0] for row in rows], features), wanted, any(row[1:] == (1, MISSED) for row in rows)

    def unmarked(self, rule: str, key: Key, features: int, most: int) -> np.ndarray:
        """Codes (N, features) int8 of the rule's newest `most` alerts that were told and that nobody marked."""
        rows = self._connection.execute(
            "SELECT codes FROM alerts WHERE rule = ? AND backbone = ? AND look = ? AND wanted IS NULL AND how != ?"
            " AND length(codes) = ? ORDER BY id DESC LIMIT ?",
            (rule, *key, QUIET, features, most),
        )
        return _codes([row[0] for row in rows], features)

    @staticmethod
    def _drop_pictures(run: object, most_bytes: int) -> None:
        """Takes the oldest pictures away until the others are `most_bytes` at most."""
        kept = 0
        for alert, size in run(
            "SELECT id, length(picture) FROM alerts WHERE picture IS NOT NULL ORDER BY id DESC"
        ).fetchall():
            kept += size
            if kept > most_bytes:
                run("UPDATE alerts SET picture = NULL WHERE id <= ?", (alert,))
                return


def _codes(found: List[bytes], features: int) -> np.ndarray:
    return np.frombuffer(b"".join(found), np.int8).reshape(-1, features)
