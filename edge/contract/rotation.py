"""NAME.rotation: one public key takes the place of another. Both private halves sign it.

The old key says whom to trust next; the new one shows that somebody holds it, so that no board is left with a key that
nobody can sign with (as TUF asks of a new root, specification 5.3.4).
"""

import json
import re
from typing import NamedTuple

from edge.contract.errors import FormatError
from edge.contract.strict_json import no_repeats

SCHEMA = 1
MAX_BYTES = 4096
_HEX = {"retires": 64, "trusts": 64, "by_old": 128, "by_new": 128}  # digits


class Rotation(NamedTuple):
    """Raw bytes: the two public keys, 32 each, and the two signatures over message(), 64 each."""

    retires: bytes
    trusts: bytes
    by_old: bytes
    by_new: bytes


def message(retires: bytes, trusts: bytes) -> bytes:
    """What is signed. It cannot be taken for a manifest, which starts with a brace."""
    return b"edgewise rotation 1\n" + retires + trusts


def rotation_bytes(rotation: Rotation) -> bytes:
    fields = {name: value.hex() for name, value in rotation._asdict().items()}
    return (json.dumps(dict(fields, schema=SCHEMA), indent=1, sort_keys=True) + "\n").encode("ascii")


def parse_rotation(data: bytes) -> Rotation:
    """The Rotation in `data`; its signatures are not checked here. Raises FormatError on anything unexpected."""
    try:
        fields = json.loads(data[: MAX_BYTES + 1].decode("ascii"), object_pairs_hook=no_repeats)
    except (ValueError, RecursionError):
        fields = None
    if not isinstance(fields, dict) or len(data) > MAX_BYTES or fields.pop("schema", None) != SCHEMA:
        raise _odd("is no rotation of schema {}".format(SCHEMA))
    if set(fields) != set(_HEX):
        raise _odd("has other fields than {}".format(", ".join(Rotation._fields)))
    for name, digits in _HEX.items():
        if not isinstance(fields[name], str) or not re.fullmatch("[0-9a-f]{%d}" % digits, fields[name]):
            raise _odd("has no {} of {} hex digits".format(name, digits))
    rotation = Rotation(**{name: bytes.fromhex(value) for name, value in fields.items()})
    if rotation.retires == rotation.trusts:
        raise _odd("puts a key in its own place")
    return rotation


def _odd(found: str) -> FormatError:
    return FormatError("the file " + found, "what `edgewise keygen --replaces` wrote", "make it again")
