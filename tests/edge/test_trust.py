"""Which keys a board trusts."""

import os

import pytest
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from release_maker import KEY, OTHER_KEY, new_board

from edge.contract.errors import TrustError
from edge.trust import key_id, trusted_keys, verifier


def test_a_signature_by_a_trusted_key_gives_that_keys_id(tmp_path):
    verify = verifier(new_board(tmp_path).path("trust"))
    assert verify(b"data", KEY.sign(b"data")) == key_id(KEY.public_key())


def test_a_key_id_is_the_start_of_the_sha256_of_the_raw_key():
    assert key_id(KEY.public_key()) == "34750f98bd59fcfc"  # printf of the 32 raw bytes | sha256sum


@pytest.mark.parametrize("signature", [OTHER_KEY.sign(b"data"), KEY.sign(b"date"), b"", b"\0" * 64, b"\0" * 65])
def test_any_other_signature_is_refused(tmp_path, signature):
    verify = verifier(new_board(tmp_path).path("trust"))
    with pytest.raises(TrustError):
        verify(b"data", signature)


def test_a_board_without_a_key_trusts_nothing(tmp_path):
    with pytest.raises(TrustError):
        trusted_keys(str(tmp_path / "trust"))


def test_a_key_file_under_another_keys_name_is_refused(tmp_path):
    folder = new_board(tmp_path).path("trust")
    name = os.listdir(folder)[0]
    os.rename(os.path.join(folder, name), os.path.join(folder, "0" * 16 + ".pub"))
    with pytest.raises(TrustError):
        trusted_keys(folder)


def test_a_file_that_is_no_ed25519_key_is_refused(tmp_path):
    elliptic = generate_private_key(SECP256R1()).public_key()
    pem = elliptic.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    for content in (pem, b"", b"-----BEGIN PUBLIC KEY-----\n"):
        (tmp_path / "a.pub").write_bytes(content)
        with pytest.raises(TrustError):
            trusted_keys(str(tmp_path))
