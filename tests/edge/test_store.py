"""edge/store.py: what was acknowledged is kept, what is damaged is said and left alone, what is forgotten is gone."""

import hashlib
import os
import signal
import sqlite3
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from edge.contract.errors import BoardError, FormatError
from edge.database import SCHEMA, transaction
from edge.rows import ExampleRow, Key, NewExample
from edge.store import open_store

KEY = Key("backbone", "look")
TAKEN = "2026-11-22T05:41:00Z"


def _example(value, picture=None, source="frame"):
    return NewExample(source, np.full(6, value, np.int8), picture)


def _path(tmp_path):
    return str(tmp_path / "personal" / "learned.sqlite")


def test_an_example_is_there_after_reopening(tmp_path):
    with open_store(_path(tmp_path)) as store:
        ids = store.add("cup", TAKEN, KEY, [_example(3), _example(-4, b"png")])
    with open_store(_path(tmp_path)) as store:
        rows = store.examples(KEY)
        assert [row.id for row in rows] == ids
        assert [(row.label, row.taken, row.source, row.has_picture, row.used) for row in rows] == [
            ("cup", TAKEN, "frame", False, True),
            ("cup", TAKEN, "frame", True, True),
        ]
        assert store.taught(KEY, 6)["cup"].tolist() == [[3] * 6, [-4] * 6]


def test_an_acknowledged_label_survives_a_kill(tmp_path):
    child = (
        "import sys, time, numpy as np\n"
        "from edge.store import Key, NewExample, open_store\n"
        "with open_store(sys.argv[1]) as store:\n"
        "    for i in range(3):\n"
        "        store.add('cup', 'now', Key('backbone', 'look'), [NewExample('s', np.full(6, i, np.int8), None)])\n"
        "        print('kept', i, flush=True)\n"
        "    store._connection.execute('BEGIN IMMEDIATE')\n"
        "    store._connection.execute('DELETE FROM examples')\n"
        "    print('half-way', flush=True)\n"
        "    time.sleep(60)\n"
    )
    process = subprocess.Popen([sys.executable, "-c", child, _path(tmp_path)], stdout=subprocess.PIPE)
    try:
        lines = [process.stdout.readline().decode().strip() for _ in range(4)]
        assert lines == ["kept 0", "kept 1", "kept 2", "half-way"]
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
        process.stdout.close()
    with open_store(_path(tmp_path)) as store:
        assert store.taught(KEY, 6)["cup"][:, 0].tolist() == [0, 1, 2]


def test_a_lesson_is_kept_whole_or_not_at_all(tmp_path):
    with open_store(_path(tmp_path)) as store:
        with pytest.raises(AttributeError):
            store.add("cup", TAKEN, KEY, [_example(1), NewExample("bad", None, None)])
        assert store.examples(KEY) == []


def test_codes_of_another_key_are_set_aside_and_come_back(tmp_path):
    other = Key("backbone", "another look")
    with open_store(_path(tmp_path)) as store:
        store.add("cup", TAKEN, KEY, [_example(1)])
        kept = store.add("cup", TAKEN, KEY, [_example(2, b"png")])
        assert store.taught(other, 6) == {}
        assert [row.used for row in store.examples(other)] == [False, False]
        assert store.pictures_without_codes(other) == [(kept[0], b"png")]
        store.add_codes(other, [(kept[0], np.full(6, 9, np.int8))])
        assert store.pictures_without_codes(other) == []
        assert store.taught(other, 6)["cup"].tolist() == [[9] * 6]
        assert store.taught(KEY, 6)["cup"].tolist() == [[1] * 6, [2] * 6]


def test_codes_of_an_example_that_is_gone_are_dropped(tmp_path):
    with open_store(_path(tmp_path)) as store:
        (example,) = store.add("cup", TAKEN, KEY, [_example(1, b"png")])
        store.remove([example])
        store.add_codes(KEY, [(example, np.zeros(6, np.int8))])
        assert store.taught(KEY, 6) == {}


def _bytes_on_disk(path):
    folder = os.path.dirname(path)
    found = b""
    for name in sorted(os.listdir(folder)):
        with open(os.path.join(folder, name), "rb") as file:
            found += file.read()
    return found


steps = st.lists(st.tuples(st.booleans(), st.integers(0, 99), st.sampled_from([0, 60, 5000])), max_size=30)


@settings(max_examples=15, deadline=None)
@given(steps)
def test_what_is_forgotten_leaves_no_bytes_behind(tmp_path_factory, steps):
    """Codes, picture, source, label and person of each example hold its own secret."""
    path = str(tmp_path_factory.mktemp("erased") / "learned.sqlite")
    kept, gone = {}, []
    with open_store(path) as store:
        for number, (forget, which, size) in enumerate(steps):
            if forget and kept:
                example = sorted(kept)[which % len(kept)]
                gone.append(kept.pop(example))
                store.remove([example])
                found = _bytes_on_disk(path)
                assert not [secret for secret in gone if secret in found]
                assert not [secret for secret in kept.values() if secret not in found]
            else:
                secret = hashlib.sha256(repr((number, which)).encode()).hexdigest()[:20].encode()
                text = secret.decode()
                codes = np.frombuffer(secret * 4, np.int8)
                (example,) = store.add(text, TAKEN, KEY, [NewExample(text, codes, secret * size or None)], text)
                kept[example] = secret


def test_what_was_deleted_before_a_kill_is_erased_by_the_next_command(tmp_path):
    secret = b"0123456789abcdef"
    with open_store(_path(tmp_path)) as store:
        (example,) = store.add("cup", TAKEN, KEY, [_example(1, secret * 400)])
        with transaction(store._connection) as run:  # as far as a forget gets that is killed in the middle
            run("DELETE FROM examples WHERE id = ?", (example,))
            run("INSERT INTO unerased VALUES (1)")
        assert secret in _bytes_on_disk(_path(tmp_path))
    with open_store(_path(tmp_path)) as store:
        assert secret not in _bytes_on_disk(_path(tmp_path))
        assert store.check() == []


def test_bytes_that_another_command_reads_are_said_and_erased_later(tmp_path):
    secret = b"0123456789abcdef"
    with open_store(_path(tmp_path), timeout_s=0.05) as store:
        (example,) = store.add("cup", TAKEN, KEY, [_example(1, secret * 400)])
        with open_store(_path(tmp_path)) as other:
            other._connection.execute("BEGIN")
            assert len(other.examples(KEY)) == 1
            with pytest.raises(BoardError, match="still reads"):
                store.remove([example])
            other._connection.execute("ROLLBACK")
        assert store.examples(KEY) == []
        assert store.check() == []
        assert secret not in _bytes_on_disk(_path(tmp_path))


def test_a_store_of_schema_1_is_brought_up_and_loses_nothing(tmp_path):
    path = str(tmp_path / "learned.sqlite")
    connection = sqlite3.connect(path)
    connection.executescript(
        "PRAGMA journal_mode = WAL;"
        "CREATE TABLE examples (id INTEGER PRIMARY KEY AUTOINCREMENT, lesson INTEGER NOT NULL, label TEXT NOT NULL,"
        " taken TEXT NOT NULL, source TEXT NOT NULL, picture BLOB);"
        "CREATE TABLE codes (example INTEGER NOT NULL REFERENCES examples (id) ON DELETE CASCADE, backbone TEXT NOT"
        " NULL, look TEXT NOT NULL, codes BLOB NOT NULL, PRIMARY KEY (example, backbone, look));"
        "CREATE TABLE looks (id INTEGER PRIMARY KEY AUTOINCREMENT, backbone TEXT NOT NULL, name TEXT NOT NULL,"
        " curve BLOB NOT NULL, why TEXT NOT NULL, taken TEXT NOT NULL);"
        "INSERT INTO examples VALUES (4, 2, 'cup', 'then', 'frame', x'0102');"
        "INSERT INTO codes VALUES (4, 'backbone', 'look', x'010203040506');"
        "INSERT INTO looks VALUES (1, 'backbone', 'inverted', x'00', 'why', 'then');"
        "PRAGMA user_version = 1;"
    )
    connection.close()
    for _ in range(2):
        with open_store(path) as store:
            assert store.examples(KEY) == [ExampleRow(4, 2, "cup", "", "then", "frame", True, True)]
            assert store.taught(KEY, 6)["cup"].tolist() == [[1, 2, 3, 4, 5, 6]]
            assert store.look("backbone").name == "inverted"
            assert store.last_lesson() == 2


def test_codes_of_another_length_are_refused_by_the_examples_number(tmp_path):
    with open_store(_path(tmp_path)) as store:
        (example,) = store.add("cup", TAKEN, KEY, [_example(1)])
        with pytest.raises(FormatError, match="forget --id {}".format(example)):
            store.taught(KEY, 7)


def test_examples_and_looks_are_lessons_in_one_row(tmp_path):
    with open_store(_path(tmp_path)) as store:
        store.add("cup", TAKEN, KEY, [_example(1), _example(2)])
        store.add_look("backbone", "inverted", bytes(256), "why", TAKEN)
        store.add("pen", TAKEN, KEY, [_example(3)])
        assert [row.lesson for row in store.examples(KEY)] == [1, 1, 3]
        assert [row.lesson for row in store.looks()] == [2]
        assert store.last_lesson() == 3


def test_the_newest_look_is_in_force_and_removing_it_brings_back_the_one_before(tmp_path):
    with open_store(_path(tmp_path)) as store:
        assert store.look("backbone") is None
        for name in ("first", "second"):
            store.add_look("backbone", name, bytes(256), "why", TAKEN)
        store.add_look("another", "third", bytes(256), "why", TAKEN)
        assert store.look("backbone").name == "second"
        store.remove((), [store.look("backbone").id])
        assert store.look("backbone").name == "first"
        store.remove_everything()
        assert store.look("backbone") is None and store.look("another") is None


@pytest.mark.parametrize(
    "content", [b"no database at all, but long enough to be read" * 9, b"SQLite format 3\x00" + b"\x07" * 900]
)
def test_a_damaged_file_is_said_in_one_line_and_left_as_it_is(tmp_path, content):
    path = tmp_path / "learned.sqlite"
    path.write_bytes(content)
    with pytest.raises(FormatError) as caught, open_store(str(path)):
        pass
    assert "\n" not in str(caught.value)
    assert path.read_bytes() == content


@settings(max_examples=25, deadline=None)
@example(3872, 128)  # a table's name that is no text any more
@given(st.integers(0, 10**6), st.integers(1, 255))
def test_a_byte_turned_over_is_never_more_than_an_error_of_ours(tmp_path_factory, place, flip):
    path = tmp_path_factory.mktemp("damage") / "learned.sqlite"
    with open_store(str(path)) as store:
        for value in range(12):
            store.add("cup", TAKEN, KEY, [_example(value, b"p" * 900)])
    content = bytearray(path.read_bytes())
    content[place % len(content)] ^= flip
    path.write_bytes(bytes(content))
    try:
        with open_store(str(path)) as store:
            store.taught(KEY, 6)
            store.examples(KEY)
    except (FormatError, BoardError):
        pass


def test_a_newer_schema_is_refused(tmp_path):
    path = str(tmp_path / "learned.sqlite")
    with open_store(path):
        pass
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA user_version = {}".format(SCHEMA + 1))
    connection.commit()
    connection.close()
    with pytest.raises(FormatError, match="schema {}".format(SCHEMA + 1)), open_store(path):
        pass


def test_a_database_of_another_program_is_refused(tmp_path):
    path = str(tmp_path / "learned.sqlite")
    connection = sqlite3.connect(path)
    connection.execute("CREATE TABLE bookmarks (url TEXT)")
    connection.commit()
    connection.close()
    with pytest.raises(FormatError), open_store(path):
        pass


def test_an_empty_file_is_a_new_store(tmp_path):
    path = tmp_path / "learned.sqlite"
    path.write_bytes(b"")
    with open_store(str(path)) as store:
        assert store.examples(KEY) == []


def test_a_store_that_another_process_writes_is_locked_after_the_timeout(tmp_path):
    path = str(tmp_path / "learned.sqlite")
    with open_store(path):
        other = sqlite3.connect(path, isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        try:
            with pytest.raises(BoardError, match="locked"), open_store(path, timeout_s=0.05) as store:
                assert store.taught(KEY, 6) == {}  # reading goes on
                store.add("cup", TAKEN, KEY, [_example(1)])
        finally:
            other.close()


def test_a_folder_that_cannot_be_made_is_said(tmp_path):
    (tmp_path / "personal").write_bytes(b"a file in the way")
    with pytest.raises(BoardError), open_store(_path(tmp_path)):
        pass


def test_an_error_of_the_caller_passes_through(tmp_path):
    with pytest.raises(OSError, match="the caller's"), open_store(_path(tmp_path)):
        raise OSError("the caller's")


def test_the_store_is_durable_by_its_settings(tmp_path):
    with open_store(_path(tmp_path)) as store:
        settings_now = [
            store._connection.execute("PRAGMA " + name).fetchone()[0]
            for name in ("journal_mode", "synchronous", "foreign_keys", "secure_delete")
        ]
        assert settings_now == ["wal", 2, 1, 1]


lessons = st.lists(st.tuples(st.sampled_from(["cup", "pen", "key"]), st.integers(-127, 127)), max_size=8)


@settings(max_examples=20, deadline=None)
@given(lessons, st.randoms())
def test_what_is_kept_is_what_was_added_less_what_was_removed(tmp_path_factory, taught, random):
    path = str(tmp_path_factory.mktemp("model") / "learned.sqlite")
    expected = {}
    with open_store(path) as store:
        for label, value in taught:
            (example,) = store.add(label, TAKEN, KEY, [_example(value)])
            expected[example] = (label, value)
        gone = [example for example in expected if random.random() < 0.4]
        store.remove(gone)
    with open_store(path) as store:
        left = {example: pair for example, pair in expected.items() if example not in gone}
        assert {row.id: row.label for row in store.examples(KEY)} == {i: label for i, (label, _) in left.items()}
        found = sorted((label, int(row[0])) for label, rows in store.taught(KEY, 6).items() for row in rows)
        assert found == sorted(left.values())
