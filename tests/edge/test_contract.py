"""The records that rooms share: what they accept, and the one line that they say otherwise."""

import json
import os
import subprocess
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.contract.errors import EdgewiseError, FormatError, UsageError
from edge.contract.labels import check_label, labels_text, parse_labels
from edge.contract.manifest import (
    MAX_MANIFEST_BYTES,
    REQUIRED,
    FileEntry,
    Manifest,
    manifest_bytes,
    parse_manifest,
    release_id,
)
from edge.contract.spec import ModelSpec, parse_spec_text, spec_text

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
SPEC = ModelSpec("resnet-s", 32, 32, 1, 96, 10)
FILES = {path: FileEntry(10, "ab" * 32) for path in REQUIRED}
MANIFEST = Manifest(1, "digits", "1.2", 7, "2026-11-22T05:41:00Z", ("any",), SPEC, FILES)


def test_importing_the_contract_loads_neither_numpy_nor_opencv():
    code = (
        "import sys, edge.contract.errors, edge.contract.files, edge.contract.labels, edge.contract.manifest,"
        " edge.contract.results, edge.contract.spec;"
        "print([m for m in ('numpy', 'cv2', 'onnxruntime', 'cryptography', 'yaml', 'torch') if m in sys.modules])"
    )
    assert subprocess.check_output([sys.executable, "-c", code], cwd=ROOT).strip() == b"[]"


def test_what_classifies_a_film_loads_nothing_that_only_installs_or_streams_need():
    code = (
        "import sys, edge.__main__, edge.choice, edge.classifier, edge.loop, edge.recovery, edge.watch;"
        "print([m for m in ('cryptography', 'edge.install', 'py_compile', 'zipfile') if m in sys.modules])"
    )
    assert subprocess.check_output([sys.executable, "-c", code], cwd=ROOT).strip() == b"[]"


def test_a_manifest_survives_its_bytes():
    assert parse_manifest(manifest_bytes(MANIFEST)) == MANIFEST


def test_a_release_is_named_after_its_manifest():
    name = release_id(manifest_bytes(MANIFEST))
    assert name.startswith("digits-1.2-")
    assert name != release_id(manifest_bytes(MANIFEST._replace(counter=8)))


@pytest.mark.parametrize(
    "change",
    [
        {"schema": 2},
        {"name": "../x"},
        {"name": ""},
        {"version": "1.0-beta"},
        {"counter": 0},
        {"counter": True},
        {"counter": 1.5},
        {"created": "yesterday"},
        {"boards": []},
        {"boards": "any"},
        {"model": {}},
        {"files": {}},
        {"extra": 1},
    ],
)
def test_a_manifest_with_an_odd_field_is_refused(change):
    fields = json.loads(manifest_bytes(MANIFEST).decode())
    fields.update(change)
    with pytest.raises(FormatError):
        parse_manifest(json.dumps(fields).encode())


@pytest.mark.parametrize(
    "path",
    [
        "../evil",
        "/etc/passwd",
        "a//b",
        "a/./b",
        "a\\b",
        "",
        ".hidden",
        "a/.git",
        "labels.txt/x",
        "manifest.json",
        "a\n",
    ],
)
def test_a_manifest_that_lists_an_odd_path_is_refused(path):
    fields = json.loads(manifest_bytes(MANIFEST).decode())
    fields["files"][path] = {"size": 1, "sha256": "ab" * 32}
    with pytest.raises(FormatError):
        parse_manifest(json.dumps(fields).encode())


def test_a_manifest_that_repeats_a_key_is_refused():
    data = manifest_bytes(MANIFEST).replace(b'"counter": 7', b'"counter": 7, "counter": 9')
    with pytest.raises(FormatError):
        parse_manifest(data)


def test_a_manifest_above_its_limit_is_refused_unread():
    with pytest.raises(FormatError, match=str(MAX_MANIFEST_BYTES)):
        parse_manifest(b" " * (MAX_MANIFEST_BYTES + 1))


@settings(max_examples=200, deadline=None)
@given(st.data())
def test_no_change_of_a_manifests_bytes_gives_anything_but_a_manifest_or_one_clear_error(data):
    content = bytearray(manifest_bytes(MANIFEST))
    for _ in range(data.draw(st.integers(1, 3))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    try:
        assert isinstance(parse_manifest(bytes(content)), Manifest)
    except EdgewiseError as error:
        assert "\n" not in str(error)


@settings(max_examples=100, deadline=None)
@given(st.binary(max_size=200))
def test_no_bytes_at_all_get_past_the_manifest_with_a_traceback(content):
    with pytest.raises(FormatError):
        parse_manifest(content)


def test_a_spec_survives_its_text():
    assert parse_spec_text(spec_text(SPEC)) == SPEC


@pytest.mark.parametrize(
    "change", [{"channels": 2}, {"height": 0}, {"classes": True}, {"network": 3}, {"features": "9"}]
)
def test_a_spec_out_of_bounds_is_refused(change):
    fields = dict(SPEC._asdict(), **change)
    with pytest.raises(FormatError):
        parse_spec_text(json.dumps(fields))


@settings(max_examples=200, deadline=None)
@given(st.lists(st.text(max_size=20), min_size=2, max_size=6))
def test_every_label_that_is_accepted_survives_labels_txt(texts):
    labels = []
    for text in texts:
        try:
            labels.append(check_label(text))
        except UsageError as error:
            assert "\n" not in str(error)
    labels = sorted(set(labels))
    if len(labels) >= 2:
        assert parse_labels(labels_text(labels)) == tuple(labels)


def test_a_label_may_be_in_any_script():
    assert check_label("  cafe\u0301 \u732b ") == "caf\u00e9 \u732b"


@pytest.mark.parametrize("label", ["", "   ", "a/b", "a\\b", "a\nb", "..", "\u202eevil", "x" * 65, "\x1b[31m", "nul\0"])
def test_a_label_that_would_break_a_path_or_a_terminal_is_refused(label):
    with pytest.raises(UsageError):
        check_label(label)


@pytest.mark.parametrize("text", ["", "a\n", "a\na\n", "a\nb", "a\n\nb\n", "a\n b\n"])
def test_a_labels_file_with_missing_repeated_or_odd_lines_is_refused(text):
    with pytest.raises(FormatError):
        parse_labels(text)
