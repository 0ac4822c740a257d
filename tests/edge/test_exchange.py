"""edge/learned_file.py, edge/exchange.py: out and in again is the same; what is damaged or hostile changes nothing."""

import contextlib
import hashlib
import json
import struct

import cv2
import numpy as np
import pytest
from glyph_world import KNOWN, draw, known_letters, make_glyph_backbone, on_paper
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.contract.errors import FormatError
from edge.exchange import export_learned, import_learned
from edge.learned_file import learned_bytes, parse_learned
from edge.lessons import examples_of, fit, learned, teach, undo
from edge.pictures import Picture
from edge.recall import recall
from edge.rows import Key, LookRow, WholeExample
from edge.store import open_store

NOW = 1_795_326_060.0
BACKBONE, LOOK = "a" * 64, "b" * 64
PNG = cv2.imencode(".png", np.zeros((8, 8), np.uint8))[1].tobytes()
EXAMPLE = WholeExample("cup", "Ada", "2026-11-22T05:41:00Z", "frame", PNG, ((Key(BACKBONE, LOOK), b"\x05" * 64),))
TABLE = LookRow(0, 0, BACKBONE, "inverted", bytes(256), "why", "2026-11-22T05:41:00Z")


@pytest.fixture(scope="module")
def backbone():
    return make_glyph_backbone(BACKBONE)


def _teach(backbone, store, letter, count=4, seed=3, keep=False, person=""):
    pictures = [Picture("{} {}".format(letter, i), image) for i, image in enumerate(draw(letter, count, seed))]
    return teach(backbone, store, letter, pictures, keep, NOW + seed, person)


def _bits(backbone, store):
    head = recall(backbone, store).head
    return head.weights.tobytes(), head.bias.tobytes(), head.own is not None and head.own.tobytes(), head[2:5]


def _rows(backbone, store):
    return [row._replace(id=0, lesson=0) for row in examples_of(backbone, store)]


def test_out_and_into_an_empty_store_gives_the_same_head_bit_for_bit(backbone, tmp_path):
    with open_store(str(tmp_path / "one")) as one, open_store(str(tmp_path / "two")) as two:
        _teach(backbone, one, "Z", keep=True, person="Ada")
        _teach(backbone, one, "A")
        pixels, targets = known_letters(6, seed=7)
        paper = [Picture("paper", image) for image in on_paper(pixels, 1)[::6]]
        fit(backbone, one, paper, [KNOWN[t] for t in targets[::6]], NOW, lambda tried, of: None)
        report = import_learned(backbone, two, export_learned(backbone, one))
        assert (len(report.ids), report.passed_over, len(report.looks)) == (8, 0, 1)
        assert _bits(backbone, two) == _bits(backbone, one)
        assert _rows(backbone, two) == _rows(backbone, one)
        undo(backbone, two, None)
        assert examples_of(backbone, two) == [] and two.looks() == []


def test_importing_twice_adds_nothing_and_two_boards_can_be_joined(backbone, tmp_path):
    with open_store(str(tmp_path / "one")) as one, open_store(str(tmp_path / "two")) as two:
        _teach(backbone, one, "Z")
        _teach(backbone, two, "Z", seed=5)
        _teach(backbone, two, "A", seed=5)
        data = export_learned(backbone, one)
        assert len(import_learned(backbone, two, data).ids) == 4
        again = import_learned(backbone, two, data)
        assert (again.ids, again.passed_over) == ((), 4)
        assert import_learned(backbone, one, export_learned(backbone, two)).passed_over == 4
        assert _bits(backbone, one) == _bits(backbone, two)


def test_the_look_of_a_board_stays_its_own(backbone, tmp_path):
    with open_store(str(tmp_path / "learned.sqlite")) as store:
        store.add_look(BACKBONE, "mine", bytes(256), "why", TABLE.taken)
        assert import_learned(backbone, store, learned_bytes([], [TABLE])).looks == ()
        assert learned(backbone, store).look == "mine"


def test_a_file_that_does_not_fit_the_network_changes_nothing(backbone, tmp_path):
    short = EXAMPLE._replace(codes=((Key(BACKBONE, LOOK), b"\x05" * 63),))
    broken = EXAMPLE._replace(picture=PNG[:40])
    coloured = TABLE._replace(table=bytes(768))
    with open_store(str(tmp_path / "learned.sqlite")) as store:
        for examples, looks in (([EXAMPLE, short], []), ([EXAMPLE, broken], []), ([EXAMPLE], [coloured])):
            with pytest.raises(FormatError) as caught:
                import_learned(backbone, store, learned_bytes(examples, looks))
            assert "\n" not in str(caught.value)
            assert examples_of(backbone, store) == [] and store.looks() == []


def test_a_file_cut_short_or_changed_anywhere_is_refused():
    data = learned_bytes([EXAMPLE], [TABLE])
    assert parse_learned(data) == ((EXAMPLE,), (TABLE,))
    for place in range(len(data)):
        for damaged in (data[:place], data[:place] + bytes([data[place] ^ 1]) + data[place + 1 :]):
            with pytest.raises(FormatError):
                parse_learned(damaged)
    with pytest.raises(FormatError):
        parse_learned(data + b"\0")


def _forged(index, contents=b""):
    """A file with a hash that holds, as somebody who means harm would make it."""
    text = index if isinstance(index, bytes) else json.dumps(index).encode("ascii")
    rest = struct.pack(">I", len(text)) + text + contents
    return b"EWLEARN1" + hashlib.sha256(rest).digest() + rest


GOOD = {"label": "cup", "person": "", "taken": "2026-11-22T05:41:00Z", "source": "x", "picture": 0, "codes": []}


def _example(**changes):
    return {"examples": [dict(GOOD, **changes)], "looks": []}


@pytest.mark.parametrize(
    "index",
    [
        b"",
        b"[" * 100000,
        b'{"examples": [], "examples": [], "looks": []}',
        b'{"examples": [], "looks": ' + b"9" * 100000 + b"}",
        [],
        {"examples": []},
        {"examples": {}, "looks": []},
        {"examples": [1], "looks": []},
        _example(label="a/b"),
        _example(label=7),
        _example(label="\x1b[2J"),
        _example(person=" Ada"),
        _example(taken="now"),
        _example(source="\x1b]0;title\x07"),
        _example(source="x" * 1025),
        _example(source="\ud800"),
        _example(picture=1),
        _example(picture=-1),
        _example(picture=True),
        _example(picture=1e999),
        _example(picture=1 << 40),
        _example(codes=[["a" * 64, "b" * 64]]),
        _example(codes=[["a", "b", 0]]),
        _example(codes=[["a" * 64, "b" * 64, 0]] * 2),
        {"examples": [], "looks": [["a" * 64, "look", "why", "2026-11-22T05:41:00Z", 0]]},
    ],
)
def test_a_forged_index_is_one_line(index):
    with pytest.raises(FormatError) as caught:
        parse_learned(_forged(index))
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 600


def test_a_picture_that_asks_for_much_memory_is_refused_by_its_header():
    bomb = PNG[:16] + struct.pack(">II", 60000, 60000) + PNG[24:]
    with pytest.raises(FormatError, match="picture"):
        parse_learned(_forged(_example(picture=len(bomb)), bomb))


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | st.sampled_from(["a" * 64]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(sorted(GOOD)), inner, max_size=6),
    max_leaves=8,
)


@settings(max_examples=60, deadline=None)
@given(st.sampled_from(sorted(GOOD)), values, st.binary(max_size=40))
def test_no_forged_field_is_more_than_an_error_of_ours(field, value, contents):
    with contextlib.suppress(FormatError):
        parse_learned(_forged(_example(**{field: value}), contents))


def test_any_name_of_a_picture_survives_teaching_and_export(backbone, tmp_path):
    with open_store(str(tmp_path / "learned.sqlite")) as store:
        name = "\x1b[2J\udcff猫\n" + "x" * 2000
        teach(backbone, store, "Z", [Picture(name, draw("Z", 1, 1)[0])], False, NOW)
        (example,) = parse_learned(export_learned(backbone, store)).examples
        assert example.source.isprintable() and len(example.source) == 1024
