"""What the board has been taught, on disk: a label that was acknowledged survives a power cut.

One SQLite file. An example is a label, where and when it came from and, only if the owner asked, its picture. What
the network makes of it, its codes, is kept by the key that it depends on: the backbone and the camera's look. So a
new look or a new release hides old codes without touching them, and going back brings them back.
"""

import os
import sqlite3
from contextlib import contextmanager
from typing import Any, Dict, Iterator, List, NamedTuple, Optional, Sequence, Tuple

import numpy as np

from edge.contract.errors import BoardError, FormatError

SCHEMA = 1
_TABLES = """
CREATE TABLE examples (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    lesson INTEGER NOT NULL,
    label TEXT NOT NULL,
    taken TEXT NOT NULL,
    source TEXT NOT NULL,
    picture BLOB
);
CREATE TABLE codes (
    example INTEGER NOT NULL REFERENCES examples (id) ON DELETE CASCADE,
    backbone TEXT NOT NULL,
    look TEXT NOT NULL,
    codes BLOB NOT NULL,
    PRIMARY KEY (example, backbone, look)
);
CREATE TABLE looks (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    backbone TEXT NOT NULL,
    name TEXT NOT NULL,
    curve BLOB NOT NULL,
    why TEXT NOT NULL,
    taken TEXT NOT NULL
)
"""


class Key(NamedTuple):
    """What codes depend on: sha256 of the network and of the look before it."""

    backbone: str
    look: str


class NewExample(NamedTuple):
    source: str
    codes: np.ndarray  # (D,) int8
    picture: Optional[bytes]  # PNG of what the network saw, before the look


class ExampleRow(NamedTuple):
    id: int
    lesson: int  # examples that were taught together share it
    label: str
    taken: str  # UTC, as 2026-11-22T05:41:00Z
    source: str
    has_picture: bool
    used: bool  # has codes for the present key


class LookRow(NamedTuple):
    id: int
    name: str
    table: bytes  # (256, channels) uint8
    why: str
    taken: str


@contextmanager
def open_store(path: str, timeout_s: float = 5.0) -> Iterator["Store"]:
    """The store in the file at `path`, made if there is none; for a `with` statement.

    timeout_s: how long to wait for another process that is writing. Raises FormatError for a file that is damaged,
    no store or newer than this program, and leaves it as it is; BoardError if it cannot be opened, locked or written.
    """
    folder = os.path.dirname(os.path.abspath(path))
    try:
        os.makedirs(folder, mode=0o700, exist_ok=True)
    except OSError as error:
        raise BoardError(
            "{}: {}".format(folder, error.strerror), "a folder that can be written", "check its owner and space"
        ) from None
    with _plain_errors(path):
        connection = sqlite3.connect(path, timeout=timeout_s, isolation_level=None)
        try:
            _prepare(connection, path)
            yield Store(connection)
        finally:
            connection.close()


class Store:
    """An open store. Every method that writes returns only when its change is on disk."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def add(self, label: str, taken: str, key: Key, examples: Sequence[NewExample]) -> List[int]:
        """Keeps one lesson: all of `examples`, or none if this fails. Returns their ids."""
        with _transaction(self._connection) as run:
            lesson = run("SELECT coalesce(max(lesson), 0) + 1 FROM examples").fetchone()[0]
            ids = []
            for example in examples:
                row = (lesson, label, taken, example.source, example.picture)
                cursor = run("INSERT INTO examples (lesson, label, taken, source, picture) VALUES (?, ?, ?, ?, ?)", row)
                ids.append(cursor.lastrowid)
                run("INSERT INTO codes VALUES (?, ?, ?, ?)", (cursor.lastrowid, *key, example.codes.tobytes()))
        return ids

    def taught(self, key: Key) -> Dict[str, np.ndarray]:
        """The codes of all examples that have some for `key`: (n, D) int8 by label."""
        rows = self._connection.execute(
            "SELECT label, codes FROM examples JOIN codes ON example = id WHERE backbone = ? AND look = ?", key
        )
        by_label: Dict[str, List[np.ndarray]] = {}
        for label, codes in rows:
            by_label.setdefault(label, []).append(np.frombuffer(codes, np.int8))
        return {label: np.array(codes) for label, codes in by_label.items()}

    def examples(self, key: Key) -> List[ExampleRow]:
        """Every example, oldest first, and whether it counts under `key`."""
        rows = self._connection.execute(
            "SELECT id, lesson, label, taken, source, picture IS NOT NULL, codes IS NOT NULL FROM examples"
            " LEFT JOIN codes ON example = id AND backbone = ? AND look = ? ORDER BY id",
            key,
        )
        return [ExampleRow(*row[:5], has_picture=bool(row[5]), used=bool(row[6])) for row in rows]

    def pictures_without_codes(self, key: Key) -> List[Tuple[int, bytes]]:
        """(id, PNG) of the examples that kept their picture and have no codes for `key`."""
        return self._connection.execute(
            "SELECT id, picture FROM examples LEFT JOIN codes ON example = id AND backbone = ? AND look = ?"
            " WHERE picture IS NOT NULL AND codes IS NULL ORDER BY id",
            key,
        ).fetchall()

    def add_codes(self, key: Key, codes: Sequence[Tuple[int, np.ndarray]]) -> None:
        """Keeps the codes, (D,) int8, of the examples with these ids under `key`, too."""
        with _transaction(self._connection) as run:
            for example, values in codes:
                row = (*key, values.tobytes(), example)  # another process may have removed or coded it since
                run("INSERT OR IGNORE INTO codes SELECT id, ?, ?, ? FROM examples WHERE id = ?", row)

    def remove(self, ids: Sequence[int]) -> None:
        """Removes these examples for good: their bytes are overwritten, in the log as well."""
        with _transaction(self._connection) as run:
            for example in ids:
                run("DELETE FROM examples WHERE id = ?", (example,))
        self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")

    def remove_everything(self) -> None:
        """Removes all examples and all looks, of every backbone, as `remove` does."""
        with _transaction(self._connection) as run:
            run("DELETE FROM examples")
            run("DELETE FROM looks")
        self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")

    def look(self, backbone: str) -> Optional[LookRow]:
        """The newest look for `backbone`, which is the one in force; None means the camera's bytes as they are."""
        row = self._connection.execute(
            "SELECT id, name, curve, why, taken FROM looks WHERE backbone = ? ORDER BY id DESC LIMIT 1", (backbone,)
        ).fetchone()
        return LookRow(*row) if row else None

    def look_names(self) -> List[str]:
        """The names of all looks, of every backbone, oldest first."""
        return [row[0] for row in self._connection.execute("SELECT name FROM looks ORDER BY id")]

    def add_look(self, backbone: str, name: str, table: bytes, why: str, taken: str) -> None:
        with _transaction(self._connection) as run:
            row = (backbone, name, table, why, taken)
            run("INSERT INTO looks (backbone, name, curve, why, taken) VALUES (?, ?, ?, ?, ?)", row)

    def remove_look(self, look: int) -> None:
        """Removes the look with this id; the one before it is in force again."""
        with _transaction(self._connection) as run:
            run("DELETE FROM looks WHERE id = ?", (look,))


def _prepare(connection: sqlite3.Connection, path: str) -> None:
    """Makes the connection durable, the file sound and its tables there."""
    for pragma in ("foreign_keys = ON", "secure_delete = ON", "synchronous = FULL"):
        connection.execute("PRAGMA " + pragma)
    version, tables = _version(connection)
    if version == 0 and tables == 0:
        connection.execute("PRAGMA journal_mode = WAL")
        with _transaction(connection) as run:
            if _version(connection) == (0, 0):  # else another process made them since
                for statement in _TABLES.split(";"):
                    run(statement)
                run("PRAGMA user_version = {}".format(SCHEMA))
        version, tables = _version(connection)
    if version != SCHEMA:
        raise FormatError(
            "{} has schema {}".format(path, version), "schema {}".format(SCHEMA), "use the edgewise that made it"
        )
    found = connection.execute("PRAGMA quick_check(1)").fetchone()[0]
    if found != "ok":
        raise sqlite3.DatabaseError(found)


def _version(connection: sqlite3.Connection) -> Tuple[int, int]:
    """The schema's version and the number of tables."""
    version = connection.execute("PRAGMA user_version").fetchone()[0]
    return version, connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]


@contextmanager
def _transaction(connection: sqlite3.Connection) -> Iterator[Any]:
    """All or nothing. Takes the write lock at once, so that two writers wait instead of failing half-way."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield connection.execute
        connection.execute("COMMIT")
    except BaseException:
        connection.execute("ROLLBACK")
        raise


@contextmanager
def _plain_errors(path: str) -> Iterator[None]:
    try:
        yield
    except sqlite3.OperationalError as error:
        reason = str(error).split("\n")[0]
        if "locked" in reason:
            raise BoardError(
                "{} is locked".format(path), "no other edgewise command writing", "wait for it to end, then try again"
            ) from None
        raise BoardError(
            "{}: {}".format(path, reason), "a file that can be read and written", "check the folder's owner and space"
        ) from None
    except sqlite3.DatabaseError as error:
        raise FormatError(
            "{} is damaged: {}".format(path, str(error).split("\n")[0]),
            "a file that edgewise wrote",
            "nothing was changed; restore a copy, or move it away to start anew",
        ) from None
