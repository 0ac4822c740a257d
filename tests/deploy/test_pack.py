"""Packing a release."""

import base64
import os
import random
import subprocess
import sys
import zipfile
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest
from run_maker import certify, content_of, make_run, unverified

from deploy.archive import archive_bytes
from deploy.keys import keygen, load_private_key, load_public_key, verifier
from deploy.pack import pack
from edge.contract.archive import Archive
from edge.contract.errors import EdgewiseError, FormatError, GateError, InputError

NOW = datetime(2026, 11, 22, 6, 0, 0, tzinfo=timezone(timedelta(hours=1)))
ROOT = Path(__file__).resolve().parents[2]
KEY = "desk.key"


@pytest.fixture
def run(tmp_path: Path) -> Path:
    keygen(tmp_path / "desk")
    return make_run(tmp_path / "My digits (2)")


@pytest.fixture
def key(tmp_path: Path) -> Path:
    return tmp_path / KEY


def test_a_packed_release_is_whole_and_signed(run: Path, key: Path) -> None:
    report = pack(run, key, NOW)
    with Archive(str(report.archive), verifier(load_public_key(key.with_suffix(".pub")))) as archive:
        assert archive.names == set(archive.manifest.files)
        assert sum(len(piece) for name in archive.names for piece in archive.pieces(name)) == report.content_bytes
        assert archive.release == report.release
        assert archive.manifest.created == "2026-11-22T05:00:00Z"


def test_the_files_of_the_deeper_pass_travel_if_they_are_there_and_certified(run: Path, key: Path) -> None:
    (run / "int8" / "deep").mkdir()
    (run / "int8" / "deep" / "step.onnx").write_bytes(b"a step")
    certify(run / "int8")
    assert content_of(pack(run, key, NOW).archive, "deep/step.onnx") == b"a step"
    (run / "int8" / "deep" / "step.onnx").write_bytes(b"another")
    with pytest.raises(GateError, match=r"deep/step\.onnx"):
        pack(run, key, NOW)


def test_name_counter_and_place_have_defaults(run: Path, key: Path) -> None:
    report = pack(run, key, NOW)
    assert (report.name, report.version, report.counter) == ("my-digits-2", "1", int(NOW.timestamp()))
    assert report.archive == run / "my-digits-2-1.edge"


def test_any_zip_program_reads_the_archive(run: Path, key: Path) -> None:
    with zipfile.ZipFile(pack(run, key, NOW).archive) as archive:
        assert archive.testzip() is None
        assert archive.namelist()[:2] == ["manifest.json", "manifest.sig"]


def test_a_file_is_stored_or_deflated_by_what_its_middle_gains(tmp_path: Path) -> None:
    text, noise = b"text " * 13_000, random.Random(0).randbytes(1 << 16)
    contents = [
        ("network", 3 * (1 << 16), [text, noise, noise]),
        ("log", 3 * len(text), [noise, text, text]),
        ("nothing", 0, []),
    ]
    (tmp_path / "made.zip").write_bytes(archive_bytes(b"{}", b"", contents))
    with zipfile.ZipFile(tmp_path / "made.zip") as archive:
        stored = {entry.filename: entry.compress_type == zipfile.ZIP_STORED for entry in archive.infolist()}
    assert (stored["network"], stored["log"], stored["nothing"]) == (True, False, True)


def test_the_same_inputs_give_the_same_bytes(run: Path, key: Path, tmp_path: Path) -> None:
    one = pack(run, key, NOW, out=tmp_path / "one.edge").archive.read_bytes()
    assert pack(run, key, NOW, out=tmp_path / "two.edge").archive.read_bytes() == one


def test_the_runtime_is_the_board_package_in_source_only_with_its_page_and_starts(
    run: Path, key: Path, tmp_path: Path
) -> None:
    archive = pack(run, key, NOW).archive
    with zipfile.ZipFile(archive) as zipped:
        runtime = [name for name in zipped.namelist() if name.startswith("runtime/")]
        zipped.extractall(tmp_path / "out", runtime)
    assert all(name.startswith("runtime/edge/") for name in runtime)
    assert {Path(name).parent.as_posix() for name in runtime if not name.endswith(".py")} == {
        "runtime/edge/web", "runtime/edge/web/files",
    }  # fmt: skip
    assert not any("__pycache__" in name for name in runtime)
    subprocess.check_call(
        [sys.executable, "-B", "-m", "edge", "--help"], cwd=tmp_path / "out" / "runtime", stdout=subprocess.DEVNULL
    )


def test_the_private_key_is_nowhere_in_a_release(run: Path, key: Path) -> None:
    """Its raw bytes, half of them at least, in no form that a person or a library writes; packed and unpacked."""
    secret = load_private_key(key).private_bytes_raw()
    halves = [secret, secret[:16], secret[16:], secret[::-1]]
    pem = key.read_bytes().splitlines()[1:-1]
    forms = [*halves, base64.b64encode(secret)[:40], base64.urlsafe_b64encode(secret)[:40], *pem, b"".join(pem)]
    forms += [form(half.hex()).encode() for half in halves for form in (str.lower, str.upper)]
    path = pack(run, key, NOW).archive
    with Archive(str(path), unverified) as archive:
        unpacked = [b"".join(archive.pieces(name)) for name in archive.names]
        parts = [path.read_bytes(), archive.manifest_data, archive.signature, *unpacked]
    assert not [form for form in forms for part in parts if form in part]
    planted = pack(make_run(run.parent / "leaky", head=secret), key, NOW, name="leaky").archive
    assert secret in content_of(planted, "head.npz")  # so this test would see it


def test_the_command_packs_for_named_boards_only(run: Path, key: Path, tmp_path: Path) -> None:
    out = tmp_path / "named.edge"
    named = ["--for-board", "jetson-nano", "--for-board", "jetson-tx2"]
    command = [sys.executable, "-m", "edgewise", "pack", str(run), "--key", str(key), "--out", str(out)]
    assert subprocess.run([*command, *named, "--counter", "7"], cwd=ROOT, capture_output=True).returncode == 0
    with Archive(str(out), unverified) as archive:
        assert (archive.manifest.boards, archive.manifest.counter) == (("jetson-nano", "jetson-tx2"), 7)
    done = subprocess.run([*command, "--for-board", "jetson-nona"], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 2 and "jetson-nano" in done.stderr


def test_a_folder_that_did_not_pass_its_gates_is_refused(run: Path, key: Path) -> None:
    certify(run / "int8", ready=False)
    with pytest.raises(GateError):
        pack(run, key, NOW)


@pytest.mark.parametrize("name", ["model.u8.onnx", "model.s8.onnx", "head.npz", "golden.npz", "spec.json"])
def test_a_file_changed_after_its_certificate_is_refused(run: Path, key: Path, name: str) -> None:
    with (run / "int8" / name).open("a") as file:
        file.write("\n")
    with pytest.raises(GateError) as caught:
        pack(run, key, NOW)
    assert name in caught.value.found


@pytest.mark.parametrize("report", ["", "[]", "{}", '{"ready": true}', '{"ready": true, "files": 3}'])
def test_a_malformed_report_is_refused(run: Path, key: Path, report: str) -> None:
    (run / "int8" / "report.json").write_text(report)
    with pytest.raises(FormatError):
        pack(run, key, NOW)


def test_a_file_that_the_report_does_not_certify_is_refused(run: Path, key: Path) -> None:
    (run / "int8" / "report.json").write_text('{"ready": true, "files": {}}')
    with pytest.raises(GateError):
        pack(run, key, NOW)


def test_labels_that_do_not_fit_the_model_are_refused(run: Path, key: Path) -> None:
    (run / "int8" / "labels.txt").write_text("cat\ndog\nbird\n")
    certify(run / "int8")
    with pytest.raises(FormatError):
        pack(run, key, NOW)


@pytest.mark.parametrize("name", ["model.float.onnx", "labels.txt", "report.json", "spec.json"])
def test_a_missing_file_is_named(run: Path, key: Path, name: str) -> None:
    (run / "int8" / name).unlink()
    with pytest.raises(InputError) as caught:
        pack(run, key, NOW)
    assert name in caught.value.found


@pytest.mark.parametrize(
    "wrong", [{"name": "../x"}, {"version": "one"}, {"counter": 0}, {"counter": -1}, {"boards": ()}]
)
def test_a_manifest_that_no_board_would_read_is_not_written(run: Path, key: Path, wrong: dict[str, object]) -> None:
    with pytest.raises(FormatError):
        pack(run, key, NOW, **wrong)  # type: ignore[arg-type]
    assert os.listdir(run) == ["int8"]


def test_an_archive_that_cannot_be_written_is_one_line_and_leaves_nothing(run: Path, key: Path, tmp_path: Path) -> None:
    (tmp_path / "taken").mkdir()
    before = sorted(os.listdir(tmp_path))
    for out in (tmp_path / "no" / "x.edge", tmp_path / "taken"):
        with pytest.raises(EdgewiseError):
            pack(run, key, NOW, out=out)
    assert sorted(os.listdir(tmp_path)) == before


def test_the_report_of_the_run_is_in_the_release(run: Path, key: Path) -> None:
    assert content_of(pack(run, key, NOW).archive, "report.json") == (run / "int8" / "report.json").read_bytes()
