"""Stores of two schemas side by side: a new release changes the store, and a rollback finds the one that it can read.

The store is in PATH. Before its schema changes it is copied to PATH.schemaN, N being the old one. A program that finds
a newer schema in PATH than its own opens its PATH.schemaN, which is as it was then. Forgetting takes the others along.
"""

import contextlib
import os
import shutil
import sqlite3
import tempfile
from typing import Tuple

from edge.contract.files import sync_folder

_MARK = ".schema"
_SEQUENCE = "sqlite_sequence"


def version_of(connection: sqlite3.Connection) -> int:
    return connection.execute("PRAGMA user_version").fetchone()[0]


def path_for(path: str, schema: int) -> str:
    """The file that a program of this schema opens: PATH, or its own copy while PATH is newer.

    If PATH is gone, forgotten after a rollback, the newest copy that this program can read becomes it.
    """
    if os.path.exists(path):
        own = _copy(path, schema)
        return own if os.path.exists(own) and _version_in(path) > schema else path
    for older in range(schema, 0, -1):
        if os.path.exists(_copy(path, older)):
            os.rename(_copy(path, older), path)
            break
    return path


def keep_copy(connection: sqlite3.Connection, path: str, version: int) -> None:
    """Copies the store in `path`, whose schema is `version`, before that is changed: whole, or not at all.

    By SQL, while nobody writes: Python 3.6 has no Connection.backup and SQLite 3.22 no VACUUM INTO.
    """
    folder = os.path.dirname(os.path.abspath(path))
    with tempfile.TemporaryDirectory(dir=folder, prefix=os.path.basename(path) + _MARK) as scratch:
        new = os.path.join(scratch, "new")
        connection.execute("ATTACH ? AS kept", (new,))
        try:
            with connection:  # commits, or rolls back
                connection.execute("BEGIN IMMEDIATE")
                if version_of(connection) != version:
                    return  # another process was here first
                _copy_tables(connection)
                connection.execute("PRAGMA kept.user_version = {}".format(version))
        finally:
            connection.execute("DETACH kept")
        shutil.copymode(path, new)
        os.replace(new, _copy(path, version))
    sync_folder(folder)


def remove_others(path: str) -> None:
    """Removes every store beside the one that is open in `path`: what is forgotten must not stand in a copy."""
    folder, name = os.path.split(os.path.abspath(path))
    first = name.partition(_MARK)[0]
    for other in sorted(os.listdir(folder)):
        is_store = other.startswith(first + _MARK) or other in _files_of(first)
        if not is_store or other in _files_of(name):
            continue
        if os.path.isdir(os.path.join(folder, other)):
            shutil.rmtree(os.path.join(folder, other))
        else:
            os.unlink(os.path.join(folder, other))
    sync_folder(folder)


def _copy_tables(connection: sqlite3.Connection) -> None:
    """Every table and row of `main` into `kept`, which is empty."""
    tables = connection.execute("SELECT name, sql FROM main.sqlite_master WHERE type = 'table'").fetchall()
    for name, sql in sorted(tables, key=lambda table: table[0] == _SEQUENCE):
        if name != _SEQUENCE:  # SQLite makes it with the first table that counts by itself
            connection.execute(sql.replace("CREATE TABLE ", "CREATE TABLE kept.", 1))
        for statement in ('DELETE FROM kept."{0}"', 'INSERT INTO kept."{0}" SELECT * FROM main."{0}"'):
            connection.execute(statement.format(name))  # the sequence has counted the rows that were just copied


def _version_in(path: str) -> int:
    with contextlib.closing(sqlite3.connect(path)) as connection:
        return version_of(connection)


def _copy(path: str, schema: int) -> str:
    return "{}{}{}".format(path, _MARK, schema)


def _files_of(name: str) -> Tuple[str, ...]:
    return (name,) + tuple(name + ending for ending in ("-wal", "-shm", "-journal"))
