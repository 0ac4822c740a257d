"""The peers: onnxruntime's own quantization of a tiny network end to end, and a peer that fails."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from bench.float_model import export_float, float_input, write_calibration
from bench.peer import PTQ_PEERS, Failure, open_file, quantize_ptq


class Tiny(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 8, 3, 2, 1)
        self.classifier = nn.Linear(8, 5)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        features = torch.relu(self.conv(x)).mean((2, 3))
        return features, self.classifier(features)


@pytest.fixture
def given(tmp_path: Path) -> tuple[Tiny, np.ndarray, Path, Path]:
    torch.manual_seed(0)
    network = Tiny().eval()
    pixels = np.random.default_rng(0).integers(0, 256, (24, 16, 16, 3), np.uint8)
    model, calibration = tmp_path / "float.onnx", tmp_path / "calibration.npy"
    export_float(network, (3, 16, 16), model)
    write_calibration(pixels, 8, 0, calibration)
    return network, pixels, model, calibration


def test_the_float_file_answers_as_the_network(given: tuple[Tiny, np.ndarray, Path, Path]) -> None:
    network, pixels, model, _ = given
    run = open_file(model, threads=1)
    assert not isinstance(run, Failure)
    with torch.no_grad():
        expected = network(torch.from_numpy(float_input(pixels)))[1].numpy()
    assert np.abs(run(float_input(pixels)) - expected).max() < 1e-5


def test_every_peer_is_calibrated_on_the_same_pictures(given: tuple[Tiny, np.ndarray, Path, Path]) -> None:
    _, pixels, _, calibration = given
    again = calibration.with_name("again.npy")
    write_calibration(pixels, 8, 0, again)
    first = np.load(calibration)
    assert (first.shape, first.dtype) == ((8, 3, 16, 16), np.float32)
    assert np.array_equal(first, np.load(again))
    assert all((float_input(pixels) == picture).all((1, 2, 3)).any() for picture in first)


def test_onnxruntime_quantizes_the_network_end_to_end(given: tuple[Tiny, np.ndarray, Path, Path]) -> None:
    network, pixels, model, calibration = given
    made = quantize_ptq(PTQ_PEERS[1], model, calibration, model.parent)
    assert not isinstance(made, Failure), made
    run = open_file(made, threads=1)
    assert not isinstance(run, Failure)
    with torch.no_grad():
        expected = network(torch.from_numpy(float_input(pixels)))[1].numpy()
    found = run(float_input(pixels))
    assert 0 < np.abs(found - expected).max() < 0.1


def test_a_peer_that_fails_gives_its_command_and_its_last_line(tmp_path: Path) -> None:
    failed = quantize_ptq(PTQ_PEERS[0], tmp_path / "absent.onnx", tmp_path / "absent.npy", tmp_path)
    assert isinstance(failed, Failure)
    assert failed.command == "python bench/peers/onnxruntime_ptq.py absent.onnx absent.npy s8s8.onnx s8s8"
    assert "absent.onnx" in failed.last_line
    assert str(failed) == f"failed: `{failed.command}`: {failed.last_line}"


def test_a_file_that_no_engine_opens_is_a_failure(tmp_path: Path) -> None:
    (tmp_path / "broken.onnx").write_bytes(b"no model")
    failed = open_file(tmp_path / "broken.onnx", threads=1)
    assert isinstance(failed, Failure)
    assert failed.command == "open broken.onnx"
