"""Keys on the desk."""

import os
import stat
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from deploy.keys import key_id, keygen, load_private_key, load_public_key, verifier
from edge import trust
from edge.contract.errors import InputError, TrustError, UsageError
from edge.contract.rotation import message, parse_rotation


def test_a_new_pair_signs_and_verifies_and_only_the_owner_reads_the_private_half(tmp_path: Path) -> None:
    report = keygen(tmp_path / "shop")
    signature = load_private_key(report.key).sign(b"data")
    verifier(load_public_key(report.public))(b"data", signature)
    with pytest.raises(TrustError):
        verifier(load_public_key(report.public))(b"date", signature)
    assert (report.key.name, report.public.name) == ("shop.key", "shop.pub")
    assert stat.S_IMODE(report.key.stat().st_mode) == 0o600


def test_the_umask_does_not_open_the_private_key(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        assert stat.S_IMODE(keygen(tmp_path / "k").key.stat().st_mode) == 0o600
    finally:
        os.umask(before)


def test_desk_and_board_give_a_key_the_same_id(tmp_path: Path) -> None:
    report = keygen(tmp_path / "k")
    public = load_public_key(report.public)
    assert report.key_id == key_id(public) == trust.key_id(public.public_bytes(Encoding.Raw, PublicFormat.Raw))


@pytest.mark.parametrize("taken", ["k.key", "k.pub", "k.rotation"])
def test_an_existing_key_is_never_overwritten(tmp_path: Path, taken: str) -> None:
    old = keygen(tmp_path / "old").key
    before = {*os.listdir(tmp_path), taken}
    (tmp_path / taken).symlink_to("nowhere")
    with pytest.raises(UsageError):
        keygen(tmp_path / "k", replaces=old)
    assert set(os.listdir(tmp_path)) == before


def test_a_key_that_replaces_another_comes_with_a_rotation_signed_by_both(tmp_path: Path) -> None:
    old = keygen(tmp_path / "old")
    new = keygen(tmp_path / "new", replaces=old.key)
    assert old.rotation is None and new.rotation is not None
    made = parse_rotation(new.rotation.read_bytes())
    text = message(made.retires, made.trusts)
    load_public_key(old.public).verify(made.by_old, text)
    load_public_key(new.public).verify(made.by_new, text)
    for secret in (load_private_key(key).private_bytes_raw() for key in (old.key, new.key)):
        assert secret.hex().encode() not in new.rotation.read_bytes()
    with pytest.raises(InputError):
        keygen(tmp_path / "third", replaces=old.public)
    assert not list(tmp_path.glob("third*"))


def test_a_place_that_cannot_be_written_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(UsageError):
        keygen(tmp_path / "no" / "k")


def test_the_wrong_half_or_no_key_at_all_is_an_input_error(tmp_path: Path) -> None:
    report = keygen(tmp_path / "k")
    (tmp_path / "text").write_text("hello")
    for path in (report.public, tmp_path / "text", tmp_path / "none"):
        with pytest.raises(InputError):
            load_private_key(path)
    for path in (report.key, tmp_path / "text", tmp_path / "none"):
        with pytest.raises(InputError):
            load_public_key(path)
