"""What a start loads, and what it leaves to later, to others or alone."""

import gc
import os
import subprocess
import sys
import threading

import numpy as np
import pytest
from tiny_board import command, tiny_board

from edge.__main__ import _load
from edge.command_line import make_parser
from edge.contract.errors import FormatError
from edge.opening import OpeningEngine

PIXELS = np.zeros((2, 8, 8, 1), np.uint8)


class Doubling:
    """Stands for an engine."""

    def run(self, pixels):
        return pixels * 2, pixels

    def end_profile(self):
        return "profile.json", 7


def test_an_engine_is_opened_while_its_caller_goes_on_and_then_answers_as_itself():
    goes_on = threading.Event()

    def make():
        assert goes_on.wait(60)
        return Doubling()

    engine = OpeningEngine(make)
    goes_on.set()
    assert [each.tolist() for each in engine.run(PIXELS + 1)] == [(PIXELS + 2).tolist(), (PIXELS + 1).tolist()]
    assert engine.end_profile() == ("profile.json", 7)


def test_whoever_runs_an_engine_that_does_not_open_hears_why_each_time():
    def make():
        raise FormatError("model.u8.onnx", "an ONNX model", "make it again")

    engine = OpeningEngine(make)
    for _ in range(2):
        with pytest.raises(FormatError, match="an ONNX model"):
            engine.run(PIXELS)


@pytest.mark.parametrize("words", [[], ["0", "--web"], ["film.mp4", "--json", "--teach", "cup", "--max-fps", "5"]])
def test_run_is_read_alike_with_and_without_the_other_verbs(words):
    line = ["--board", "board", "run"] + words
    assert make_parser(only_run=True).parse_args(line) == make_parser().parse_args(line)


def test_garbage_is_collected_again_once_modules_are_loaded():
    _load("edge.tally")
    assert gc.isenabled()


def test_a_board_keeps_nothing_for_onnxruntimes_maker_and_starts_no_thread_for_it(tmp_path):
    root = tiny_board(str(tmp_path))
    home = tmp_path / "home"
    home.mkdir()
    _, runtime, environment = command(root)
    threads = (
        "import os, sys; from edge.__main__ import _settle_environment; _settle_environment();"
        "import cv2, numpy; before = os.listdir('/proc/self/task');"
        "import onnxruntime; print(len(os.listdir('/proc/self/task')) - len(before))"
    )
    done = subprocess.check_output(
        [sys.executable, "-B", "-c", threads], cwd=runtime, env=dict(environment, HOME=str(home))
    )
    assert done.strip() == b"0"
    assert os.listdir(str(home)) == []
