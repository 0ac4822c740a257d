"""manifest.json: what a release is and which bytes belong to it. Its exact bytes are what is signed."""

import json
import re
from typing import Any, Dict, NamedTuple, Tuple

from edge.contract.errors import FormatError
from edge.contract.spec import ModelSpec, parse_spec, spec_to_dict
from edge.contract.strict_json import no_repeats

SCHEMA = 1
MAX_MANIFEST_BYTES = 1 << 20
MAX_FILE_BYTES = 1 << 31
MAX_FILES = 4096
REQUIRED = (
    "golden.npz",
    "head.npz",
    "labels.txt",
    "model.float.onnx",
    "model.s8.onnx",
    "model.s8_identity.onnx",
    "model.u8.onnx",
    "report.json",
    "runtime/edge/__main__.py",
)

_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")
_VERSION = re.compile(r"[0-9]+(\.[0-9]+){0,3}")
_PART = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,99}")
_SHA256 = re.compile(r"[0-9a-f]{64}")
_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ")


class FileEntry(NamedTuple):
    size_bytes: int
    sha256: str


class Manifest(NamedTuple):
    """One release. `counter` only rises on a board; `boards` are the names it may go to, ("any",) for all."""

    schema: int
    name: str
    version: str
    counter: int
    created: str  # UTC, 2026-11-22T05:41:00Z: for people; no decision rests on it
    boards: Tuple[str, ...]
    model: ModelSpec
    files: Dict[str, FileEntry]  # by the path inside the release, with forward slashes


def manifest_bytes(manifest: Manifest) -> bytes:
    """The exact bytes to be signed: UTF-8 JSON, keys sorted. Raises FormatError if it would not parse back."""
    fields = dict(manifest._asdict())
    fields["boards"] = list(manifest.boards)
    fields["model"] = spec_to_dict(manifest.model)
    fields["files"] = {p: {"size": f.size_bytes, "sha256": f.sha256} for p, f in manifest.files.items()}
    data = (json.dumps(fields, indent=1, sort_keys=True) + "\n").encode("utf-8")
    parse_manifest(data)
    return data


def parse_manifest(data: bytes) -> Manifest:
    """The Manifest in `data`, whose signature the caller has verified. Raises FormatError on anything unexpected."""
    if len(data) > MAX_MANIFEST_BYTES:
        raise _bad("is {} bytes long".format(len(data)), "at most {}".format(MAX_MANIFEST_BYTES))
    try:
        fields = json.loads(data.decode("utf-8"), object_pairs_hook=no_repeats)
    except (ValueError, RecursionError):
        raise _bad("is not JSON with unique keys", "UTF-8 JSON") from None
    if not isinstance(fields, dict):
        raise _bad("is no JSON object", "an object")
    if fields.get("schema") != SCHEMA:
        raise _bad("has schema {!r}".format(fields.get("schema")), "schema {}".format(SCHEMA))
    if set(fields) != set(Manifest._fields):
        raise _bad("has other fields", ", ".join(Manifest._fields))
    _match(_NAME, fields["name"], "name")
    _match(_VERSION, fields["version"], "version")
    _match(_TIME, fields["created"], "created")
    counter = fields["counter"]
    if type(counter) is not int or not 0 < counter < 1 << 53:
        raise _bad("has counter {!r}".format(counter), "a whole number above 0")
    boards = fields["boards"]
    if not isinstance(boards, list) or not boards:
        raise _bad("has boards {!r}".format(boards), "a list of names")
    for board in boards:
        _match(_NAME, board, "board")
    files = _parse_files(fields["files"])
    model = parse_spec(fields["model"])
    return Manifest(SCHEMA, fields["name"], fields["version"], counter, fields["created"], tuple(boards), model, files)


def release_id(data: bytes) -> str:
    """The folder name of the release whose manifest.json is `data`: name, version and the start of its hash."""
    import hashlib

    manifest = parse_manifest(data)
    return "{}-{}-{}".format(manifest.name, manifest.version, hashlib.sha256(data).hexdigest()[:12])


def _parse_files(fields: Any) -> Dict[str, FileEntry]:
    if not isinstance(fields, dict) or len(fields) > MAX_FILES:
        raise _bad("has no list of files", "at most {} files".format(MAX_FILES))
    files = {}
    for path, entry in fields.items():
        if not all(_PART.fullmatch(part) for part in path.split("/")) or len(path) > 255:
            raise _bad("lists the file {!a}".format(path), "plain names with forward slashes")
        if not isinstance(entry, dict) or set(entry) != {"size", "sha256"}:
            raise _bad("describes {} by other fields".format(path), "size and sha256")
        size = entry["size"]
        if type(size) is not int or not 0 <= size <= MAX_FILE_BYTES:
            raise _bad("gives {} the size {!r}".format(path, size), "0 to {} bytes".format(MAX_FILE_BYTES))
        _match(_SHA256, entry["sha256"], "sha256")
        files[path] = FileEntry(size, entry["sha256"])
    missing = [path for path in REQUIRED if path not in files]
    if missing:
        raise _bad("lists no {}".format(missing[0]), "all of " + ", ".join(REQUIRED))
    folders = {"/".join(path.split("/")[:i]) for path in files for i in range(1, path.count("/") + 1)}
    clash = sorted(folders & set(files)) or sorted({"manifest.json", "manifest.sig"} & set(files))
    if clash:
        raise _bad("lists {} twice over".format(clash[0]), "each path once")
    return files


def _match(pattern: Any, value: Any, what: str) -> None:
    if not isinstance(value, str) or not pattern.fullmatch(value):
        raise _bad("has the {} {!a}".format(what, value), "the form {}".format(pattern.pattern))


def _bad(found: str, expected: str) -> FormatError:
    return FormatError("manifest.json " + found, expected, "pack the release again")
