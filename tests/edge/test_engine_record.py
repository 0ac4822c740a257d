"""engines.json: what a measurement depends on, and that one which no longer holds is not believed."""

import json
import os

import pytest
from release_maker import new_board, signed_manifest, small_files

from edge.contract.errors import FormatError
from edge.contract.manifest import parse_manifest
from edge.engine_record import (
    NOTHING,
    Measured,
    Record,
    Tried,
    cache_folder,
    circumstances,
    kept,
    load_record,
    measured_now,
    models_hash,
    needs_measuring,
    parse_record,
    record_bytes,
    save_record,
    sweep_cache,
)


def manifest(**changes):
    return parse_manifest(signed_manifest(dict(small_files(), **changes), 1)[0])


def measured(under, chosen="cpu-u8"):
    rows = (Tried("tensorrt-fp16", "float", "no GPU"), Tried("cpu-u8", "u8", "", 5, 5, 1.0, 3.25))
    return Measured(under, rows, chosen, "no other engine's golden vectors hold here")


@pytest.fixture
def nano(tmp_path):
    """`/` of a Nano."""
    system = tmp_path / "system"
    for name, text in (
        ("etc/nv_tegra_release", "# R32 (release), REVISION: 7.1, GCID: 29818004, BOARD: t210ref, EABI: aarch64\n"),
        ("usr/lib/aarch64-linux-gnu/libnvinfer.so.8", ""),
        ("usr/lib/aarch64-linux-gnu/libnvinfer.so.8.2.1", ""),
    ):
        path = system / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return str(system)


def test_a_measurement_depends_on_board_l4t_tensorrt_onnxruntime_and_networks(tmp_path, nano):
    board = new_board(tmp_path / "board")._replace(name="jetson-nano")
    now = circumstances(board, manifest(), nano)
    assert now[:4] == ("jetson-nano", "aarch64", "32.7.1", "8.2.1") and now.onnxruntime.startswith("1.")
    record = Record("", (measured(now),))
    assert measured_now(record, now) == measured(now)
    os.rename(
        os.path.join(nano, "usr/lib/aarch64-linux-gnu/libnvinfer.so.8.2.1"),
        os.path.join(nano, "usr/lib/aarch64-linux-gnu/libnvinfer.so.8.10.0"),
    )
    updated = circumstances(board, manifest(), nano)
    assert updated.tensorrt == "8.10.0" and measured_now(record, updated) is None
    assert measured_now(record, circumstances(board, manifest(**{"model.s8.onnx": b"another"}), nano)) is None
    assert circumstances(board, manifest(**{"labels.txt": b"a\nb\n"}), nano) == updated


def test_a_pc_has_neither_l4t_nor_tensorrt(tmp_path):
    now = circumstances(new_board(tmp_path / "board"), manifest(), str(tmp_path))
    assert (now.l4t, now.tensorrt) == ("", "")


def test_the_record_comes_back_as_it_was_written(tmp_path):
    board = new_board(tmp_path / "board")
    assert load_record(board) == NOTHING
    record = Record("cpu-u8", (measured(circumstances(board, manifest())),))
    save_record(board, record)
    assert load_record(board) == record


@pytest.mark.parametrize(
    "change",
    [
        lambda fields: fields.update(schema=2),
        lambda fields: fields.pop("measured"),
        lambda fields: fields.update(more=1),
        lambda fields: fields["measured"][0].update(chosen="tensorrt-fp16"),  # which did not run
        lambda fields: fields["measured"][0]["circumstances"].pop("l4t"),
    ],
)
def test_a_record_that_nobody_here_wrote_is_refused(tmp_path, change):
    fields = json.loads(record_bytes(Record("", (measured(circumstances(new_board(tmp_path), manifest())),))).decode())
    change(fields)
    with pytest.raises(FormatError):
        parse_record(json.dumps(fields).encode())


def test_what_belongs_to_no_installed_release_goes_with_what_tensorrt_built_for_it(tmp_path):
    board = new_board(tmp_path / "board")
    old, new = (circumstances(board, manifest(**{"model.float.onnx": mark})) for mark in (b"old", b"new"))
    upgraded = new._replace(onnxruntime="99.0")
    for under in (old, new, upgraded):
        os.makedirs(cache_folder(board, under, "tensorrt-fp16"))
    record = Record("", (measured(upgraded), measured(new), measured(old)))
    left = kept(record, [upgraded.models, models_hash(manifest())])
    assert [each.circumstances for each in left.measured] == [upgraded]
    sweep_cache(board, left)
    assert os.path.isdir(cache_folder(board, upgraded, "tensorrt-fp16"))
    assert not os.path.exists(os.path.dirname(cache_folder(board, old, "x")))
    assert len(os.listdir(board.path("engines"))) == 1


def test_a_board_that_measured_other_networks_needs_to_again_and_one_that_measured_none_does_not(tmp_path):
    board = new_board(tmp_path / "board")
    other = manifest(**{"model.float.onnx": b"other"})
    assert not needs_measuring(board, manifest())
    save_record(board, Record("", (measured(circumstances(board, other)),)))
    assert needs_measuring(board, manifest()) and not needs_measuring(board, other)
    save_record(board, Record("", (measured(circumstances(board, manifest())), measured(circumstances(board, other)))))
    assert not needs_measuring(board, manifest())
    with open(board.path("engines.json"), "w") as file:
        file.write("damaged")
    assert not needs_measuring(board, manifest())  # `status` says so
