"""Ed25519 keys: making a pair, reading its halves, signing and checking a manifest."""

import hashlib
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
    load_pem_public_key,
)

from edge.contract.errors import InputError, TrustError, UsageError
from edge.contract.rotation import Rotation, message, rotation_bytes


@dataclass(frozen=True)
class KeyReport:
    key: Path  # private: stays on the desk
    public: Path
    key_id: str
    rotation: Path | None  # signed by the key that this one replaces


def keygen(path: Path, replaces: Path | None = None) -> KeyReport:
    """Writes `path`.key (private, PKCS #8 PEM, mode 0600), `path`.pub and, with `replaces`, `path`.rotation.

    replaces: the private key that boards trust now. Raises UsageError if a file exists, InputError for no such key.
    """
    names = [path.with_name(path.name + suffix) for suffix in (".key", ".pub", ".rotation")]
    private_path, public_path, rotation_path = names
    old = load_private_key(replaces) if replaces else None
    for taken in names if old else names[:2]:
        if os.path.lexists(taken):
            raise UsageError(f"{taken} exists", "a name without a key", "choose another name, or move that key away")
    private = Ed25519PrivateKey.generate()
    public = private.public_key()
    try:
        _create(private_path, private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()), 0o600)
        _create(public_path, public_pem(public), 0o644)
        if old:
            _create(rotation_path, rotation_bytes(rotation(old, private)), 0o644)
    except OSError as error:
        raise UsageError(f"{error.filename}: {error.strerror}", "a new file", "choose another place") from None
    return KeyReport(private_path, public_path, key_id(public), rotation_path if old else None)


def rotation(old: Ed25519PrivateKey, new: Ed25519PrivateKey) -> Rotation:
    """What lets `new` take the place of `old` on every board that trusts that one."""
    retires, trusts = (key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw) for key in (old, new))
    text = message(retires, trusts)
    return Rotation(retires, trusts, by_old=old.sign(text), by_new=new.sign(text))


def key_id(key: Ed25519PublicKey) -> str:
    """The first 16 hex digits of the sha256 of the 32 raw bytes of the key."""
    return hashlib.sha256(key.public_bytes(Encoding.Raw, PublicFormat.Raw)).hexdigest()[:16]


def load_private_key(path: Path) -> Ed25519PrivateKey:
    """Raises InputError unless `path` is a NAME.key of keygen()."""
    try:
        key = load_pem_private_key(_read(path), password=None)
    except (ValueError, TypeError):
        key = None
    if not isinstance(key, Ed25519PrivateKey):
        raise InputError(f"{path} is no private Ed25519 key", "the NAME.key of `edgewise keygen`", "name that file")
    return key


def load_public_key(path: Path) -> Ed25519PublicKey:
    """Raises InputError unless `path` is a NAME.pub of keygen()."""
    try:
        key = load_pem_public_key(_read(path))
    except ValueError:
        key = None
    if not isinstance(key, Ed25519PublicKey):
        raise InputError(f"{path} is no public Ed25519 key", "the NAME.pub of `edgewise keygen`", "name that file")
    return key


def public_pem(key: Ed25519PublicKey) -> bytes:
    return key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


def verifier(key: Ed25519PublicKey) -> Callable[[bytes, bytes], None]:
    """A function (manifest's bytes, signature) that raises TrustError unless `key` made the signature."""

    def verify(data: bytes, signature: bytes) -> None:
        try:
            key.verify(signature, data)
        except InvalidSignature:
            raise TrustError(
                f"the archive is not signed by the key {key_id(key)}", "its signature", "check which key packed it"
            ) from None

    return verify


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise InputError(f"{path}: {error.strerror}", "a key file", "check the path or run keygen") from None


def _create(path: Path, data: bytes, mode: int) -> None:
    """O_EXCL: never over an existing file, nor through a link that somebody put there meanwhile."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    with os.fdopen(descriptor, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
