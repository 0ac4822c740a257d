"""The archive reader: what it takes, and that whatever else is refused in one of our own errors."""

import os
import struct
import zipfile
import zlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from release_maker import KEY, OTHER_KEY, new_board, release_bytes, signed_manifest, small_files, zip_bytes

from edge.contract.archive import Archive, read_signed_part
from edge.contract.errors import EdgewiseError, FormatError, InputError, TrustError
from edge.trust import verifier


@pytest.fixture
def read(tmp_path):
    """A function that opens archive bytes as a board does and reads every file."""
    verify = verifier(new_board(tmp_path / "board").path("trust"))

    def read_all(data):
        path = tmp_path / "release.edge"
        path.write_bytes(data)
        with Archive(str(path), verify) as archive:
            return {name: b"".join(archive.pieces(name)) for name in archive.names}

    return read_all


def contents(counter=1, key=KEY):
    files = small_files()
    data, signature = signed_manifest(files, counter, key)
    return [("manifest.json", data), ("manifest.sig", signature)] + sorted(files.items())


@pytest.mark.parametrize("compression", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_stored_and_deflated_archives_give_the_files_that_were_put_in(read, compression):
    assert read(zip_bytes(contents(), compression)) == small_files()


def test_an_archive_may_leave_files_out_for_a_board_that_has_them(read):
    assert set(read(release_bytes(leave_out=("head.npz",)))) == set(small_files()) - {"head.npz"}


def test_a_manifest_signed_by_another_key_is_refused_before_it_is_parsed(read):
    with pytest.raises(TrustError):
        read(zip_bytes([("manifest.json", b"{" * 5000), ("manifest.sig", OTHER_KEY.sign(b"{" * 5000))]))


def test_a_changed_file_is_refused_by_its_hash(read):
    changed = [(name, b"C" + data[1:] if name == "head.npz" else data) for name, data in contents()]
    with pytest.raises(TrustError) as caught:
        read(zip_bytes(changed))
    assert "head.npz" in caught.value.found


@pytest.mark.parametrize(
    "name", ["extra.txt", "../extra.txt", "/etc/extra", "a\\b", "runtime/edge/", "head.npz/x", "two\nlines"]
)
def test_a_file_that_the_manifest_does_not_list_is_refused_in_one_line(read, name):
    with pytest.raises(TrustError) as caught:
        read(zip_bytes(contents() + [(name, b"")]))
    assert "\n" not in str(caught.value)


def test_a_file_of_another_size_than_listed_is_refused_before_it_is_read(read):
    longer = [(name, data + b"!" if name == "head.npz" else data) for name, data in contents()]
    with pytest.raises(TrustError) as caught:
        read(zip_bytes(longer))
    assert "bytes" in caught.value.found


def test_a_name_that_comes_twice_is_refused(read):
    names = [(name, data, False) for name, data in contents()]
    assert read(hand_made_zip(names, 0)) == small_files()
    with pytest.raises(FormatError) as caught:
        read(hand_made_zip(names + names[3:4], 0))
    assert "twice" in caught.value.found


def test_a_symbolic_link_entry_is_refused(read):
    data = bytearray(release_bytes())
    entry = data.rindex(b"labels.txt") - 46
    struct.pack_into("<I", data, entry + 38, 0o120777 << 16)
    with pytest.raises(FormatError) as caught:
        read(bytes(data))
    assert "no plain file" in caught.value.found


def test_an_encrypted_entry_is_refused(read):
    data = bytearray(release_bytes())
    for signature, offset in ((b"PK\3\4", 6), (b"PK\1\2", 8)):
        data[data.index(signature) + offset] |= 1
    with pytest.raises(FormatError):
        read(bytes(data))


@pytest.mark.parametrize("before, after", [(b"#!/bin/sh\n", b""), (b"", b"\0"), (b"", b"PK\5\6" + b"\0" * 18)])
def test_bytes_in_front_of_or_behind_the_zip_are_refused(read, before, after):
    with pytest.raises(FormatError):
        read(before + release_bytes() + after)


def test_bytes_hidden_between_the_entries_and_the_directory_are_refused(read):
    data = release_bytes()
    start = struct.unpack_from("<I", data, len(data) - 6)[0]
    moved = bytearray(data[:start] + b"hidden" + data[start:])
    struct.pack_into("<I", moved, len(moved) - 6, start + 6)
    with pytest.raises(FormatError):
        read(bytes(moved))


def test_a_truncated_archive_is_refused_at_every_length(read):
    data = release_bytes()
    for length in list(range(0, len(data), 97)) + [len(data) - 1]:
        with pytest.raises(FormatError):
            read(data[:length])


def test_an_entry_that_inflates_to_more_than_it_states_is_cut_off(read):
    """A bomb: 64 MiB of zeros behind an entry that states the size of the manifest's labels.txt."""
    bomb = zlib.compressobj(9, zlib.DEFLATED, -15)
    packed = bomb.compress(b"\0" * (1 << 26)) + bomb.flush()
    size = len(small_files()["labels.txt"])
    names = [(name, data, False) for name, data in contents() if name != "labels.txt"] + [("labels.txt", packed, True)]
    with pytest.raises(FormatError):
        read(hand_made_zip(names, size))


def test_compressed_bytes_that_go_on_after_their_end_are_refused(read):
    deflate = zlib.compressobj(9, zlib.DEFLATED, -15)
    packed = deflate.compress(small_files()["labels.txt"]) + deflate.flush() + b"hidden"
    names = [(name, data, False) for name, data in contents() if name != "labels.txt"] + [("labels.txt", packed, True)]
    with pytest.raises(FormatError):
        read(hand_made_zip(names, len(small_files()["labels.txt"])))


def hand_made_zip(names, packed_size):
    """A zip of (name, bytes, whether they are deflate data that state packed_size)."""
    body, directory = b"", b""
    for name, data, packed in names:
        size = packed_size if packed else len(data)
        fields = (20, 0, 8 if packed else 0, 0, 33, 0, len(data), size, len(name), 0)
        directory += struct.pack("<4s6H3I5H2I", b"PK\1\2", 20, *(fields + (0, 0, 0, 0, len(body)))) + name.encode()
        body += struct.pack("<4s5H3I2H", b"PK\3\4", *fields) + name.encode() + data
    end = struct.pack("<4s4H2IH", b"PK\5\6", 0, 0, len(names), len(names), len(directory), len(body), 0)
    return body + directory + end


def test_a_manifest_larger_than_a_mebibyte_is_refused_before_its_signature_is_checked(read):
    huge = b" " * ((1 << 20) + 1)
    with pytest.raises(FormatError):
        read(zip_bytes([("manifest.json", huge), ("manifest.sig", KEY.sign(huge))]))


def test_a_directory_of_very_many_entries_is_refused(read):
    with pytest.raises(FormatError) as caught:
        read(zip_bytes([(str(i), b"") for i in range(4099)]))
    assert "4099 entries" in caught.value.found


def test_an_archive_that_is_not_there_is_an_input_error(tmp_path):
    with pytest.raises(InputError):
        read_signed_part(str(tmp_path / "none.edge"))


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_a_mutated_archive_is_refused_or_gives_the_same_bytes(tmp_path_factory, data):
    folder = str(tmp_path_factory.getbasetemp())
    root = os.path.join(folder, "board-of-mutations")
    board = new_board(root) if not os.path.exists(root) else None
    verify = verifier(board.path("trust") if board else os.path.join(root, "trust"))
    archive = bytearray(release_bytes())
    for _ in range(data.draw(st.integers(1, 3))):
        place = data.draw(st.integers(0, len(archive) - 1))
        archive[place] = data.draw(st.integers(0, 255))
    if data.draw(st.booleans()):
        cut = data.draw(st.integers(0, len(archive)))
        archive[cut : cut + data.draw(st.integers(0, 50))] = data.draw(st.binary(max_size=50))
    path = os.path.join(folder, "mutated.edge")
    with open(path, "wb") as file:
        file.write(bytes(archive))
    try:
        with Archive(path, verify) as opened:
            read = {name: b"".join(opened.pieces(name)) for name in opened.names}
    except EdgewiseError:
        return
    assert all(small_files()[name] == content for name, content in read.items())


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=300))
def test_arbitrary_bytes_are_refused(tmp_path_factory, data):
    path = tmp_path_factory.getbasetemp() / "arbitrary.edge"
    path.write_bytes(data)
    with pytest.raises(EdgewiseError):
        read_signed_part(str(path))


@pytest.mark.parametrize("compression", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_a_file_can_be_handed_on_as_it_stands_in_the_archive(tmp_path, compression):
    (tmp_path / "whole.edge").write_bytes(zip_bytes(contents(), compression))
    with Archive(str(tmp_path / "whole.edge"), lambda data, signature: None) as archive:
        for name in archive.names:
            packed = archive.packed(name)
            data = b"".join(packed.pieces)
            assert len(data) == packed.size_bytes
            assert (zlib.decompress(data, -15) if packed.deflated else data) == small_files()[name]
