"""One run measured: FP32, ours and every peer, from the same weights, calibration pictures and test pictures."""

import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bench.float_model import export_float, float_input, write_calibration
from bench.peer import PTQ_PEERS, QAT_PEER, Failure, open_file, quantize_ptq, quantize_qat
from edge.engine import Engine
from train.run_folder import Run

FP32, OURS = "FP32", "edgewise"
Answers = NDArray[np.int64]  # (N,), the class of the highest logit

_BATCH = 25
_THREADS = 2  # of quantizing and scoring; latency is measured by one


@dataclass(frozen=True)
class Settings:
    """How much is measured. The same calibration pictures go to every peer."""

    calibration_pictures: int
    test_pictures: int  # at most
    seeds: int  # runs of a group, at most
    qat_steps: int  # of training for the QAT peer, on the first seed; 0 leaves it out
    rounds: int  # of interleaved timing
    seed: int = 0

    def __str__(self) -> str:
        return (
            f"{self.calibration_pictures} calibration pictures, at most {self.test_pictures} test pictures, "
            f"at most {self.seeds} seeds, {self.qat_steps} steps of torchao's QAT on the first, seed {self.seed}"
        )


@dataclass(frozen=True)
class Given:
    """A run, and the pixels (N, H, W, C) uint8 that everybody is calibrated on and tested with."""

    run: Run
    calibration: NDArray[np.uint8]
    test: NDArray[np.uint8]
    targets: NDArray[np.int64] | None = None  # of the test pictures; an imported network has none

    @property
    def ours(self) -> Path:
        return self.run.folder / "int8" / "model.u8.onnx"


Made = dict[str, Path | Failure]


@contextmanager
def quantized(given: Given, settings: Settings, with_qat: bool, progress: Callable[[int, int], None]) -> Iterator[Made]:
    """The FP32 file and each peer's by name, while the block lasts."""
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        float_model, calibration = folder / "float.onnx", folder / "calibration.npy"
        spec = given.run.spec
        export_float(given.run.network, (spec.channels, spec.height, spec.width), float_model)
        write_calibration(given.calibration, settings.calibration_pictures, settings.seed, calibration)
        with ThreadPoolExecutor(_THREADS) as pool:
            jobs = {p.name: pool.submit(quantize_ptq, p, float_model, calibration, folder) for p in PTQ_PEERS}
            if with_qat:
                jobs[QAT_PEER.name] = pool.submit(quantize_qat, QAT_PEER, given.run.folder, settings.qat_steps, folder)
            made: Made = {FP32: float_model}
            for done, (name, job) in enumerate(jobs.items(), 1):
                made[name] = job.result()
                progress(done, len(jobs))
        yield made


def answers(given: Given, made: Made) -> dict[str, Answers | Failure]:
    """What FP32, ours and each peer say to the test pictures."""
    found: dict[str, Answers | Failure] = {OURS: _ours(given)}
    for name, path in made.items():
        found[name] = path if isinstance(path, Failure) else _theirs(path, given.test)
    return found


def percent_equal(first: NDArray[np.int64], second: NDArray[np.int64]) -> float:
    return float(100 * (first == second).mean())


def _ours(given: Given) -> Answers:
    engine = Engine(str(given.ours), threads=_THREADS)
    return np.concatenate([engine.run(part)[1].argmax(1) for part in _batches(given.test)])


def _theirs(path: Path, pixels: NDArray[np.uint8]) -> Answers | Failure:
    engine = open_file(path, _THREADS)
    if isinstance(engine, Failure):
        return engine
    try:
        return np.concatenate([engine(float_input(part)).argmax(1) for part in _batches(pixels)])
    except Exception as error:  # noqa: BLE001  a peer's fault of any kind is a row of the table, not ours
        return Failure(f"run {path.name}", str(error).strip().splitlines()[-1])


def _batches(pixels: NDArray[np.uint8]) -> list[NDArray[np.uint8]]:
    return [pixels[start : start + _BATCH] for start in range(0, len(pixels), _BATCH)]
