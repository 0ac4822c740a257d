"""What a board has learnt as one file, NAME.learned: to keep elsewhere, to move, or to join with another board's.

Its layout is in docs/package-format.md. The hash is checked before anything is read; it finds damage, and says nothing
about who wrote the file. So every field is checked too, and nothing in it decides how much memory is asked for.
"""

import hashlib
import json
import re
import struct
from typing import Any, Dict, List, NamedTuple, Sequence, Tuple

from edge.contract.errors import FormatError, UsageError
from edge.contract.labels import check_label
from edge.contract.strict_json import no_repeats
from edge.rows import Key, LookRow, WholeExample

MAX_BYTES = 1 << 29
_MAGIC = b"EWLEARN1"
_HEAD = struct.Struct(">8s32sI")  # magic, sha256 of all that follows it, bytes of the index
_MAX_CODES, _MAX_PICTURE, _MAX_SIDE = 1 << 16, 1 << 25, 4096
_LOOK_BYTES = (256, 512, 768, 1536)
_MAX_TEXT = 1024
_PNG = struct.Struct(">8s8xII")  # signature, length and name of the first chunk, width, height
_PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_SHA256 = re.compile(r"[0-9a-f]{64}")
_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ")


class LearnedFile(NamedTuple):
    examples: Tuple[WholeExample, ...]
    looks: Tuple[LookRow, ...]  # oldest first; their ids and lessons are 0


def learned_bytes(examples: Sequence[WholeExample], looks: Sequence[LookRow]) -> bytes:
    """The content of a .learned file. Raises FormatError if it would not parse back."""
    index: Dict[str, List[Any]] = {"examples": [], "looks": []}
    contents: List[bytes] = []
    for example in examples:
        fields = {"label": example.label, "person": example.person, "taken": example.taken, "source": example.source}
        fields["picture"] = 0 if example.picture is None else len(example.picture)
        fields["codes"] = [[key.backbone, key.look, len(values)] for key, values in example.codes]
        contents += [example.picture or b""] + [values for _, values in example.codes]
        index["examples"].append(fields)
    for look in looks:
        index["looks"].append([look.backbone, look.name, look.why, look.taken, len(look.table)])
        contents.append(look.table)
    text = json.dumps(index, sort_keys=True).encode("ascii")
    rest = struct.pack(">I", len(text)) + text + b"".join(contents)
    data = _MAGIC + hashlib.sha256(rest).digest() + rest
    parse_learned(data)
    return data


def parse_learned(data: bytes) -> LearnedFile:
    """What is in a .learned file. Raises FormatError on anything unexpected."""
    if not _HEAD.size <= len(data) <= MAX_BYTES or not data.startswith(_MAGIC):
        raise _bad("{} bytes that are no such file".format(len(data)), "at most {}".format(MAX_BYTES))
    _, digest, length = _HEAD.unpack_from(data)
    if hashlib.sha256(data[len(_MAGIC) + len(digest) :]).digest() != digest:
        raise _bad("another hash than it states", "a whole file")
    index = _parse_index(data[_HEAD.size : _HEAD.size + length])
    contents = _Contents(data, _HEAD.size + length)
    examples = tuple(_example(fields, contents) for fields in _list(index["examples"]))
    looks = tuple(_look(fields, contents) for fields in _list(index["looks"]))
    if contents.at != len(data):
        raise _bad("bytes that belong to nothing", "what its index lists")
    return LearnedFile(examples, looks)


class _Contents:
    """The bytes after the index, taken piece by piece."""

    def __init__(self, data: bytes, at: int) -> None:
        self.at = at
        self._data = data

    def take(self, size: Any, most: int) -> bytes:
        if type(size) is not int or not 0 <= size <= most or self.at + size > len(self._data):
            raise _bad("the size {!r}".format(size)[:80], "0 to {} bytes that are there".format(most))
        self.at += size
        return self._data[self.at - size : self.at]


def _parse_index(text: bytes) -> Dict[str, Any]:
    try:
        index = json.loads(text.decode("ascii"), object_pairs_hook=no_repeats, parse_int=_short_int)
    except (ValueError, RecursionError):
        raise _bad("an index that is not JSON with unique keys", "ASCII JSON") from None
    return _fields(index, {"examples", "looks"})


def _example(fields: Any, contents: _Contents) -> WholeExample:
    fields = _fields(fields, {"label", "person", "taken", "source", "picture", "codes"})
    picture = contents.take(fields["picture"], _MAX_PICTURE)
    if picture:
        _check_picture(picture)
    codes = {}
    for entry in _list(fields["codes"]):
        backbone, look, size = _list(entry, 3)
        key = Key(_text(backbone, _SHA256), _text(look, _SHA256))
        if key in codes:
            raise _bad("two codes of an example for one network and look", "one")
        codes[key] = contents.take(size, _MAX_CODES)
    return WholeExample(
        label=_name(fields["label"]),
        person=_name(fields["person"]) if fields["person"] != "" else "",
        taken=_text(fields["taken"], _TIME),
        source=_printable(fields["source"]),
        picture=picture or None,
        codes=tuple(sorted(codes.items())),
    )


def _look(fields: Any, contents: _Contents) -> LookRow:
    backbone, name, why, taken, size = _list(fields, 5)
    table = contents.take(size, max(_LOOK_BYTES))
    if len(table) not in _LOOK_BYTES:
        raise _bad("a look of {} bytes".format(len(table)), "one or two tables of 256 for each of 1 or 3 channels")
    return LookRow(
        0, 0, _text(backbone, _SHA256), _printable(name), table, why=_printable(why), taken=_text(taken, _TIME)
    )


def _check_picture(data: bytes) -> None:
    """A PNG's header alone decides how much memory its decoder asks for."""
    if len(data) >= _PNG.size:
        signature, width, height = _PNG.unpack_from(data)
        if signature == _PNG_SIGNATURE and 0 < width <= _MAX_SIDE and 0 < height <= _MAX_SIDE:
            return
    raise _bad("a picture that is no PNG of ours", "one of at most {0} x {0} pixels".format(_MAX_SIDE))


def _name(value: Any) -> str:
    try:
        if isinstance(value, str) and check_label(value) == value:
            return value
    except UsageError:
        pass
    raise _bad("the name {!a}".format(value)[:200], "a label or person as `edgewise teach` takes it")


def _printable(value: Any) -> str:
    if not isinstance(value, str) or len(value) > _MAX_TEXT or not (value.isprintable()):
        raise _bad("the text {!a}".format(value)[:200], "at most {} printable characters".format(_MAX_TEXT))
    return value


def _text(value: Any, pattern: Any) -> str:
    if not isinstance(value, str) or not pattern.fullmatch(value):
        raise _bad("the text {!a}".format(value)[:200], "the form {}".format(pattern.pattern))
    return value


def _list(value: Any, length: int = -1) -> List[Any]:
    if not isinstance(value, list) or length not in (-1, len(value)):
        raise _bad("no list where one is due", "what docs/package-format.md says")
    return value


def _fields(value: Any, names: set) -> Dict[str, Any]:
    if not isinstance(value, dict) or set(value) != names:
        raise _bad("other fields", ", ".join(sorted(names)))
    return value


def _short_int(digits: str) -> int:
    if len(digits) > 12:  # reading a number takes the square of its digits' count
        raise ValueError("a number too large for a size")
    return int(digits)


def _bad(found: str, expected: str) -> FormatError:
    return FormatError("the learned file has " + found, expected, "export it again from the board that learnt it")
