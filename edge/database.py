"""The SQLite file under the store: opened durable and sound or refused in one line; what was deleted is erased."""

import os
import sqlite3
from contextlib import contextmanager
from typing import Any, Iterator, List, Tuple

from edge.contract.errors import BoardError, FormatError
from edge.schemas import keep_copy, path_for, remove_others, version_of

SCHEMA = 4
_TABLES = """
CREATE TABLE examples (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    lesson INTEGER NOT NULL,
    label TEXT NOT NULL,
    taken TEXT NOT NULL,
    source TEXT NOT NULL,
    picture BLOB,
    person TEXT NOT NULL DEFAULT ''
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
    taken TEXT NOT NULL,
    lesson INTEGER NOT NULL DEFAULT 0
);
CREATE TABLE unerased (deletions INTEGER NOT NULL);
"""
_NOTICED = """CREATE TABLE noticed (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    question INTEGER NOT NULL,
    label TEXT NOT NULL,
    rival TEXT NOT NULL,
    score REAL NOT NULL,
    margin REAL NOT NULL,
    taken TEXT NOT NULL,
    source TEXT NOT NULL,
    backbone TEXT NOT NULL,
    look TEXT NOT NULL,
    codes BLOB NOT NULL,
    picture BLOB
)
"""
_DEEPENED = """CREATE TABLE deepened (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    lesson INTEGER NOT NULL,
    network TEXT NOT NULL,
    look TEXT NOT NULL,
    tuned TEXT NOT NULL,
    why TEXT NOT NULL,
    taken TEXT NOT NULL,
    weights BLOB NOT NULL,
    base BLOB NOT NULL
)
"""
_ALERTS = """CREATE TABLE alerts (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    rule TEXT NOT NULL,
    label TEXT NOT NULL,
    score REAL NOT NULL,
    source TEXT NOT NULL,
    taken TEXT NOT NULL,
    how TEXT NOT NULL,
    backbone TEXT NOT NULL,
    look TEXT NOT NULL,
    codes BLOB NOT NULL,
    picture BLOB,
    wanted INTEGER,
    marked INTEGER
)
"""
_UPGRADE_FROM_1 = """
ALTER TABLE examples ADD COLUMN person TEXT NOT NULL DEFAULT '';
ALTER TABLE looks ADD COLUMN lesson INTEGER NOT NULL DEFAULT 0;
CREATE TABLE unerased (deletions INTEGER NOT NULL);
"""
_UPGRADES = {
    1: (_UPGRADE_FROM_1, _NOTICED, _DEEPENED, _ALERTS),
    2: (_DEEPENED, _ALERTS),
    3: (_ALERTS,),
}


@contextmanager
def open_database(path: str, timeout_s: float) -> Iterator[sqlite3.Connection]:
    """The database in the file at `path`, made if there is none, closed at the end of the `with`.

    One of an older schema is brought up, and a copy stays for a rollback (edge/schemas.py).
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
        found = path_for(path, SCHEMA)
        connection = sqlite3.connect(found, timeout=timeout_s, isolation_level=None)
        try:
            try:
                _prepare(connection, found)
            except UnicodeDecodeError:  # SQLite names a damaged table by its bytes, and sqlite3 reads them as text
                raise sqlite3.DatabaseError("a table's name is no text") from None
            yield connection
        finally:
            connection.close()


@contextmanager
def transaction(connection: sqlite3.Connection) -> Iterator[Any]:
    """All or nothing, on disk at its end. Takes the write lock at once: a second writer waits, not fails."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield connection.execute
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:  # a full disk may have ended it already
            connection.execute("ROLLBACK")
        raise


@contextmanager
def deletion(connection: sqlite3.Connection) -> Iterator[Any]:
    """A transaction that deletes, then erases what it deleted; cut short, the next open_database() erases it.

    With it go the stores of other schemas.
    """
    with transaction(connection) as run:
        yield run
        run("INSERT INTO unerased VALUES (1)")
    _erase_everywhere(connection)


def _erase_everywhere(connection: sqlite3.Connection) -> None:
    path = connection.execute("PRAGMA database_list").fetchone()[2]
    if path:  # else it is in memory
        remove_others(path)
    erase(connection)


def erase(connection: sqlite3.Connection) -> None:
    """Leaves no byte of what was deleted in the file or its log. Raises BoardError while another process reads.

    Zeros (secure_delete) go to their places first, then the file is written anew: SQLite moves rows between pages,
    and a copy that a move left behind is not overwritten when the row is deleted.
    """
    for statement in ("PRAGMA wal_checkpoint(TRUNCATE)", "VACUUM", "PRAGMA wal_checkpoint(TRUNCATE)"):
        busy = connection.execute(statement).fetchone()
        if busy is not None and busy[0]:
            raise BoardError(
                "it is forgotten, but another command still reads the bytes",
                "none reading",
                "end it, then run `edgewise learned check`",
            )
    connection.execute("DELETE FROM unerased")


def problems(connection: sqlite3.Connection) -> List[str]:
    """What SQLite's full check finds wrong, a line each."""
    found = [str(row[0]) for row in connection.execute("PRAGMA integrity_check")]
    found += ["{}: row {} refers to nothing".format(*row[:2]) for row in connection.execute("PRAGMA foreign_key_check")]
    return [line for line in found if line != "ok"]


def _prepare(connection: sqlite3.Connection, path: str) -> None:
    """Makes the connection durable, the file sound and its tables there."""
    for pragma in ("foreign_keys = ON", "secure_delete = ON", "synchronous = FULL"):
        connection.execute("PRAGMA " + pragma)
    version, tables = _version(connection)
    if (version, tables) == (0, 0):
        connection.execute("PRAGMA journal_mode = WAL")
        _change(connection, (0, 0), ";".join((_TABLES, _NOTICED, _DEEPENED, _ALERTS)))
    elif version in _UPGRADES:
        keep_copy(connection, path, version)
        _change(connection, (version, tables), ";".join(_UPGRADES[version]))
    version, _ = _version(connection)
    if version != SCHEMA:
        raise FormatError(
            "{} has schema {}".format(path, version), "schema {}".format(SCHEMA), "use the edgewise that made it"
        )
    found = connection.execute("PRAGMA quick_check(1)").fetchone()[0]
    if found != "ok":
        raise sqlite3.DatabaseError(found)
    if connection.execute("SELECT count(*) FROM unerased").fetchone()[0]:
        _erase_everywhere(connection)


def _change(connection: sqlite3.Connection, present: Tuple[int, int], statements: str) -> None:
    with transaction(connection) as run:
        if _version(connection) == present:  # else another process has changed it since
            for statement in statements.split(";"):
                run(statement)
            run("PRAGMA user_version = {}".format(SCHEMA))


def _version(connection: sqlite3.Connection) -> Tuple[int, int]:
    """The schema's version and the number of tables."""
    return version_of(connection), connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]


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
