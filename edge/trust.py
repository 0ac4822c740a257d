"""Which public keys this board trusts, and whether one of them signed a manifest."""

import hashlib
import os
from typing import Callable, Dict

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_public_key

from edge.contract.errors import TrustError

SUFFIX = ".pub"


def key_id(key: Ed25519PublicKey) -> str:
    """The first 16 hex digits of the sha256 of the 32 raw bytes of the key."""
    return hashlib.sha256(key.public_bytes(Encoding.Raw, PublicFormat.Raw)).hexdigest()[:16]


def trusted_keys(folder: str) -> Dict[str, Ed25519PublicKey]:
    """The keys of `folder`, by their id. Raises TrustError if there is none, or one that is not what its name says."""
    names = sorted(n for n in os.listdir(folder) if n.endswith(SUFFIX)) if os.path.isdir(folder) else []
    keys = {}
    for name in names:
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
