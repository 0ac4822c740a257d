"""Which public keys this board trusts, whether one of them signed a manifest, and how one takes another's place."""

import hashlib
import os
from contextlib import suppress
from typing import Callable, Dict, NamedTuple, Set

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_public_key

from edge.contract.errors import TrustError
from edge.contract.files import sync_folder, write_whole
from edge.contract.rotation import Rotation, message, parse_rotation

SUFFIX = ".pub"
RETIRED = ".retired"  # the rotation that took the key out; its name stays for ever, so that the key never comes back


class RotationReport(NamedTuple):
    retired: str  # ids
    trusted: str
    already: bool  # this rotation was done before; nothing was changed


def key_id(key: Ed25519PublicKey) -> str:
    """The first 16 hex digits of the sha256 of the 32 raw bytes of the key."""
    return hashlib.sha256(key.public_bytes(Encoding.Raw, PublicFormat.Raw)).hexdigest()[:16]


def trusted_keys(folder: str) -> Dict[str, Ed25519PublicKey]:
    """The keys of `folder` that are not retired, by their id.

    Raises TrustError if there is none, or one that is not what its name says.
    """
    names = sorted(n for n in os.listdir(folder) if n.endswith(SUFFIX)) if os.path.isdir(folder) else []
    retired = retired_keys(folder)
    keys = {}
    for name in (n for n in names if n[: -len(SUFFIX)] not in retired):
        with open(os.path.join(folder, name), "rb") as file:
            data = file.read(4096)
        try:
            key = load_pem_public_key(data)
        except ValueError:
            key = None
        if not isinstance(key, Ed25519PublicKey) or key_id(key) + SUFFIX != name:
            raise TrustError("{} is not the key that its name says".format(name), "an Ed25519 public key", "remove it")
        keys[key_id(key)] = key
    if not keys:
        raise TrustError("this board trusts no key", "one in {}".format(folder), "flash it from the desk with --trust")
    return keys


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
    old, new = (Ed25519PublicKey.from_public_bytes(raw) for raw in (rotation.retires, rotation.trusts))
    keys, retired = trusted_keys(folder), retired_keys(folder)
    report = RotationReport(key_id(old), key_id(new), key_id(old) in retired and key_id(new) in keys)
    if report.already:
        return report
    if report.trusted in retired:
        raise _refused("the key {} was retired here".format(report.trusted), "a key that was not")
    if report.retired not in keys:
        raise _refused("this board does not trust the key {}".format(report.retired), "one of " + ", ".join(keys))
    _check_signed(rotation, old, new)
    pem = new.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    write_whole(os.path.join(folder, report.trusted + SUFFIX), pem)
    write_whole(os.path.join(folder, report.retired + RETIRED), data)
    with suppress(OSError):  # it is out already
        os.unlink(os.path.join(folder, report.retired + SUFFIX))
        sync_folder(folder)
    return report


def _check_signed(rotation: Rotation, old: Ed25519PublicKey, new: Ed25519PublicKey) -> None:
    for key, signature, whose in ((old, rotation.by_old, "old"), (new, rotation.by_new, "new")):
        try:
            key.verify(signature, message(rotation.retires, rotation.trusts))
        except InvalidSignature:
            raise _refused("the {} key did not sign the rotation".format(whose), "signatures by both") from None


def _refused(found: str, expected: str) -> TrustError:
    return TrustError(found, expected, "nothing was changed; see docs/package-format.md, Keys")


def verify(keys: Dict[str, Ed25519PublicKey], data: bytes, signature: bytes) -> str:
    """The id of the key that signed `data`. Raises TrustError if none of `keys` did."""
    for identity, key in sorted(keys.items()):
        try:
            key.verify(signature, data)
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
