"""engines, status and run --engine on a board, and what becomes of lessons under another engine."""

import json
import os
import shutil
import subprocess

import numpy as np
import pytest
from engine_board import FAKE_OPENVINO, engine_board, fake_tensorrt, float_forms
from service_board import camera_folder, release
from tiny_board import command, on_board

from edge.board import Board
from edge.choice import choose_engine
from edge.contract.boards import find_board
from edge.contract.errors import BoardError
from edge.install import install
from edge.moving import refuse_to_set_aside
from edge.release import open_release

pytestmark = pytest.mark.skipif(os.uname().machine != "x86_64", reason="OpenVINO is a candidate on x86 only")


@pytest.fixture
def board(tmp_path):
    return engine_board(str(tmp_path))


@pytest.fixture
def pictures(tmp_path):
    return camera_folder(str(tmp_path / "camera"))


def must(board, *arguments):
    code, fields = on_board(board.root, *arguments)
    assert code == 0, fields
    return fields


def refused(board, *arguments):
    code, fields = on_board(board.root, *arguments)
    assert code != 0
    return fields["error"]


def engine(board):
    return must(board, "status")["engine"]


def test_every_engine_is_tried_and_the_choice_is_shown_by_status(board):
    before = engine(board)
    assert before["name"] == "cpu-u8" and "not measured" in before["why"] and before["measured"] is None
    found = must(board, "engines")
    rows = {row["name"]: row for row in found["tried"]}
    assert "no CUDAExecutionProvider" in rows["cuda-float"]["why"] and rows["cuda-float"]["median_ms"] is None
    assert rows["cpu-u8"]["identical"] == rows["cpu-u8"]["pictures"] == 5 and rows["cpu-u8"]["median_ms"] > 0
    assert rows["openvino-s8"]["lowest_cosine"] >= 0.999 and rows["openvino-s8"]["median_ms"] > 0
    able = [row for row in found["tried"] if not row["why"]]
    assert found["chosen"] == min(able, key=lambda row: row["median_ms"])["name"] == found["name"]
    after = engine(board)
    assert after["name"] == found["chosen"] and after["why"] == found["why"]
    assert after["measured"]["tried"] == found["tried"]
    assert must(board, "engines")["tried"] == found["tried"]  # nothing has changed, so nothing is measured


def test_a_person_may_want_another_engine_and_take_that_back(board, pictures):
    must(board, "engines", "--use", "openvino-s8")
    assert (engine(board)["name"], engine(board)["why"]) == ("openvino-s8", "as a person wants it")
    assert must(board, "run", pictures)["label"] == "cat"
    chosen = must(board, "engines", "--use", "fastest")["chosen"]
    assert engine(board)["name"] == chosen
    assert "cuda-float: this onnxruntime" in refused(board, "engines", "--use", "cuda-float")["found"]
    assert refused(board, "engines", "--use", "abacus")["kind"] == "UsageError"


def test_golden_vectors_must_hold_at_each_start_of_an_engine_that_was_named_or_chosen(board, pictures):
    must(board, "engines", "--use", "openvino-s8")
    assert must(board, "run", pictures, "--engine", "openvino-s8")["label"] == "cat"
    assert "cuda-float does not run here" in refused(board, "run", pictures, "--engine", "cuda-float")["found"]
    path = os.path.join(os.path.realpath(board.path("current")), "model.s8.onnx")
    with open(path, "rb") as file:
        changed = file.read().replace(np.float32(2.0**-7).tobytes(), np.float32(-(2.0**-7)).tobytes())
    os.unlink(path)
    with open(path, "wb") as file:
        file.write(changed)
    error = refused(board, "run", pictures, "--engine", "openvino-s8")
    assert error["kind"] == "GateError" and error["found"].startswith("openvino-s8: features of picture")
    line, runtime, environment = command(board.root, "run", pictures)
    said = subprocess.check_output(line, cwd=runtime, env=environment).decode()
    assert said.startswith("engine: cpu-u8, since openvino-s8: features of picture") and " cat " in said


def test_lessons_hold_the_form_unless_a_person_sets_them_aside_and_come_back_with_it(board, pictures):
    must(board, "engines", "--use", "cpu-u8")
    must(board, "teach", pictures, "--label", "wall")
    must(board, "teach", pictures, "--label", "fence", "--keep-pictures")
    error = refused(board, "engines", "--use", "openvino-s8")
    assert "5 examples without pictures (wall 5)" in error["found"] and "--set-aside" in error["remedy"]
    must(board, "engines", "--use", "openvino-s8", "--set-aside")
    assert must(board, "learned")["set_aside"] == 5  # those with pictures were read again
    must(board, "engines", "--use", "cpu-u8", "--set-aside")
    assert must(board, "learned")["set_aside"] == 0


def test_until_it_is_measured_again_the_certified_engine_runs_on_changed_software(board):
    must(board, "engines", "--use", "openvino-s8")
    path = board.path("engines.json")
    with open(path) as file:
        fields = json.load(file)
    fields["measured"][0]["circumstances"]["onnxruntime"] = "0.1"
    with open(path, "w") as file:
        json.dump(fields, file)
    found = engine(board)
    assert found["name"] == "cpu-u8" and "changed since" in found["why"]
    must(board, "engines")
    assert engine(board)["name"] == "openvino-s8"  # it is still wanted


def test_a_damaged_record_stops_nothing_and_is_made_anew(board, pictures):
    must(board, "engines")
    with open(board.path("engines.json"), "w") as file:
        file.write("{")
    found = engine(board)
    assert found["name"] == "cpu-u8" and "not readable" in found["why"]
    assert must(board, "run", pictures)["label"] == "cat"
    must(board, "engines")
    assert engine(board)["measured"] is not None


def test_an_engine_that_opens_no_more_gives_way_to_the_certified_one(board, pictures):
    must(board, "engines", "--use", "openvino-s8")
    current = os.path.realpath(board.path("current"))
    with open(os.path.join(current, "runtime", "openvino", "__init__.py"), "w") as file:
        file.write("raise ImportError('gone')\n")
    here = Board(board.root, os.uname().machine, find_board())
    assert choose_engine(here, open_release(current)).kind.name == "openvino-s8"
    assert must(board, "run", pictures)["label"] == "cat"


def test_a_busy_engine_says_how_fast_it_was_and_a_camera_how_many_frames(board, pictures):
    found = must(board, "soak", "--seconds", "0.1")
    assert found["engine"] == "cpu-u8" and found["pictures"] > 0 and found["median_ms"] > 0
    assert must(board, "soak", pictures, "--seconds", "60")["frames"] == 5


def test_the_service_runs_the_engine_that_was_chosen_and_ends_to_be_started_with_another(board, pictures):
    must(board, "engines", "--use", "openvino-s8")
    line, runtime, environment = command(board.root, "serve", pictures)
    with subprocess.Popen(line, cwd=runtime, env=environment, stdout=subprocess.PIPE) as process:
        said = process.stdout.readline()
        must(board, "engines", "--use", "cpu-u8")
        rest = process.stdout.read()
    assert said.startswith(b"cat ") and rest.endswith(b"another engine was chosen\n") and process.returncode == 0


def built(board):
    """The files that TensorRT seems to have kept."""
    return sorted(name for _, _, names in os.walk(board.path("engines")) for name in names)


def rows_of(found):
    return {row["name"]: row for row in found["tried"]}


def test_what_tensorrt_builds_is_kept_and_without_it_the_certified_engine_runs_at_once(tmp_path, pictures):
    board = engine_board(str(tmp_path), fake_tensorrt(keeps=True))
    rows = rows_of(must(board, "engines", "--use", "tensorrt-fp16"))
    for name in ("tensorrt-s8", "tensorrt-s8-identity", "tensorrt-fp16"):
        assert rows[name]["lowest_cosine"] >= 0.999 and rows[name]["median_ms"] > 0
    assert built(board) == ["kernel.engine"] * 3
    assert must(board, "run", pictures)["label"] == "cat"
    shutil.rmtree(board.path("engines"))
    line, runtime, environment = command(board.root, "run", pictures)
    said = subprocess.check_output(line, cwd=runtime, env=environment).decode()
    assert said.startswith("engine: cpu-u8, since TensorRT has not built tensorrt-fp16 here\n")
    assert "edgewise engines" in refused(board, "run", pictures, "--engine", "tensorrt-fp16")["remedy"]
    must(board, "engines", "--again")
    assert built(board) == ["kernel.engine"] * 3


def test_an_engine_that_would_be_built_at_each_start_is_not_taken(tmp_path):
    board = engine_board(str(tmp_path), fake_tensorrt(keeps=False))
    assert rows_of(must(board, "engines"))["tensorrt-fp16"]["why"] == "TensorRT kept nothing of what it built"


def test_a_build_that_ends_its_process_is_a_row_of_the_table_and_no_more(tmp_path):
    board = engine_board(str(tmp_path), fake_tensorrt(keeps=True, dies=True))
    rows = rows_of(must(board, "engines"))
    assert rows["tensorrt-s8"]["why"].startswith("ended with -9")
    assert rows["tensorrt-fp16"]["why"] == rows["cpu-u8"]["why"] == ""


def test_a_flash_is_held_against_the_network_in_the_form_in_use(board, pictures, tmp_path):
    must(board, "engines", "--use", "openvino-s8")
    must(board, "teach", pictures, "--label", "wall")
    same, other = float_forms(), dict(float_forms(), **{"model.s8.onnx": b"another network"})

    def flash(counter, files):
        archive = release(str(tmp_path), counter, dict(files, **{"runtime/openvino/__init__.py": FAKE_OPENVINO}))
        install(board, archive, lambda folder: None, lambda archive: refuse_to_set_aside(board, archive))

    with pytest.raises(BoardError) as caught:
        flash(2, other)
    assert "5 examples without pictures (wall 5)" in caught.value.found
    flash(3, same)
    assert engine(board)["name"] == "openvino-s8" and must(board, "learned")["set_aside"] == 0
