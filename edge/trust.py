"""Which public keys this board trusts, whether one of them signed a manifest, and how one takes another's place."""

import base64
import hashlib
import os
from contextlib import suppress
from typing import Callable, Dict, NamedTuple, Set

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from edge.contract.errors import TrustError
from edge.contract.files import sync_folder, write_whole
from edge.contract.rotation import Rotation, message, parse_rotation

SUFFIX = ".pub"
_SPKI = bytes.fromhex("302a300506032b6570032100")  # the DER in front of the 32 bytes: RFC 8410, section 4
_PEM = "-----BEGIN PUBLIC KEY-----\n{}\n-----END PUBLIC KEY-----\n"
RETIRED = ".retired"  # the rotation that took the key out; its name stays for ever, so that the key never comes back


class RotationReport(NamedTuple):
    retired: str  # ids
    trusted: str
    already: bool  # this rotation was done before; nothing was changed


def key_id(raw: bytes) -> str:
    """The first 16 hex digits of the sha256 of the 32 raw bytes of the key."""
    return hashlib.sha256(raw).hexdigest()[:16]


def pem_of(raw: bytes) -> bytes:
    """The PEM file of the key with these 32 raw bytes.

    An Ed25519 key has one SubjectPublicKeyInfo only (RFC 8410), so a file of another content is no such key; and
    cryptography's reader of all the other formats, which takes longer to load than a signature to check, is not needed.
    """
    return _PEM.format(base64.b64encode(_SPKI + raw).decode("ascii")).encode("ascii")


def trusted_keys(folder: str) -> Dict[str, bytes]:
    """The keys of `folder` that are not retired, their 32 raw bytes by their id.

    Raises TrustError if there is none, or one that is not what its name says.
    """
    names = sorted(n for n in os.listdir(folder) if n.endswith(SUFFIX)) if os.path.isdir(folder) else []
    retired = retired_keys(folder)
    keys = {}
    for name in (n for n in names if n[: -len(SUFFIX)] not in retired):
        with open(os.path.join(folder, name), "rb") as file:
            data = file.read(4096)
        raw = _raw_key(data)
        if key_id(raw) + SUFFIX != name or pem_of(raw) != data:
            raise TrustError("{} is not the key that its name says".format(name), "an Ed25519 public key", "remove it")
        keys[key_id(raw)] = raw
    if not keys:
        raise TrustError("this board trusts no key", "one in {}".format(folder), "flash it from the desk with --trust")
    return keys


def _raw_key(data: bytes) -> bytes:
    """The last 32 bytes that a PEM file encodes; of another file anything, which its name does not fit."""
    try:
        return base64.b64decode(data.split(b"\n")[1])[-32:]
    except (IndexError, ValueError):
        return b""


def retired_keys(folder: str) -> Set[str]:
    """The ids of the keys that a rotation took out."""
    names = os.listdir(folder) if os.path.isdir(folder) else []
    return {name[: -len(RETIRED)] for name in names if name.endswith(RETIRED)}


def rotate(folder: str, data: bytes) -> RotationReport:
    """Lets the new key of the rotation in `data` take the old one's place. The caller holds the board's lock.

    The new key is written first; the old one is out from the moment that its `retired` file is there. So a power cut
    leaves the old key, both, or the new one, and the same rotation again does the rest. A retired key never comes
    back, which makes every old rotation harmless. Raises FormatError, or TrustError if the board does not trust the
    old key, has retired the new one, or a signature does not hold.
    """
    rotation = parse_rotation(data)
    keys, retired = trusted_keys(folder), retired_keys(folder)
    old, new = key_id(rotation.retires), key_id(rotation.trusts)
    report = RotationReport(old, new, old in retired and new in keys)
    if report.already:
        return report
    if report.trusted in retired:
        raise _refused("the key {} was retired here".format(report.trusted), "a key that was not")
    if report.retired not in keys:
        raise _refused("this board does not trust the key {}".format(report.retired), "one of " + ", ".join(keys))
    _check_signed(rotation)
    write_whole(os.path.join(folder, report.trusted + SUFFIX), pem_of(rotation.trusts))
    write_whole(os.path.join(folder, report.retired + RETIRED), data)
    with suppress(OSError):  # it is out already
        os.unlink(os.path.join(folder, report.retired + SUFFIX))
        sync_folder(folder)
    return report


def _check_signed(rotation: Rotation) -> None:
    signatures = ((rotation.retires, rotation.by_old, "old"), (rotation.trusts, rotation.by_new, "new"))
    for key, signature, whose in signatures:
        try:
            Ed25519PublicKey.from_public_bytes(key).verify(signature, message(rotation.retires, rotation.trusts))
        except InvalidSignature:
            raise _refused("the {} key did not sign the rotation".format(whose), "signatures by both") from None


def _refused(found: str, expected: str) -> TrustError:
    return TrustError(found, expected, "nothing was changed; see docs/package-format.md, Keys")


def verify(keys: Dict[str, bytes], data: bytes, signature: bytes) -> str:
    """The id of the key that signed `data`. Raises TrustError if none of `keys` did."""
    for identity, key in sorted(keys.items()):
        try:
            Ed25519PublicKey.from_public_bytes(key).verify(signature, data)
        except InvalidSignature:
            continue
        return identity
    raise TrustError(
        "the manifest is not signed by a key that this board trusts",
        "a signature by {}".format(" or ".join(sorted(keys))),
        "pack it again with that key",
    )


def verifier(folder: str) -> Callable[[bytes, bytes], str]:
    """verify() with the keys of `folder`. Raises TrustError as trusted_keys() does."""
    keys = trusted_keys(folder)
    return lambda data, signature: verify(keys, data, signature)
