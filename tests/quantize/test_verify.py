"""`edgewise verify`: an honest folder holds; one in which anything was changed does not, whatever its hashes say."""

import json
import shutil
from collections.abc import Callable
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from folders import certify_again, write_data, write_int8, write_run

from deploy.keys import keygen
from deploy.pack import pack
from edge.contract.errors import EdgewiseError, FormatError, GateError, InputError, TrustError
from quantize.claims import Certified, require_golden
from quantize.faults import FAULTS
from quantize.verify import open_subject, verify
from train.tensors import read_tensors, write_tensors

CREATED = datetime(2026, 11, 22, tzinfo=timezone.utc)


def _silent(stage: str, step: int, steps: int) -> None:
    """No progress is drawn."""


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_run(tmp_path_factory.mktemp("verify") / "run")


@pytest.fixture(scope="module")
def release(run: Path) -> tuple[Path, Path]:
    """The release of the run, and its public key."""
    made = keygen(run.parent / "mine")
    return pack(run, made.key, CREATED, name="small").archive, made.public


@pytest.fixture
def copy(run: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(run, tmp_path / "run"))


def _failing(path: Path, **options: Any) -> str:
    with pytest.raises(GateError) as caught:
        verify(path, _silent, **options)
    return caught.value.found


def test_every_figure_of_an_honest_run_is_made_again(run: Path) -> None:
    done = verify(run, _silent, deep=True)
    assert all(claim["holds"] for claim in done.fields["claims"])
    names = {claim["name"] for claim in done.fields["claims"]}
    assert {"accuracy.fp32", "accuracy.qat", "accuracy.u8", "agreement.s8_identity", "exact.u8_pictures"} <= names
    assert {"golden u8, engine", "golden s8, reference", "integer layers", "layers", "scales", "head.npz"} <= names
    assert "accuracy" not in done.fields["not_remade"] and "pictures" in done.fields["not_remade"]
    assert done.lines[-1].endswith("claims hold")


def test_the_int8_folder_may_be_named_itself(run: Path) -> None:
    assert "head.npz's base" in verify(run / "int8", _silent).fields["not_remade"]


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_in_any_form_is_found_though_the_hashes_were_rewritten(
    tmp_path_factory: pytest.TempPathFactory, tmp_path: Path, fault: str
) -> None:
    for number, kinds in enumerate((("residual", "depthwise"), ("branches", "squeeze"))):
        honest = _int8(tmp_path_factory, number, kinds)
        for forms in (("u8",), ("s8", "s8_identity", "float")):
            folder = Path(shutil.copytree(honest, tmp_path / f"{number}-{forms[0]}"))
            planted = [form for form in forms if _plant(fault, folder / f"model.{form}.onnx")]
            certify_again(folder)
            found = _failing(folder) if planted else ""
            # a u8 file with other numbers is as good as any: then the three others differ from it
            assert all(f"FAILS  {form} file" in found for form in planted if form != "u8")
            assert not planted or " file: " in found


def _plant(fault: str, path: Path) -> bool:
    model = onnx.load(str(path))
    if not FAULTS[fault](model):
        return False
    onnx.save(model, str(path))
    return True


_INT8: dict[int, Path] = {}


def _int8(factory: pytest.TempPathFactory, number: int, kinds: tuple[str, ...]) -> Path:
    if number not in _INT8:
        _INT8[number] = write_int8(factory.mktemp("int8") / "int8", 20 + number, kinds)
        assert verify(_INT8[number], _silent).fields["claims"]
    return _INT8[number]


def _golden(folder: Path) -> None:
    with np.load(folder / "golden.npz") as file:
        arrays = dict(file)
    arrays["s8"][0, 0] += np.float32(0.01)
    np.savez(folder / "golden.npz", **arrays)


def test_golden_vectors_that_a_board_would_refuse_are_no_folder_to_write(copy: Path) -> None:
    subject = _open(copy)
    require_golden(subject)
    with np.load(copy / "int8" / "golden.npz") as file:
        arrays = dict(file)
    arrays["s8"] = -arrays["s8"]
    np.savez(copy / "int8" / "golden.npz", **arrays)
    with pytest.raises(GateError, match="golden s8"):
        require_golden(subject)


def _open(folder: Path) -> Certified:
    with open_subject(folder, None) as subject:
        return subject.certified


def _golden_pixel(folder: Path) -> None:
    with np.load(folder / "golden.npz") as file:
        arrays = dict(file)
    arrays["pixels"][1] ^= 255
    np.savez(folder / "golden.npz", **arrays)


def _head(name: str) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        with np.load(folder / "head.npz") as file:
            arrays = dict(file)
        arrays[name] = arrays[name] + arrays[name].dtype.type(1)
        np.savez(folder / "head.npz", **arrays)

    return change


def test_a_base_that_another_machine_solved_holds(copy: Path) -> None:
    folder = copy / "int8"
    with np.load(folder / "head.npz") as file:
        arrays = dict(file)
    arrays["solution"] *= 1 + 1e-9
    np.savez(folder / "head.npz", **arrays)
    certify_again(folder)
    assert "head.npz" not in _failing(copy, deep=True)  # only report.html fails, which shows the file's hash


def _labels(folder: Path) -> None:
    (folder / "labels.txt").write_text("bee\nant\n<cat>\ndog & co\n")


def _page(folder: Path) -> None:
    page = (folder / "report.html").read_text()
    (folder / "report.html").write_text(page.replace("reads ", "reads 9"))


def _other_file(folder: Path) -> None:
    (folder / "more.bin").write_bytes(b"more")


def _spec(folder: Path) -> None:
    path = folder / "spec.json"
    path.write_text(path.read_text().replace('"height": 32', '"height": 64'))


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (_golden, "golden s8"),
        (_golden_pixel, "golden u8"),
        (_head("bias"), "head.npz"),
        (_head("solution"), "solution differ"),
        (_labels, "another model"),
        (_spec, "another model"),
        (_page, "report.html"),
        (_other_file, "more.bin"),
    ],
)
def test_a_change_to_any_other_file_is_found(copy: Path, change: Callable[[Path], None], named: str) -> None:
    change(copy / "int8")
    if change is not _other_file:
        certify_again(copy / "int8")
    with pytest.raises(EdgewiseError, match=named):
        verify(copy, _silent, deep=True)


def _set(*keys: str, value: Any) -> Callable[[dict[str, Any]], None]:
    def change(report: dict[str, Any]) -> None:
        for key in keys[:-1]:
            report = report[key]
        report[keys[-1]] = value

    return change


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (_set("accuracy", "fp32", value=99.9), "accuracy.fp32"),
        (_set("accuracy", "u8", value=99.9), "accuracy.u8"),
        (_set("accuracy", "int4", value=99.9), "accuracy.int4"),
        (_set("agreement", "s8", "low", value=99.9), "agreement.s8"),
        (_set("exact", "u8_pictures", value=39), "exact.u8_pictures"),
        (_set("exact", "u8", value=1), "exact.u8"),
        (_set("integer_layers", "fused", value=99), "integer_layers.fused"),
        (_set("scales", "stem_0", value=0.5), "scales"),
        (_set("layers", value=[]), "layers"),
        (_set("test_count", value=41), "test_count"),
        (_set("ready", value=False), "ready"),
        (_set("files", "model.u8.onnx", value="0" * 64), "model.u8.onnx"),
    ],
)
def test_a_figure_that_does_not_hold_is_named(copy: Path, change: Callable[[dict[str, Any]], None], named: str) -> None:
    path = copy / "int8" / "report.json"
    report = json.loads(path.read_text())
    change(report)
    path.write_text(json.dumps(report))
    assert f"FAILS  {named}:" in _failing(copy)


def test_other_fp32_weights_are_found(copy: Path) -> None:
    tensors, _ = read_tensors(copy / "model.safetensors")
    tensors["classifier.weight"] = -tensors["classifier.weight"]
    tensors["stem.0.weight"][0] *= 2
    write_tensors(copy / "model.safetensors", tensors)
    found = _failing(copy)
    assert "agreement_with_fp32.u8" in found and "layers" in found


def test_pictures_that_changed_are_refused(copy: Path, tmp_path: Path) -> None:
    other = write_data(tmp_path / "other.npz")
    with np.load(other) as file:
        arrays = dict(file)
    np.savez(other, **arrays | {"x_test": arrays["x_test"] ^ 1})
    with pytest.raises(InputError, match="changed"):
        verify(copy, _silent, data=str(other))


def test_a_releases_files_are_verified_and_what_needs_pictures_is_listed(release: tuple[Path, Path]) -> None:
    archive, public = release
    done = verify(archive, _silent, key=public)
    assert "signed by" in done.lines[0]
    assert {"accuracy", "agreement", "exact", "layers", "test_count"} <= set(done.fields["not_remade"])
    assert "not checked" in verify(archive, _silent).lines[0]


def test_a_releases_figures_are_made_again_with_its_pictures(run: Path, release: tuple[Path, Path]) -> None:
    done = verify(release[0], _silent, data=str(run.parent / "data.npz"))
    names = {claim["name"] for claim in done.fields["claims"]}
    assert {"accuracy.u8", "accuracy.qat", "agreement.u8", "exact.u8", "test_count"} <= names
    assert {"accuracy.fp32", "layers"} <= set(done.fields["not_remade"])


def test_a_release_by_another_key_is_refused(release: tuple[Path, Path], tmp_path: Path) -> None:
    with pytest.raises(TrustError):
        verify(release[0], _silent, key=keygen(tmp_path / "other").public)


def test_what_is_no_run_and_no_release_is_refused_in_one_line(tmp_path: Path, copy: Path) -> None:
    with pytest.raises(FormatError, match=r"report\.json"):
        verify(tmp_path, _silent)
    with pytest.raises(InputError):
        verify(tmp_path / "none.edge", _silent)
    (tmp_path / "odd.edge").write_bytes(b"no archive")
    with pytest.raises(FormatError):
        verify(tmp_path / "odd.edge", _silent)
    with pytest.raises(InputError, match="public"):
        verify(tmp_path / "odd.edge", _silent, key=tmp_path / "odd.edge")
    path = copy / "int8" / "report.json"
    report = json.loads(path.read_text())
    for content in ("", "[]", json.dumps(report | {"files": 1}), json.dumps(report | {"pictures": {}})):
        path.write_text(content)
        with pytest.raises(FormatError, match=r"report\.json"):
            verify(copy, _silent)
    del report["agreement"]
    path.write_text(json.dumps(report))
    with pytest.raises(FormatError, match="'agreement'"):
        verify(copy, _silent)


@pytest.mark.parametrize("form", ["u8", "s8_identity", "float"])
def test_a_file_that_is_cut_short_or_of_another_tool_is_a_claim_that_fails(copy: Path, form: str) -> None:
    path = copy / "int8" / f"model.{form}.onnx"
    whole = path.read_bytes()
    for content in (whole[: len(whole) // 2], b"", b"\0asm", whole.replace(b"edgewise", b"pytorch!", 1)):
        path.write_bytes(content)
        certify_again(copy / "int8")
        assert f"FAILS  {form} file" in _failing(copy)
    path.unlink()
    assert f"FAILS  model.{form}.onnx: missing" in _failing(copy)
