"""What an owner's board was seen to do: NAME.json, signed by the owner, so that a table can be made of many.

Signed are the bytes `edgewise acceptance 1`, a line feed, and NAME.json as it is. NAME.json.sig is one line: the
public key and the signature in hex digits. The board's own name decides whether it is a stand-in; no option does.
"""

import dataclasses
import json
import re
from dataclasses import dataclass
from types import UnionType
from typing import Any, cast, get_args, get_origin

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from edge.contract.boards import ANY, MACHINES, NAMES
from edge.contract.errors import FormatError, TrustError
from edge.contract.strict_json import no_repeats

SCHEMA = 1
MAX_BYTES = 1 << 20
MAX_TEXT = 300
_PREFIX = b"edgewise acceptance 1\n"  # so that no signature of it can stand under a manifest, which starts with a brace
_BOARDS = set(NAMES) - {ANY, *MACHINES}


@dataclass(frozen=True)
class Software:
    """Of the board. Empty for what is not there."""

    board: str  # of the table in edge/contract/boards.py; empty for a stand-in
    machine: str
    l4t: str
    tensorrt: str
    onnxruntime: str
    openvino: str
    models: str  # hash of the release's networks


@dataclass(frozen=True)
class Engine:
    name: str
    form: str
    why: str  # it cannot be used; empty if its golden vectors hold
    pictures: int
    identical: int
    lowest_cosine: float | None
    median_ms: float | None  # of a picture at a time


@dataclass(frozen=True)
class Camera:
    kind: str  # csi, v4l2, a network protocol, or file: a film or folder, which says nothing about a camera
    width: int
    height: int
    frames: int
    dropped: int
    frames_per_second: float
    age_median_ms: float
    age_p95_ms: float
    infer_median_ms: float


@dataclass(frozen=True)
class Reading:
    """Of one stretch of inference without a pause."""

    seconds: float  # from the start of the first to the end of this one
    pictures: int
    median_ms: float
    p95_ms: float
    celsius: dict[str, float]  # at its end, by zone; empty where the system does not say
    slowed: str  # the processor that the kernel slowed down for its heat


@dataclass(frozen=True)
class Acceptance:
    made: str  # 2026-11-22T05:41:00Z, by the desk's clock
    release: str
    network: str  # and the size of its input: efficientnet-lite0 224x224
    software: Software
    checks: dict[str, str]  # what the doctor found, by the name of the check
    engines: tuple[Engine, ...]
    chosen: str
    camera: Camera | None
    heat: tuple[Reading, ...]
    schema: int = SCHEMA

    @property
    def is_stand_in(self) -> bool:
        return self.software.board not in _BOARDS


def acceptance_bytes(acceptance: Acceptance) -> bytes:
    return (json.dumps(dataclasses.asdict(acceptance), indent=1, sort_keys=True, allow_nan=False) + "\n").encode(
        "ascii"
    )


def sign(data: bytes, key: Ed25519PrivateKey) -> bytes:
    """The content of NAME.json.sig for the content of NAME.json."""
    public = key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
    return f"{public.hex()} {key.sign(_PREFIX + data).hex()}\n".encode("ascii")


def verified(data: bytes, signature: bytes) -> tuple[Acceptance, Ed25519PublicKey]:
    """What NAME.json says and the key that signed it. Raises TrustError, then FormatError."""
    found = re.fullmatch(rb"([0-9a-f]{64}) ([0-9a-f]{128})\n", signature)
    if found is None:
        raise TrustError("no public key and signature in hex", "NAME.json.sig of `edgewise accept`", "ask its owner")
    key = Ed25519PublicKey.from_public_bytes(bytes.fromhex(found[1].decode()))
    try:
        key.verify(bytes.fromhex(found[2].decode()), _PREFIX + data)
    except InvalidSignature:
        raise TrustError("the key did not sign this file", "the file as it was signed", "ask its owner") from None
    return parse_acceptance(data), key


def parse_acceptance(data: bytes) -> Acceptance:
    """Raises FormatError unless acceptance_bytes() wrote `data`."""
    try:
        if len(data) > MAX_BYTES:
            raise ValueError(f"{len(data)} bytes")
        found: Acceptance = _read(json.loads(data.decode("ascii"), object_pairs_hook=no_repeats), Acceptance)
        if found.schema != SCHEMA or acceptance_bytes(found) != data:
            raise ValueError("another schema or layout")
    except (ValueError, RecursionError) as error:
        raise FormatError(f"no acceptance: {error}", "what `edgewise accept` wrote", "make it again") from None
    return found


def printable(text: str) -> str:
    """What fits a field of text."""
    return "".join(c if c.isprintable() else " " for c in text)[:MAX_TEXT]


def _read(value: Any, wanted: Any) -> Any:
    """Decoded JSON as the type `wanted`: a dataclass of this file, or what its fields are. Raises ValueError."""
    inner = get_args(wanted)
    if get_origin(wanted) is UnionType:  # something or None
        return None if value is None else _read(value, inner[0])
    if dataclasses.is_dataclass(wanted):
        kinds: dict[str, Any] = {field.name: field.type for field in dataclasses.fields(wanted)}
        if not isinstance(value, dict) or set(value) != set(kinds):
            raise ValueError(f"other fields than {', '.join(kinds)}")
        return cast("type", wanted)(**{name: _read(value[name], kind) for name, kind in kinds.items()})
    if get_origin(wanted) is tuple and isinstance(value, list):
        return tuple(_read(each, inner[0]) for each in value)
    if get_origin(wanted) is dict and isinstance(value, dict):
        return {_read(name, inner[0]): _read(each, inner[1]) for name, each in value.items()}
    if type(value) is not wanted and not (wanted is float and type(value) is int):
        raise ValueError(f"{str(value)[:50]!r} is no {getattr(wanted, '__name__', wanted)}")
    if isinstance(value, str) and value != printable(value):
        raise ValueError(f"the text {value[:50]!a}")
    return value
