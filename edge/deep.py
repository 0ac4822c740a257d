"""The deep/ files of a release: its network in two, of which this board may retrain the second.

The body is the first layers of the u8 file, integers; what it gives, the latents, are codes too. The tail is the last
blocks in float, whose weights are an input. What they were before any pass, and latents of pictures to train and to
judge with, are in replay.npz.
"""

import hashlib
from typing import Any, NamedTuple, Optional, Tuple

import numpy as np

from edge.contract.errors import FormatError
from edge.contract.manifest import Manifest
from edge.contract.spec import ModelSpec
from edge.engine import open_session
from edge.release import Release

BODY, TAIL, STEP, REPLAY = FILES = ("deep/body.onnx", "deep/tail.onnx", "deep/step.onnx", "deep/replay.npz")
_BATCH_PIXELS = 1 << 16  # of pictures at once in the body, as edge.engine has it
_BATCH_BYTES = 1 << 16  # of latents at once in the tail, whose own tensors are some times as large


class Replay(NamedTuple):
    """Latents are (N, C, H, W) uint8 codes with zero point 128; targets (N,) int64, below the release's classes."""

    weights: np.ndarray  # (P,) float32: the tail's before any pass
    train_latents: np.ndarray  # of training pictures
    train_targets: np.ndarray
    choose_latents: np.ndarray  # choices rest on them
    choose_targets: np.ndarray
    report_latents: np.ndarray  # no choice touches them
    report_targets: np.ndarray
    report_answers: np.ndarray  # (R,) int64: what the release's network says of `report`


class Deep:
    """The two parts, each opened when it is first needed. Not for more than one thread at a time."""

    def __init__(self, folder: str, key: str, body_key: str, spec: ModelSpec, threads: int = 1) -> None:
        """folder: the release's; key: see deep_key; body_key: what latents depend on, the hash of the body."""
        self.key = key
        self.body_key = body_key
        self.spec = spec
        self.retrained: Any = None  # the network of the pass last in force, which takes a while to open
        self._folder = folder
        self._threads = threads
        self._body: Any = None
        self._tail: Any = None

    def latents(self, pixels: np.ndarray) -> np.ndarray:
        """pixels: (N, height, width, channels) uint8 as the look gives them. Returns (N, C, H, W) uint8."""
        if self._body is None:
            self._body = self.open(BODY)
        name = self._body.get_inputs()[0].name
        batch = max(1, _BATCH_PIXELS // (pixels.shape[1] * pixels.shape[2]))
        parts = [self._body.run(None, {name: pixels[i : i + batch]})[0] for i in range(0, len(pixels), batch)]
        return np.concatenate(parts)

    def answers(self, weights: np.ndarray, latents: np.ndarray) -> Tuple[np.ndarray, np.ndarray]:
        """weights: (P,) float32; latents: (N, C, H, W) uint8, N above 0. Returns features (N, D), logits (N, slots)."""
        tail = self._opened_tail()
        batch = max(1, _BATCH_BYTES // latents[0].nbytes)
        sizes = {each.name: each.shape[1] for each in tail.get_outputs()}
        features, logits = (np.empty((len(latents), sizes[name]), np.float32) for name in ("features", "logits"))
        for i in range(0, len(latents), batch):  # what a run gives is copied: kept, it pins the run's freed memory
            part = slice(i, i + batch)
            given = {"weights": weights, "latents": latents[part]}
            features[part], logits[part] = tail.run(["features", "logits"], given)
        return features, logits

    @property
    def weight_count(self) -> int:
        return self._opened_tail().get_inputs()[0].shape[0]

    @property
    def latent_count(self) -> int:
        """Codes of one picture."""
        return int(np.prod(self._opened_tail().get_inputs()[1].shape[1:]))

    def shaped(self, codes: np.ndarray) -> np.ndarray:
        """codes: (N, latent_count) of any type of one byte. Returns them as latents, (N, C, H, W) uint8."""
        return codes.view(np.uint8).reshape([-1] + self._opened_tail().get_inputs()[1].shape[1:])

    @property
    def slots(self) -> int:
        """Columns of the tail's classifier: the release's classes, then spare ones."""
        return self._opened_tail().get_outputs()[1].shape[1]

    def open(self, name: str) -> Any:
        """An onnxruntime session of one of the files. Raises FormatError."""
        arena = name == STEP  # whose batches are all alike; the tail's are not, and an arena would keep the largest
        return open_session("{}/{}".format(self._folder, name), self._threads, arena=arena)

    def _opened_tail(self) -> Any:
        if self._tail is None:
            self._tail = self.open(TAIL)
        return self._tail

    def replay(self) -> Replay:
        """Raises FormatError for a file that is not what `edgewise quantize --deeper` wrote."""
        import zipfile  # as in edge/base.py

        path = "{}/{}".format(self._folder, REPLAY)
        try:
            with np.load(path, allow_pickle=False) as file:
                replay = Replay(**{name: file[name] for name in file.files})
        except (OSError, ValueError, KeyError, TypeError, EOFError, zipfile.BadZipFile) as error:
            raise _bad("{}: {}".format(path, str(error).split("\n")[0])) from None
        good = replay.weights.dtype == np.float32 and replay.weights.ndim == 1
        for latents, targets in (replay[1:3], replay[3:5], replay[5:7]):
            good = good and latents.dtype == np.uint8 and latents.ndim == 4 and len(latents) == len(targets) > 0
            good = good and targets.dtype == np.int64 and targets.min() >= 0 and targets.max() < self.spec.classes
        if not good or len(replay.report_answers) != len(replay.report_targets):
            raise _bad("{} holds other arrays".format(path))
        return replay


class TunedEngine:
    """Stands for the u8 file after a pass: the body's integers, then the tail with the weights that the pass found."""

    def __init__(self, deep: Deep, weights: np.ndarray) -> None:
        self._deep = deep
        self._weights = weights

    def features(self, latents: np.ndarray) -> np.ndarray:
        """latents: (N, C, H, W) uint8, N above 0. Returns (N, D) float32."""
        return self._deep.answers(self._weights, latents)[0]

    def run(self, pixels: np.ndarray) -> Tuple[np.ndarray, np.ndarray]:
        """As Engine.run; the logits have spare columns behind those of the release's classes."""
        return self._deep.answers(self._weights, self._deep.latents(pixels))


def open_deep(release: Release, threads: int = 1) -> Optional[Deep]:
    """The release's deep/ files, or None if it has none."""
    key = deep_key(release.manifest)
    if key is None:
        return None
    return Deep(release.path, key, release.manifest.files[BODY].sha256, release.manifest.model, threads)


def deep_key(manifest: Manifest) -> Optional[str]:
    """What a pass depends on: hex sha256 of the hashes of the network and of the deep/ files. None if it has none."""
    if any(name not in manifest.files for name in FILES):
        return None
    hashes = "".join(manifest.files[name].sha256 for name in ("model.u8.onnx",) + FILES)
    return hashlib.sha256(hashes.encode("ascii")).hexdigest()


def _bad(found: str) -> FormatError:
    return FormatError(found, "what `edgewise quantize --deeper` wrote", "pack or flash the release again")
