"""A store whose schema changes: the old one stays for a rollback, and forgetting reaches both."""

import os
import sqlite3
import stat

import numpy as np
import pytest

import edge.database
from edge.contract.errors import FormatError
from edge.database import SCHEMA
from edge.rows import Key, NewExample
from edge.store import open_store

KEY = Key("backbone", "look")
SCHEMA_1 = """
PRAGMA journal_mode = WAL;
CREATE TABLE examples (id INTEGER PRIMARY KEY AUTOINCREMENT, lesson INTEGER NOT NULL, label TEXT NOT NULL,
 taken TEXT NOT NULL, source TEXT NOT NULL, picture BLOB);
CREATE TABLE codes (example INTEGER NOT NULL REFERENCES examples (id) ON DELETE CASCADE, backbone TEXT NOT NULL,
 look TEXT NOT NULL, codes BLOB NOT NULL, PRIMARY KEY (example, backbone, look));
CREATE TABLE looks (id INTEGER PRIMARY KEY AUTOINCREMENT, backbone TEXT NOT NULL, name TEXT NOT NULL,
 curve BLOB NOT NULL, why TEXT NOT NULL, taken TEXT NOT NULL);
INSERT INTO examples VALUES (4, 2, 'cup', 'then', 'frame', x'736563726574');
INSERT INTO codes VALUES (4, 'backbone', 'look', x'010203040506');
INSERT INTO looks VALUES (1, 'backbone', 'inverted', x'00', 'why', 'then');
PRAGMA user_version = 1;
"""
SECRET = b"secret"  # the picture


@pytest.fixture
def path(tmp_path):
    """A store of schema 1."""
    path = str(tmp_path / "learned.sqlite")
    connection = sqlite3.connect(path)
    connection.executescript(SCHEMA_1)
    connection.close()
    os.chmod(path, 0o660)
    return path


def rows(path):
    """Everything in a store, as SQL; and its schema."""
    connection = sqlite3.connect(path)
    try:
        return sorted(connection.iterdump()), connection.execute("PRAGMA user_version").fetchone()[0]
    finally:
        connection.close()


def labels(path):
    with open_store(path) as store:
        return [row.label for row in store.examples(KEY)]


def teach(path, label):
    with open_store(path) as store:
        store.add(label, "now", KEY, [NewExample("film", np.zeros(6, np.int8), SECRET)])


def make_newer(path):
    """What a later edgewise would do: keep this program's store beside its own, whose schema is unknown here."""
    connection = sqlite3.connect(path, isolation_level=None)
    edge.database.keep_copy(connection, path, SCHEMA)
    connection.execute("ALTER TABLE examples ADD COLUMN mood TEXT NOT NULL DEFAULT 'good'")
    connection.execute("PRAGMA user_version = {}".format(SCHEMA + 1))
    connection.close()


def own_copy(path):
    return "{}.schema{}".format(path, SCHEMA)


def bytes_in(folder):
    return b"".join(path.read_bytes() for path in folder.iterdir())


def test_the_old_store_stays_row_for_row_when_the_schema_changes(path):
    before = rows(path)
    teach(path, "pen")
    assert labels(path) == ["cup", "pen"]
    assert rows(path + ".schema1") == before
    assert stat.S_IMODE(os.stat(path + ".schema1").st_mode) == 0o660


def test_a_change_that_was_cut_short_leaves_the_old_store_and_is_done_by_the_next(path, tmp_path, monkeypatch):
    before = rows(path)

    def cut(*arguments):
        raise KeyboardInterrupt

    for name in ("keep_copy", "_change"):
        with monkeypatch.context() as patched:
            patched.setattr(edge.database, name, cut)
            with pytest.raises(KeyboardInterrupt):
                labels(path)
        assert rows(path) == before
    assert labels(path) == ["cup"]
    assert sorted(os.listdir(str(tmp_path))) == ["learned.sqlite", "learned.sqlite.schema1"]


def test_after_a_rollback_the_store_from_before_is_opened_and_goes_on_by_itself(path):
    teach(path, "pen")
    before = labels(path)
    make_newer(path)
    assert labels(path) == before
    teach(path, "fox")
    assert labels(path) == before + ["fox"]
    assert rows(path)[1] == SCHEMA + 1 and rows(own_copy(path))[1] == SCHEMA  # and forward again finds its own


def test_ids_go_on_where_the_old_store_was(path):
    teach(path, "pen")
    with open_store(path) as store:
        store.remove([store.examples(KEY)[-1].id])
    teach(path, "fox")
    make_newer(path)
    teach(path, "owl")
    with open_store(path) as store:
        assert [row.id for row in store.examples(KEY)] == [4, 6, 7]


def test_a_newer_store_without_a_copy_is_refused_and_left_as_it_is(path):
    labels(path)
    make_newer(path)
    os.unlink(own_copy(path))
    before = rows(path)
    with pytest.raises(FormatError, match="schema {}".format(SCHEMA)):
        labels(path)
    assert rows(path) == before


def test_what_is_forgotten_is_forgotten_in_the_older_store_too(path, tmp_path):
    assert labels(path) == ["cup"]
    assert SECRET in bytes_in(tmp_path)
    with open_store(path) as store:
        store.remove([4])
    assert SECRET not in bytes_in(tmp_path)
    assert os.listdir(str(tmp_path)) == ["learned.sqlite"]


def test_what_is_forgotten_after_a_rollback_is_forgotten_in_the_newer_store_too(path, tmp_path):
    teach(path, "pen")
    make_newer(path)
    with open_store(path) as store:
        store.remove([row.id for row in store.examples(KEY) if row.label == "cup"])
    assert labels(path) == ["pen"]  # found though the newer store is gone
    with open_store(path) as store:
        store.remove_everything()
    assert SECRET not in bytes_in(tmp_path)
    assert os.listdir(str(tmp_path)) == ["learned.sqlite"]
