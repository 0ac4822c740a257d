"""A good release changed by somebody: bits, lengths, zip tricks, paths, bombs, keys, counters, doubled names."""

import json
import random
import struct
import zlib
from collections.abc import Callable
from dataclasses import dataclass

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from edge.contract.archive import MANIFEST, SIGNATURE

_EDGES = (0, 1, 0x7F, 0xFF, 0x7FFF, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF)
_MAGICS = (b"PK\3\4", b"PK\1\2", b"PK\5\6")
_HOSTILE = (
    "../escaped", "/etc/escaped", "runtime/../../escaped", "runtime/edge/../../../escaped", "a\\b", "", ".", "..",
    "runtime/edge/", "runtime", "labels.txt/x", "LABELS.TXT", "labels.txt ", "x" * 256, "a\0b", "con\n", "~/escaped",
    "manifest.json", "manifest.sig", "labels.txt", "runtime/edge/__main__.py", "state.json",
)  # fmt: skip
_MODES = (0o120777, 0o040755, 0o060644, 0o020644, 0o010644, 0o140644)  # link, folder, devices, pipe, socket
_BOMB_BYTES = (1 << 24, 1 << 28)


@dataclass(frozen=True)
class Entry:
    """One entry of a zip, whose header may lie."""

    name: bytes
    data: bytes
    states: int | None = None  # the size that its headers give; None: the true one
    deflated: bool = False  # `data` is compressed already
    mode: int = 0o100644
    flags: int = 0


@dataclass(frozen=True)
class Good:
    """What is mutated: a release that a board would take, and the keys of its owner and of a stranger."""

    archive: bytes
    files: dict[str, bytes]
    manifest: bytes
    key: Ed25519PrivateKey
    stranger: Ed25519PrivateKey
    bombs: tuple[bytes, ...]  # deflate streams of many zeros

    def entries(self, manifest: bytes | None = None, signature: bytes | None = None) -> list[Entry]:
        data = self.manifest if manifest is None else manifest
        signed = self.key.sign(data) if signature is None else signature
        files = [Entry(name.encode(), content) for name, content in sorted(self.files.items())]
        return [Entry(MANIFEST.encode(), data), Entry(SIGNATURE.encode(), signed), *files]


def bombs() -> tuple[bytes, ...]:
    """Deflate streams of 16 MiB and of 256 MiB of zeros."""
    made = []
    for size in _BOMB_BYTES:
        packer = zlib.compressobj(9, zlib.DEFLATED, -15)
        made.append(b"".join(packer.compress(bytes(1 << 20)) for _ in range(size >> 20)) + packer.flush())
    return tuple(made)


def zip_of(entries: list[Entry]) -> bytes:
    """A zip of just these entries, stored, in this order, whatever they say."""
    body, directory = b"", b""
    for entry in entries:
        size = len(entry.data) if entry.states is None else entry.states
        method = 8 if entry.deflated else 0
        crc = 0 if entry.deflated else zlib.crc32(entry.data)
        fields = (20, entry.flags, method, 0, 33, crc, len(entry.data), size, len(entry.name), 0)
        directory += struct.pack("<4s6H3I5H2I", b"PK\1\2", 20, *fields, 0, 0, 0, entry.mode << 16, len(body))
        directory += entry.name
        body += struct.pack("<4s5H3I2H", b"PK\3\4", *fields) + entry.name + entry.data
    count = len(entries) & 0xFFFF
    return body + directory + struct.pack("<4s4H2IH", b"PK\5\6", 0, 0, count, count, len(directory), len(body), 0)


def flipped_bits(good: Good, rng: random.Random) -> bytes:
    data = bytearray(good.archive)
    for _ in range(rng.randint(1, 8)):
        data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
    return bytes(data)


def overwritten(good: Good, rng: random.Random) -> bytes:
    data = bytearray(good.archive)
    at = rng.randrange(len(data))
    span = rng.randbytes(rng.randint(1, 64))[: len(data) - at]
    data[at : at + len(span)] = span
    return bytes(data)


def cut_short(good: Good, rng: random.Random) -> bytes:
    return good.archive[: rng.randrange(len(good.archive))]


def moved_bytes(good: Good, rng: random.Random) -> bytes:
    """A span taken out, put in, doubled, or put in front of or behind the archive."""
    data, at = good.archive, rng.randrange(len(good.archive))
    span = data[at : at + rng.randint(1, 400)]
    others = (
        data[:at] + data[at + len(span) :],
        data[:at] + rng.randbytes(len(span)) + data[at:],
        data[: at + len(span)] + data[at:],
        rng.randbytes(len(span)) + data,
        data + rng.randbytes(len(span)),
        data + data,
    )
    return rng.choice(others)


def wrong_lengths(good: Good, rng: random.Random) -> bytes:
    """A field of a header at the edge of what it can hold, or off by one."""
    data, magic = bytearray(good.archive), rng.choice(_MAGICS)
    places = [at for at in range(len(data) - 3) if data[at : at + 4] == magic]
    width = rng.choice((2, 4))
    at = rng.choice(places) + 4 + rng.randrange(0, 40, 2)
    now = int.from_bytes(data[at : at + width], "little")
    value = rng.choice((*_EDGES, now + 1, now - 1, now * 2)) & ((1 << 8 * width) - 1)
    data[at : at + width] = value.to_bytes(width, "little")[: len(data) - at]
    return bytes(data)


def hostile_names(good: Good, rng: random.Random) -> bytes:
    """One entry more: a path out of the folder, a doubled name, an odd one; somewhere after the signature."""
    entries = good.entries()
    name = rng.choice(_HOSTILE).encode()
    content = dict(good.files).get(name.decode(), b"escaped") if rng.random() < 0.5 else b"escaped"
    entries.insert(rng.randint(2, len(entries)), Entry(name, content))
    return zip_of(entries)


def no_plain_files(good: Good, rng: random.Random) -> bytes:
    """A listed file that is a link, a folder or a device, or that is encrypted."""
    entries = good.entries()
    at = rng.randrange(2, len(entries))
    mode, flags = (rng.choice(_MODES), 0) if rng.random() < 0.7 else (0o100644, rng.choice((1, 8, 64, 2048)))
    entries[at] = Entry(entries[at].name, rng.choice((entries[at].data, b"/etc/passwd")), mode=mode, flags=flags)
    return zip_of(entries)


def other_content(good: Good, rng: random.Random) -> bytes:
    """A listed file with other bytes: as many, or more, or none."""
    entries = good.entries()
    at = rng.choice([i for i, entry in enumerate(entries) if i > 1 and entry.data])
    data = entries[at].data
    entries[at] = Entry(entries[at].name, rng.choice((bytes(b ^ 255 for b in data), data + b"!", data[:-1], b"")))
    return zip_of(entries)


def bombed(good: Good, rng: random.Random) -> bytes:
    """An entry, manifest and signature among them, that inflates to far more than its headers or the manifest say."""
    entries, bomb = good.entries(), rng.choice(good.bombs)
    at = rng.randrange(len(entries))
    states = rng.choice((len(entries[at].data), 0, 64, 1 << 20, 1 << 28, 0xFFFFFFFE))
    entries[at] = Entry(entries[at].name, bomb, states, deflated=True)
    return zip_of(entries)


def wrong_keys(good: Good, rng: random.Random) -> bytes:
    """The whole release signed by a stranger, or a signature that is none."""
    own = good.key.sign(good.manifest)
    flipped = bytearray(own)
    flipped[rng.randrange(64)] ^= 1 << rng.randrange(8)
    stranger = good.stranger.sign(good.manifest)
    return zip_of(
        good.entries(signature=rng.choice((stranger, bytes(flipped), bytes(64), own[:63], own + b"\0", own[::-1])))
    )


def old_counters(good: Good, rng: random.Random) -> bytes:
    """Signed by the owner, but no newer than what the board has run."""
    fields = json.loads(good.manifest)
    fields["counter"] = rng.randint(1, fields["counter"] - 1)
    return zip_of(good.entries(_json(fields)))


def other_boards(good: Good, rng: random.Random) -> bytes:
    fields = json.loads(good.manifest)
    fields["boards"] = rng.sample(["jetson-orin-nano", "jetson-agx-orin", "jetson-tx2", "riscv64"], rng.randint(1, 3))
    return zip_of(good.entries(_json(fields)))


def signed_nonsense(good: Good, rng: random.Random) -> bytes:
    """A manifest signed by the owner's key, but written by a program gone wrong: paths, sizes, types, doubled keys."""
    fields = json.loads(good.manifest)
    name = rng.choice(sorted(fields["files"]))
    entry = fields["files"][name]
    kind = rng.randrange(6)
    if kind == 0:
        fields["files"][rng.choice([n for n in _HOSTILE if n not in fields["files"]])] = entry
    elif kind == 1:
        entry["size"] = rng.choice((-1, entry["size"] + 1, 1 << 31, 1 << 70, 1.5, "1", None))
    elif kind == 2:
        fields["files"].pop(name)
    elif kind == 3:
        fields[rng.choice(sorted(fields))] = rng.choice((None, [], {}, -1, "", "../x", [[]] * 3))
    elif kind == 4:
        return zip_of(good.entries(good.manifest.replace(b"{", b'{"schema": 1,', 1)))
    else:
        return zip_of(good.entries(good.manifest[: rng.randrange(len(good.manifest))]))
    return zip_of(good.entries(_json(fields)))


def _json(fields: object) -> bytes:
    return (json.dumps(fields, indent=1, sort_keys=True) + "\n").encode()


MUTATIONS: tuple[Callable[[Good, random.Random], bytes], ...] = (
    flipped_bits, overwritten, cut_short, moved_bytes, wrong_lengths, hostile_names, no_plain_files, other_content,
    bombed, wrong_keys, old_counters, other_boards, signed_nonsense,
)  # fmt: skip
