"""What the courier writes of deflated bytes: what they hold, and never more than it was told."""

import io
import random
import subprocess
import sys
import zlib
from hashlib import sha256
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from deploy import courier


def deflated(data: bytes) -> bytes:
    return zlib.compress(data)[2:-4]


def inflated(data: bytes, most: int, piece_bytes: int = 1 << 16) -> bytes:
    pieces = (data[at : at + piece_bytes] for at in range(0, len(data), piece_bytes))
    return b"".join(courier._inflate(pieces, most))


@settings(max_examples=60, deadline=None)
@given(
    size=st.sampled_from([0, 1, 300, 1 << 16, (1 << 20) - 1, 1 << 20, (1 << 20) + 1, (1 << 20) + 200, 3 << 20]),
    pattern=st.binary(min_size=1, max_size=300),
    piece_bytes=st.sampled_from([1, 7, 1 << 16]),
)
def test_all_of_it_comes_however_well_it_was_packed_and_wherever_it_was_cut(
    size: int, pattern: bytes, piece_bytes: int
) -> None:
    data = (pattern * (size // len(pattern) + 1))[:size]
    assert inflated(deflated(data), size, piece_bytes) == data
    assert inflated(deflated(data), size + 5, piece_bytes) == data


def test_a_bomb_ends_at_the_size_that_was_stated_and_is_read_to_its_end() -> None:
    pieces = iter([deflated(bytes(50_000_000)), b"more", b"and more"])
    assert sum(len(data) for data in courier._inflate(pieces, 1000)) == 1000
    assert list(pieces) == []


def test_bytes_that_do_not_inflate_give_too_little_and_no_error() -> None:
    noise = random.Random(0)
    for _ in range(200):
        data = bytearray(deflated(bytes(range(256)) * 40))
        for _ in range(3):
            data[noise.randrange(len(data))] = noise.randrange(256)
        assert len(inflated(bytes(data), 10_240)) <= 10_240


def test_what_a_lost_link_left_is_measured_and_what_another_release_does_not_need_goes(tmp_path: Path) -> None:
    folder = tmp_path / "incoming" / "objects"
    folder.mkdir(parents=True)
    for name, data in (("whole", b"data"), ("half.part", b"da"), ("other", b"more"), ("another.part", b"m")):
        (folder / name).write_bytes(data)
    found = courier.arrived(str(tmp_path), "incoming/objects", ["whole", "half", "never"])["parts"]
    assert found == {"whole": [4, sha256(b"data").hexdigest()], "half": [2, sha256(b"da").hexdigest()]}
    assert sorted(path.name for path in folder.iterdir()) == ["half.part", "whole.part"]


def test_a_receiver_that_has_refused_has_the_last_word_however_much_it_is_still_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    refusing = "import sys; print('refused', flush=True); sys.exit(3)"
    session = courier.Session()
    session.receiver = subprocess.Popen(
        [sys.executable, "-c", refusing], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    session.receiver.wait()
    monkeypatch.setattr("signal.alarm", lambda seconds: 0)  # the courier's own, for a link that is idle
    for name in ("objects/one", "objects/two"):
        assert courier.put(str(tmp_path), name, 0, 4, io.BytesIO(b"data"), session, tell=True) == {}
    assert courier.finish(str(tmp_path), session) == {"code": 3, "stdout": "refused\n", "stderr": ""}
