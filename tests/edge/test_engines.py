"""Which engines a board has, that none is another one in disguise, and which of them is taken."""

import os

import numpy as np
import onnxruntime
import pytest
from engine_board import float_forms
from release_maker import SPEC
from tiny_board import FILES

from edge.contract.boards import ANY, NAMES
from edge.contract.errors import BoardError, FormatError, GateError, UsageError
from edge.contract.manifest import FileEntry, Manifest
from edge.contract.spec import FORMS
from edge.engine_record import Tried
from edge.engines import CERTIFIED, CUDA, OPENVINO, TENSORRT, candidates, find_kind
from edge.golden import check_golden
from edge.measuring import fastest, take_turns, timed
from edge.open_engine import open_engine, provider_options
from edge.release import Release

# https://github.com/microsoft/onnxruntime, onnxruntime_pybind_state.cc of 1.10: what it knows beside device_id
KNOWN_TO_1_10 = {"trt_max_workspace_size", "trt_fp16_enable", "trt_int8_enable", "trt_engine_cache_enable",
                 "trt_engine_cache_path"}  # fmt: skip


@pytest.fixture
def release(tmp_path):
    """A release folder with the tiny network in every form and its golden vectors."""
    for name, data in float_forms().items():
        (tmp_path / name).write_bytes(data)
    for name, source in (("model.u8.onnx", "tiny.u8.onnx"), ("golden.npz", "tiny.golden.npz")):
        with open(os.path.join(FILES, source), "rb") as file:
            (tmp_path / name).write_bytes(file.read())
    files = {"model.u8.onnx": FileEntry(os.path.getsize(str(tmp_path / "model.u8.onnx")), "0" * 64)}
    return Release(str(tmp_path), Manifest(1, "tiny", "1", 1, "", (ANY,), SPEC, files), ("cat", "dog"))


@pytest.mark.parametrize("name", sorted(set(NAMES) - {ANY, "x86_64", "aarch64"}))
def test_every_board_may_run_the_certified_engine_and_one_of_its_gpu(name):
    kinds = candidates(name, "aarch64")
    assert kinds[-1] == CERTIFIED and TENSORRT in [kind.runs_in for kind in kinds]
    assert {kind.form for kind in kinds} <= set(FORMS)


@pytest.mark.parametrize("name", ["jetson-nano", "jetson-tx1", "jetson-tx2"])
def test_a_gpu_without_int8_is_given_the_float_file_alone(name):
    assert {kind.form for kind in candidates(name, "aarch64") if kind != CERTIFIED} == {"float"}


def test_a_board_that_is_not_in_the_table_has_what_its_processor_has():
    assert [kind.name for kind in candidates("", "aarch64")] == ["cpu-u8"]
    assert [kind.name for kind in candidates("", "riscv64")] == ["cpu-u8"]
    assert OPENVINO in [kind.runs_in for kind in candidates("", "x86_64")]


def test_an_engine_that_nobody_knows_is_wrong_use():
    with pytest.raises(UsageError) as caught:
        find_kind("gpu")
    assert "tensorrt-fp16" in caught.value.expected


def test_tensorrt_is_asked_in_words_that_the_oldest_onnxruntime_reads(tmp_path):
    for name in ("tensorrt-s8", "tensorrt-s8-identity", "tensorrt-fp16"):
        options = provider_options(find_kind(name), str(tmp_path))
        assert set(options) <= KNOWN_TO_1_10 and options["trt_fp16_enable"] == "True"
        assert options["trt_engine_cache_path"] == str(tmp_path)
        assert ("trt_int8_enable" in options) == ("s8" in name)
    assert "trt_engine_cache_enable" not in provider_options(find_kind("tensorrt-fp16"), None)
    assert provider_options(find_kind("cuda-float"), None) == {}


def test_this_onnxruntime_has_no_gpu_and_says_so_instead_of_taking_the_cpu(release):
    if "CUDAExecutionProvider" in onnxruntime.get_available_providers():
        pytest.skip("this onnxruntime was built for CUDA")
    for name in ("tensorrt-fp16", "cuda-float"):
        with pytest.raises(BoardError) as caught:
            open_engine(release, find_kind(name))
        assert caught.value.found.startswith(name + " does not run here")


class Session:
    """onnxruntime's session over the CPU, under the name of the provider that was asked for or of another."""

    taken = None  # the provider that it says it took; None: what was asked for

    def __init__(self, path, options, providers, enable_fallback):
        self.path = path
        self.asked = providers
        self.pictures = []
        self._session = onnxruntime_session(path, options, providers=["CPUExecutionProvider"])

    def get_providers(self):
        return [self.taken or self.asked[0][0], "CPUExecutionProvider"]

    def disable_fallback(self):
        self.alone = True

    def get_inputs(self):
        return self._session.get_inputs()

    def run(self, names, feeds):
        self.pictures += [len(value) for value in feeds.values()]
        return self._session.run(names, feeds)


onnxruntime_session = onnxruntime.InferenceSession


@pytest.fixture
def gpu(monkeypatch):
    """An onnxruntime in which every provider seems to run; a list of the sessions that were made."""
    made = []
    options = onnxruntime.SessionOptions

    class Options(options):
        def add_session_config_entry(self, key, value):
            pass  # that no node may fall to the CPU, which is what runs here

    def session(*arguments, **more):
        made.append(Session(*arguments, **more))
        return made[-1]

    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: [TENSORRT, CUDA])
    monkeypatch.setattr(onnxruntime, "SessionOptions", Options)
    monkeypatch.setattr(onnxruntime, "InferenceSession", session)
    return made


@pytest.mark.parametrize("name, file", [("tensorrt-fp16", "float"), ("tensorrt-s8", "s8"), ("cuda-float", "float"),
                                        ("tensorrt-s8-identity", "s8_identity")])  # fmt: skip
def test_a_gpus_engine_runs_its_file_one_picture_at_a_time_and_holds_golden_vectors(release, gpu, name, file, tmp_path):
    kind = find_kind(name)
    report = check_golden(release, open_engine(release, kind, str(tmp_path / "cache")), kind.form)
    (session,) = gpu
    assert os.path.basename(session.path) == "model.{}.onnx".format(file)
    assert session.asked == [(kind.runs_in, provider_options(kind, str(tmp_path / "cache")))] and session.alone
    assert session.pictures == [1] * report.pictures and report.lowest_cosine >= 0.999


def test_a_provider_that_quietly_gave_way_to_another_is_refused(release, gpu, monkeypatch):
    monkeypatch.setattr(Session, "taken", "CUDAExecutionProvider")
    with pytest.raises(BoardError) as caught:
        open_engine(release, find_kind("tensorrt-fp16"))
    assert "onnxruntime took CUDAExecutionProvider instead" in caught.value.found


def test_a_damaged_file_is_malformed_in_the_certified_engine(release, tmp_path):
    (tmp_path / "model.u8.onnx").write_bytes(b"no model")
    with pytest.raises(FormatError):
        open_engine(release, CERTIFIED)


@pytest.mark.parametrize("name", ["openvino-s8", "openvino-s8-identity"])
def test_openvino_holds_the_golden_vectors(release, name):
    pytest.importorskip("openvino", reason="the package openvino is not installed")
    kind = find_kind(name)
    assert check_golden(release, open_engine(release, kind), kind.form).lowest_cosine >= 0.999


def test_openvino_refuses_a_file_that_is_no_model_in_our_words(release, tmp_path):
    pytest.importorskip("openvino", reason="the package openvino is not installed")
    (tmp_path / "model.s8.onnx").write_bytes(b"no model")
    with pytest.raises(FormatError):
        open_engine(release, find_kind("openvino-s8"))


def test_a_board_without_openvino_is_told_that_it_is_a_package(release, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "openvino", None)
    with pytest.raises(BoardError) as caught:
        open_engine(release, find_kind("openvino-s8"))
    assert "openvino" in caught.value.found and "pip install" in caught.value.remedy


class Timed:
    """Takes `ms` of a clock that only engines move."""

    def __init__(self, clock, ms, seen):
        self.clock, self.ms, self.seen = clock, ms, seen

    def run(self, pixels):
        self.clock[0] += self.ms / 1e3
        self.seen.append((self.ms, int(pixels[0, 0, 0, 0]), pixels.shape))


def test_engines_are_timed_in_turns_over_the_same_pictures_and_none_always_goes_first():
    clock, seen = [0.0], []
    engines = {"a": Timed(clock, 4.0, seen), "b": Timed(clock, 2.0, seen)}
    pixels = np.arange(3, dtype=np.uint8).reshape(3, 1, 1, 1)
    times = take_turns(engines, pixels, lambda: clock[0])
    assert times == {"a": pytest.approx(4.0), "b": pytest.approx(2.0)}
    rounds = [seen[i : i + 2] for i in range(0, len(seen), 2)]
    assert all(one[1] == other[1] and one[0] != other[0] for one, other in rounds)
    assert {one[0] for one, _ in rounds} == {4.0, 2.0} and {each[2] for each in seen} == {(1, 1, 1, 1)}


def test_a_slow_board_is_timed_by_fewer_rounds():
    clock, seen = [0.0], []
    take_turns({"a": Timed(clock, 5000.0, seen)}, np.zeros((1, 1, 1, 1), np.uint8), lambda: clock[0])
    assert len(seen) == 10


def test_engines_that_do_not_fit_into_one_process_are_timed_one_by_one_and_one_that_dies_is_out():
    rows = [tried(name, "float", None, why) for name, why in (("a", ""), ("b", ""), ("c", ""), ("d", "none"))]
    said = []

    def time_engines(*names):
        if len(names) > 1 or names == ("b",):
            raise GateError("ended with -9: ", "", "")
        return {names[0]: 2.0}

    found = timed(rows, time_engines, said.append)
    assert [each.median_ms for each in found] == [2.0, None, 2.0, None]
    assert [each.why for each in found] == ["", "ended with -9: ", "", "none"] and len(said) == 2
    assert timed(rows[:1], time_engines, said.append)[0].median_ms == 2.0 and len(said) == 3


def tried(name, form, ms, why=""):
    return Tried(name, form, why, 5, 5, 1.0, ms)


THREE = [tried("tensorrt-fp16", "float", 4.0), tried("cuda-float", "float", 6.0), tried("cpu-u8", "u8", 20.0)]


def nothing(form):
    return ""


def test_the_fastest_engine_whose_golden_vectors_hold_is_taken_and_the_next_is_named():
    name, why = fastest(THREE, "u8", nothing)
    assert name == "tensorrt-fp16" and "4.00 ms" in why and "cuda-float takes 6.00" in why
    broken = THREE[0]._replace(why="features of picture 0 are off", median_ms=None)
    assert fastest([broken] + THREE[1:], "u8", nothing)[0] == "cuda-float"
    assert fastest(THREE[2:], "u8", nothing) == ("cpu-u8", "no other engine's golden vectors hold here")


def test_lessons_that_would_be_set_aside_keep_the_form_and_the_reason_says_what_it_costs():
    name, why = fastest(THREE, "u8", lambda form: "3 examples without pictures (cup 3)")
    assert name == "cpu-u8" and "tensorrt-fp16 takes 4.00 ms, not 20.00" in why and "cup 3" in why
    assert fastest(THREE, "float", lambda form: "3 examples")[0] == "tensorrt-fp16"
