"""Which keys a board trusts."""

import os
import shutil

import pytest
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import given, settings
from hypothesis import strategies as st
from release_maker import KEY, OTHER_KEY, identity, new_board, rotation_data

from edge.contract.errors import EdgewiseError, FormatError, TrustError
from edge.contract.rotation import parse_rotation, rotation_bytes
from edge.trust import rotate, trusted_keys, verifier

THIRD_KEY = Ed25519PrivateKey.from_private_bytes(b"\3" * 32)


def test_a_signature_by_a_trusted_key_gives_that_keys_id(tmp_path):
    verify = verifier(new_board(tmp_path).path("trust"))
    assert verify(b"data", KEY.sign(b"data")) == identity(KEY)


def test_a_key_id_is_the_start_of_the_sha256_of_the_raw_key():
    assert identity(KEY) == "34750f98bd59fcfc"  # printf of the 32 raw bytes | sha256sum


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


@pytest.fixture
def folder(tmp_path):
    return new_board(tmp_path).path("trust")


def trusted(folder):
    return sorted(trusted_keys(folder))


def test_a_new_key_takes_the_place_of_the_old_one(folder):
    report = rotate(folder, rotation_data(KEY, OTHER_KEY))
    assert (report.retired, report.trusted) == (identity(KEY), identity(OTHER_KEY))
    assert trusted(folder) == [report.trusted]
    verifier(folder)(b"data", OTHER_KEY.sign(b"data"))
    with pytest.raises(TrustError):
        verifier(folder)(b"data", KEY.sign(b"data"))


def test_the_same_rotation_again_changes_nothing(folder):
    rotate(folder, rotation_data(KEY, OTHER_KEY))
    before = sorted(os.listdir(folder))
    assert rotate(folder, rotation_data(KEY, OTHER_KEY)).already
    assert sorted(os.listdir(folder)) == before


def test_an_old_rotation_is_refused_once_the_board_went_on_or_back_was_tried(folder):
    """Whoever kept every rotation of the past can bring no retired key back."""
    rotate(folder, rotation_data(KEY, OTHER_KEY))
    rotate(folder, rotation_data(OTHER_KEY, THIRD_KEY))
    for old, new in ((KEY, OTHER_KEY), (THIRD_KEY, KEY), (THIRD_KEY, OTHER_KEY), (OTHER_KEY, KEY)):
        with pytest.raises(TrustError):
            rotate(folder, rotation_data(old, new))
    assert trusted(folder) == [identity(THIRD_KEY)]


@pytest.mark.parametrize("signers", [(OTHER_KEY, OTHER_KEY), (KEY, KEY), (THIRD_KEY, OTHER_KEY)])
def test_a_rotation_that_not_both_keys_signed_is_refused(folder, signers):
    with pytest.raises(TrustError):
        rotate(folder, rotation_data(KEY, OTHER_KEY, signers))
    assert trusted(folder) == [identity(KEY)]


def test_a_rotation_of_a_key_that_the_board_does_not_trust_is_refused(folder):
    with pytest.raises(TrustError):
        rotate(folder, rotation_data(OTHER_KEY, THIRD_KEY))


@pytest.mark.parametrize("step", ["before", "both", "retired"])
def test_after_a_power_cut_in_a_rotation_a_key_is_trusted_and_the_same_rotation_finishes_it(tmp_path, step):
    """Its three steps: the new key, the note that the old one is out, the old one's removal."""
    folder, done = new_board(tmp_path / "cut").path("trust"), new_board(tmp_path / "done").path("trust")
    data = rotation_data(KEY, OTHER_KEY)
    report = rotate(done, data)
    copied = {"before": [], "both": [".pub"], "retired": [".pub", ".retired"]}[step]
    for name in os.listdir(done):
        if os.path.splitext(name)[1] in copied:
            shutil.copy(os.path.join(done, name), folder)
    expected = {"before": [report.retired], "both": sorted([report.retired, report.trusted])}
    assert trusted(folder) == expected.get(step, [report.trusted])
    rotate(folder, data)
    assert trusted(folder) == [report.trusted]


@settings(max_examples=100, deadline=None)
@given(st.data())
def test_a_rotation_with_any_byte_changed_is_refused(tmp_path_factory, data):
    root = tmp_path_factory.mktemp("rotation")
    folder, good = new_board(root).path("trust"), rotation_data(KEY, OTHER_KEY)
    place = data.draw(st.integers(0, len(good) - 1))
    byte = data.draw(st.integers(0, 255))
    bad = good[:place] + bytes([byte]) + good[place + 1 :]
    try:
        same = parse_rotation(bad) == parse_rotation(good)
    except FormatError:
        same = False
    if not same:
        with pytest.raises(EdgewiseError):
            rotate(folder, bad)
        assert trusted(folder) == [identity(KEY)]


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"[]",
        b"{}",
        b"\xff",
        b" " * 5000 + rotation_data(KEY, OTHER_KEY),
        rotation_data(KEY, KEY),
        rotation_data(KEY, OTHER_KEY).replace(b'"schema": 1', b'"schema": 2'),
        rotation_data(KEY, OTHER_KEY).replace(b'"by_new"', b'"by_newer"'),
        rotation_data(KEY, OTHER_KEY).replace(b'"schema": 1', b'"schema": 1, "schema": 1'),
    ],
)
def test_a_malformed_rotation_is_a_format_error(folder, data):
    with pytest.raises(FormatError):
        rotate(folder, data)


def test_a_rotation_is_read_back_as_it_was_written():
    data = rotation_data(KEY, OTHER_KEY)
    assert rotation_bytes(parse_rotation(data)) == data
