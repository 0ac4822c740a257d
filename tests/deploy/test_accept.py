"""accept: what a board is seen to do, signed; and that a stand-in cannot pass for a board."""

import dataclasses
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography.exceptions import InvalidSignature
from hypothesis import given, settings
from hypothesis import strategies as st
from release_maker import KEY
from service_board import camera_folder, service_board

from bench.ssh_board import SSHD, SshBoard
from deploy.accept import _camera
from deploy.acceptance import Acceptance, Camera, Engine, Reading, Software, acceptance_bytes, sign, verified
from deploy.keys import key_id, keygen, load_private_key
from edge.contract.errors import FormatError, TrustError

ROOT = Path(__file__).resolve().parents[2]
SEEN = Acceptance(
    made="2026-11-22T05:41:00Z",
    release="photos-1-0123456789ab",
    network="efficientnet-lite0 224x224",
    software=Software("jetson-nano", "aarch64", "32.7.1", "8.2.1", "1.11.0", "", "0" * 64),
    checks={"board": "NVIDIA Jetson Nano Developer Kit, L4T 32.7.1"},
    engines=(
        Engine("tensorrt-fp16", "float", "", 8, 0, 0.9999, 11.5),
        Engine("cuda-float", "float", "it does not run", 0, 0, None, None),
    ),
    chosen="tensorrt-fp16",
    camera=Camera("csi", 1280, 720, 300, 0, 29.9, 40.0, 60.0, 12.0),
    heat=(
        Reading(60.0, 5000, 11.5, 13.0, {"GPU-therm": 41.0}, ""),
        Reading(120.0, 4000, 14.0, 19.0, {"GPU-therm": 71.5, "CPU-therm": 68.0}, "gpu-balanced"),
    ),
)


@pytest.fixture
def key(tmp_path: Path) -> Path:
    return keygen(tmp_path / "mine").key


def edgewise(*arguments: object, path: str = os.environ["PATH"]) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "edgewise", *map(str, arguments)]
    environment = {**os.environ, "PATH": path, "OMP_NUM_THREADS": "1"}
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, stdin=subprocess.DEVNULL)


def test_a_stand_in_is_measured_says_that_it_is_one_and_its_file_holds_its_signature(tmp_path: Path, key: Path) -> None:
    board = service_board(str(tmp_path))
    camera = camera_folder(str(tmp_path / "camera"))
    out = tmp_path / "seen.json"
    done = edgewise(
        "accept", f"local:{board.root}", camera, "--key", key, "--seconds", 1, "--minutes", 0.002, "--out", out
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("a stand-in, not a board: ") and "ms after 0.002 minutes" in done.stdout
    found, signer = verified(out.read_bytes(), Path(f"{out}.sig").read_bytes())
    assert found.is_stand_in and key_id(signer) == key_id(load_private_key(key).public_key())
    (able,) = [each for each in found.engines if not each.why]
    assert (able.name, able.identical, found.chosen) == ("cpu-u8", 5, "cpu-u8") and able.median_ms
    assert found.camera is not None and (found.camera.kind, found.camera.frames) == ("file", 5)
    assert len(found.heat) == 1 and found.heat[0].pictures > 0
    assert str(tmp_path) not in out.read_text()


@pytest.fixture
def ssh(tmp_path: Path) -> Iterator[SshBoard]:
    if SSHD is None:
        pytest.skip("needs openssh-server")
    board = SshBoard(tmp_path / "ssh", sys.executable)
    Path(service_board(str(tmp_path)).root).rename(board.root)
    yield board
    board.close()


def test_a_board_over_ssh_is_measured_the_same_way_and_tells_no_address(
    ssh: SshBoard, tmp_path: Path, key: Path
) -> None:
    out = tmp_path / "seen.json"
    path = f"{ssh.bin}:{os.environ['PATH']}"
    done = edgewise("accept", ssh.target, "--key", key, "--minutes", 0.002, "--out", out, "--json", path=path)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["acceptance"]["chosen"] == "cpu-u8"
    found, _ = verified(out.read_bytes(), Path(f"{out}.sig").read_bytes())
    assert found.camera is None and "127.0.0.1" not in out.read_text() and str(ssh.home) not in out.read_text()


def test_no_private_key_or_no_time_is_said_before_a_board_is_asked(tmp_path: Path, key: Path) -> None:
    assert "no private Ed25519 key" in edgewise("accept", "local:none", "--key", key.with_suffix(".pub")).stderr
    assert edgewise("accept", "local:none", "--key", key, "--minutes", 0).returncode == 2
    assert "cannot be written" in edgewise("accept", "local:none", "--key", key, "--out", tmp_path / "no" / "a").stderr
    assert "no release is installed" in edgewise("accept", f"local:{tmp_path / 'none'}", "--key", key).stderr


def test_a_byte_that_was_changed_and_another_keys_name_are_found(tmp_path: Path, key: Path) -> None:
    data = acceptance_bytes(SEEN)
    signature = sign(data, load_private_key(key))
    assert verified(data, signature)[0] == SEEN
    other = sign(data, load_private_key(keygen(tmp_path / "other").key))
    for changed, by in (
        (data.replace(b"11.5", b"01.5"), signature),
        (data, other[:65] + signature[65:]),
        (data, b""),
        (data, signature + b"\n"),
    ):
        with pytest.raises(TrustError):
            verified(changed, by)


def test_a_signature_over_an_acceptance_is_none_over_the_same_bytes(key: Path) -> None:
    data = acceptance_bytes(SEEN)
    private = load_private_key(key)
    signature = bytes.fromhex(sign(data, private).split()[1].decode())
    with pytest.raises(InvalidSignature):
        private.public_key().verify(signature, data)


FIELDS = json.loads(acceptance_bytes(SEEN))
ODD = st.one_of(st.none(), st.booleans(), st.text(), st.integers(), st.just([]), st.just({}), st.just("a|b\nc"))


@given(name=st.sampled_from(sorted(FIELDS)), value=ODD, inside=st.booleans())
@settings(max_examples=150, deadline=None)
def test_fields_of_other_types_are_refused_or_read_as_they_were_written(name: str, value: object, inside: bool) -> None:
    fields = json.loads(json.dumps(FIELDS))
    if inside and isinstance(fields[name], dict):
        fields[name] = dict.fromkeys(fields[name], value)
    elif inside and isinstance(fields[name], list):
        fields[name] = [dict.fromkeys(each, value) for each in fields[name]]
    else:
        fields[name] = value
    data = (json.dumps(fields, indent=1, sort_keys=True) + "\n").encode()
    try:
        found, _ = verified(data, sign(data, KEY))
    except FormatError:
        return
    assert acceptance_bytes(found) == data


def test_a_cameras_address_does_not_go_out_with_its_password() -> None:
    found = {
        "live": True, "size": [640, 480], "frames": 9, "dropped": 0, "frames_per_second": 30.0, "age_median_ms": 1.0,
        "age_p95_ms": 2.0, "infer_median_ms": 1.0, "engine": "cpu-u8",
    }  # fmt: skip
    assert _camera("rtsp://me:secret@10.0.0.7/live", found).kind == "rtsp"
    assert _camera("csi:0", found).kind == "csi"
    assert {_camera(source, found).kind for source in ("0", "/dev/video1")} == {"v4l2"}
    assert _camera("clips/a.mp4", {**found, "live": False}).kind == "file"


class TestTable:
    @pytest.fixture
    def proved_on(self, monkeypatch: pytest.MonkeyPatch):  # type: ignore[no-untyped-def]
        monkeypatch.syspath_prepend(str(ROOT / "scripts"))
        import proved_on

        return proved_on

    def put(self, folder: Path, name: str, seen: Acceptance, key: Path) -> None:
        folder.mkdir(exist_ok=True)
        data = acceptance_bytes(seen)
        (folder / name).write_bytes(data)
        (folder / f"{name}.sig").write_bytes(sign(data, load_private_key(key)))

    def test_a_boards_row_says_engines_camera_heat_and_who_signed(self, proved_on, tmp_path: Path, key: Path) -> None:  # type: ignore[no-untyped-def]
        self.put(tmp_path / "on", "nano.json", SEEN, key)
        text = proved_on.tables(tmp_path / "on")
        row = text.splitlines()[-1]
        assert "| jetson-nano | L4T 32.7.1, TensorRT 8.2.1, onnxruntime 1.11.0 |" in row
        assert "tensorrt-fp16 11.50 (chosen) |" in row and "cuda-float" not in row
        assert "11.50 to 14.00 ms in 2 min, 41 to 72 °C, slowed down: gpu-balanced" in row
        assert "csi 1280x720, 29.9 a second" in row and key_id(load_private_key(key).public_key()) in row

    def test_a_stand_in_stands_apart_whatever_its_file_is_called(self, proved_on, tmp_path: Path, key: Path) -> None:  # type: ignore[no-untyped-def]
        fake = dataclasses.replace(SEEN, software=dataclasses.replace(SEEN.software, board=""))
        self.put(tmp_path / "on", "jetson-nano.json", fake, key)
        text = proved_on.tables(tmp_path / "on")
        assert text.startswith(proved_on.NONE_YET)
        assert "say nothing" in text.replace("says", "say") and "| stand-in (aarch64) |" in text
        odd = dataclasses.replace(SEEN, software=dataclasses.replace(SEEN.software, board="jetson-nano | x"))
        assert odd.is_stand_in

    def test_a_file_whose_signature_does_not_hold_is_named(self, proved_on, tmp_path: Path, key: Path) -> None:  # type: ignore[no-untyped-def]
        self.put(tmp_path / "on", "nano.json", SEEN, key)
        (tmp_path / "on" / "nano.json").write_bytes(acceptance_bytes(SEEN).replace(b"11.5", b"01.5"))
        with pytest.raises(TrustError, match=r"nano\.json"):
            proved_on.tables(tmp_path / "on")

    def test_the_readme_is_what_the_script_writes(self) -> None:
        command = [sys.executable, "scripts/proved_on.py", "--check"]
        environment = {**os.environ, "PYTHONPATH": str(ROOT)}
        done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
