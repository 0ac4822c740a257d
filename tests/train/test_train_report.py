"""report.html of a run and what it is made of: shares, calibration, heat. Ctrl-C and a full disk, by the command."""

import json
import os
import re
import resource
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from page_reader import Tree
from torch import Tensor, nn

from edge.contract.errors import FormatError
from train.answers import ANSWERS, Answers, read_answers, write_answers
from train.charts import Line, ShareBar, line_chart, share_chart
from train.data import DataSet, Pictures, load_data
from train.gradcam import draw_heat, grad_cam
from train.loop import train
from train.measures import Share, calibration, class_scores
from train.network import NETWORKS, build_network
from train.predict import predict
from train.recipe import load_recipe
from train.run_folder import load_run
from train.run_page import surest_mistakes, write_run_page

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def digits() -> DataSet:
    data = load_data("digits", seed=0)
    few = Pictures(data.train.pixels[:160], data.train.targets[:160])
    return replace(data, train=few, labels=("<0>", *data.labels[1:]))


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory, digits: DataSet) -> Path:
    folder = tmp_path_factory.mktemp("runs") / "run"
    train(digits, replace(load_recipe("small"), epochs=2, min_steps=0, batch=32), folder)
    return folder


def answers(*rows: tuple[int, list[float]]) -> Answers:
    """Each: what it is, and the probabilities that the network gives."""
    logits = np.log(np.maximum(np.array([probabilities for _, probabilities in rows], np.float32), 1e-30))
    return Answers(np.array([target for target, _ in rows]), logits)


def test_the_page_is_whole_in_one_file_and_says_what_the_run_is_worth(finished: Path, digits: DataSet) -> None:
    write_run_page(finished, digits, "edgewise train digits --out 'my run'")
    page = (finished / "report.html").read_text()
    tree = Tree()
    tree.feed(page)
    assert tree.open == []
    links = [value for _, attributes in tree.seen for name, value in attributes.items() if name in ("src", "href")]
    assert links and all(link.startswith("data:image/bmp;base64,") for link in links)
    assert not [tag for tag, _ in tree.seen if tag in ("script", "link", "iframe")]
    report = json.loads((finished / "train.json").read_text())
    assert f"{100 * report['test_accuracy']:.2f} % of 359 test pictures" in page
    assert "edgewise train digits --out &#x27;my run&#x27;" in page and torch.__version__ in page
    assert "&lt;0&gt;" in page and "<0>" not in page
    assert "learning_rate: 0.15" in page
    mistake = surest_mistakes(read_answers(finished, 10)["test"])[0]
    assert digits.test.names[mistake] in page and digits.test.names[mistake].startswith("digits[")


def test_pages_of_the_same_run_are_the_same(finished: Path, digits: DataSet) -> None:
    write_run_page(finished, digits, "edgewise train")
    first = (finished / "report.html").read_bytes()
    write_run_page(finished, digits, "edgewise train")
    assert (finished / "report.html").read_bytes() == first


def test_a_run_that_was_stopped_in_its_first_epoch_has_a_page_that_says_so(tmp_path: Path, digits: DataSet) -> None:
    asked = iter(range(100))
    recipe = replace(load_recipe("small"), epochs=2, min_steps=0, batch=32)
    train(digits, recipe, tmp_path, stop=lambda: next(asked) >= 3)
    write_run_page(tmp_path, digits, "edgewise train")
    page = (tmp_path / "report.html").read_text()
    assert "Stopped after 0 of 2 epochs" in page and 'class="verdict bad"' in page


def test_answers_read_back_as_they_were_and_damaged_ones_are_refused(finished: Path, tmp_path: Path) -> None:
    run, found = load_run(finished), read_answers(finished, 10)
    assert found["test"].accuracy == json.loads((finished / "train.json").read_text())["test_accuracy"]
    with pytest.raises(FormatError, match="is damaged"):
        read_answers(finished, 9)
    assert len(run.labels) == 10
    whole = (finished / ANSWERS).read_bytes()
    for content in (b"", whole[:50], whole[:-4]):
        (tmp_path / ANSWERS).write_bytes(content)
        with pytest.raises(FormatError):
            read_answers(tmp_path, 10)
    (tmp_path / ANSWERS).unlink()
    with pytest.raises(FormatError, match="is missing"):
        read_answers(tmp_path, 10)
    endless = replace(found["val"], logits=found["val"].logits * np.float32("nan"))
    write_answers(tmp_path, {"val": endless, "test": found["test"]})
    with pytest.raises(FormatError, match="is damaged"):
        read_answers(tmp_path, 10)


def test_recall_and_precision_are_of_the_class_and_of_what_is_called_so() -> None:
    found = class_scores(answers((0, [0.9, 0.1, 0]), (0, [0.2, 0.8, 0]), (1, [0.3, 0.7, 0]), (1, [0.3, 0.7, 0])))
    assert [(score.recall, score.precision) for score in found] == [
        (Share(1, 2), Share(1, 1)),
        (Share(2, 2), Share(2, 3)),
        (Share(0, 0), Share(0, 0)),
    ]
    assert str(Share(0, 0)) == "none" and str(Share(8, 10)) == "80.0 % (49.0 to 94.3)"  # Newcombe (1998), method 3


def test_the_calibration_error_is_the_distance_of_probability_and_share_weighted_by_pictures() -> None:
    sure, unsure = (0, [0.95, 0.05]), (0, [0.4, 0.6])
    found = calibration(answers(sure, sure, sure, unsure))
    assert [(b.pictures, b.accuracy) for b in found.bins] == [(1, 0.0), (3, 1.0)]
    assert found.error == pytest.approx(0.25 * 0.6 + 0.75 * 0.05, abs=1e-6)
    assert calibration(answers((0, [1, 0]), (1, [0, 1]))).error == 0


@given(st.integers(0, 2**31), st.integers(1, 60), st.integers(2, 5))
@settings(max_examples=25, deadline=None)
def test_every_picture_is_in_one_bin_and_the_error_is_a_share(seed: int, pictures: int, classes: int) -> None:
    random = np.random.default_rng(seed)
    logits = (5 * random.normal(size=(pictures, classes))).astype(np.float32)
    found = calibration(Answers(random.integers(classes, size=pictures), logits))
    assert sum(b.pictures for b in found.bins) == pictures
    assert 0 <= found.error <= 1
    assert all(b.low - 1e-9 <= b.probability <= b.high + 1e-9 for b in found.bins)
    assert found.error >= abs(found.probability - found.accuracy) - 1e-9


def test_mistakes_come_the_surest_first() -> None:
    found = answers((0, [0.4, 0.6]), (0, [0.9, 0.1]), (1, [0.8, 0.2]), (0, [0.3, 0.7]))
    assert surest_mistakes(found).tolist() == [2, 3, 0]


class Corner(nn.Module):
    """Its first class is how bright the upper left corner is, its second how bright the lower right one is."""

    def __init__(self) -> None:
        super().__init__()
        self.map = nn.AvgPool2d(4)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        mapped = self.map(x) + 1
        features = torch.stack([mapped[:, 0, 0, 0], mapped[:, 0, -1, -1]], 1)
        return features, features


def test_the_heat_lies_where_the_answer_comes_from() -> None:
    pixels = np.zeros((2, 16, 16, 1), np.uint8)
    pixels[:, :8, :8] = 255
    pixels[1] = pixels[1, ::-1, ::-1]
    heat = grad_cam(Corner(), pixels, np.array([0, 1]))
    assert heat is not None and heat.shape == (2, 16, 16) and heat.dtype == np.float32
    assert np.allclose(heat[0], heat[1, ::-1, ::-1], atol=1e-6)
    assert heat[0, :4, :4].min() > 3 * heat[0, 8:, 8:].max() and heat.max() == 1
    drawn = draw_heat(pixels[0], heat[0])
    assert drawn.shape == (16, 32, 3) and (drawn[:, :16] == pixels[0]).all()
    assert (drawn[:4, 16:20] != 255).any()


@pytest.mark.parametrize("name", NETWORKS)
def test_every_network_has_a_map_for_the_heat(name: str) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (2, 64, 64, 3), dtype=np.uint8)
    heat = grad_cam(build_network(name, 3, 4, (64, 64)), pixels, np.array([1, 3]))
    assert heat is not None and heat.shape == (2, 64, 64)
    assert (heat >= 0).all() and (heat <= 1).all()


def test_a_network_without_a_map_of_places_has_no_heat() -> None:
    network = nn.Sequential(nn.Flatten(), nn.Linear(64, 3))
    network.forward = lambda x, run=network.forward: (run(x), run(x))
    assert grad_cam(network, np.zeros((1, 8, 8, 1), np.uint8), np.array([0])) is None


def numbers(chart: str) -> list[float]:
    return [float(text) for text in re.findall(r'text-anchor="(?:end|middle)">([^<]*)<', chart)]


def test_charts_have_round_numbers_and_a_text_for_each_point() -> None:
    chart = line_chart([Line("a <b>", [0.5, 0.25, 0.125]), Line("c", [1.9, 0.3, 0.2])], "Loss & more", 0, 0)
    assert numbers(chart) == [0, 0.5, 1, 1.5, 1, 2, 3]
    assert "a &lt;b&gt;, epoch 3: 0.125" in chart and 'aria-label="Loss &amp; more"' in chart
    assert numbers(line_chart([Line("one epoch", [98.25])], "", 98.25, 100)) == [98.5, 99, 99.5, 100, 1, 2]
    shares = share_chart([ShareBar(0.8, 0.9, 0.5, "half")], "")
    assert numbers(shares) == [0, 0.2, 0.4, 0.6, 0.8, 1] * 2 and "half" in shares


@given(st.lists(st.floats(0, 1e12), min_size=1, max_size=40))
@settings(max_examples=50, deadline=None)
def test_every_point_of_a_chart_is_within_it(values: list[float]) -> None:
    chart = line_chart([Line("loss", values)], "", 0, 0)
    centres = re.findall(r'cx="([-0-9.einf]+)" cy="([-0-9.einf]+)"', chart)
    assert len(centres) == len(values)
    assert all(0 <= float(x) <= 450 and 0 <= float(y) <= 240 for x, y in centres)


def started(*arguments: str, folder: Path, **options: object) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "edgewise", *arguments]
    where = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    return subprocess.Popen(command, cwd=folder, env=where, **pipes, **options)  # type: ignore[call-overload]


@pytest.mark.slow
def test_ctrl_c_keeps_what_was_learnt_and_resume_goes_on(tmp_path: Path) -> None:
    training = ("train", "digits", "--out", "run", "--epochs", "3", "--json")
    running = started(*training, folder=tmp_path)
    deadline = time.monotonic() + 120
    while not (tmp_path / "run/metrics.jsonl").exists() and running.poll() is None and time.monotonic() < deadline:
        time.sleep(0.02)
    running.send_signal(signal.SIGINT)
    out, errors = running.communicate(timeout=120)
    fields = json.loads(out)
    assert running.returncode == 0 and fields["epochs"] in (1, 2) and fields["planned_epochs"] == 3
    assert "a second Ctrl-C gives that up" in errors
    assert "what was learnt can be quantized, and --resume goes on" in errors
    assert load_run(tmp_path / "run").labels == tuple("0123456789")
    out, errors = started(*training, "--resume", folder=tmp_path).communicate(timeout=120)
    assert json.loads(out)["epochs"] == 3 and "report.html to look at" in errors
    assert "train digits --out run --epochs 3 --json --resume" in (tmp_path / "run/report.html").read_text()


def test_a_disk_that_fills_is_one_clear_line_and_leaves_what_was_there(tmp_path: Path) -> None:
    def small_files() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, 1_000_000))  # a checkpoint has 2 MB

    running = started("train", "digits", "--out", "run", "--epochs", "1", folder=tmp_path, preexec_fn=small_files)
    out, errors = running.communicate(timeout=120)
    assert (running.returncode, out) == (1, "")
    assert re.fullmatch(r"edgewise: run cannot be written \(File too large\); expected .*; make room .*\n", errors)
    left = {path.name for path in (tmp_path / "run").iterdir()}
    assert left == {"data.json", "labels.txt", "recipe.yaml", "spec.json", "tb"}


def test_a_networks_own_probabilities_are_the_softmax_of_its_logits(finished: Path, digits: DataSet) -> None:
    _, logits = predict(load_run(finished).network, digits.test.pixels)
    wanted = torch.softmax(torch.from_numpy(logits).double(), 1).numpy()
    assert np.allclose(read_answers(finished, 10)["test"].probabilities, wanted, atol=1e-12)
