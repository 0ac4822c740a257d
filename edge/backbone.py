"""The frozen part of a release on this board: pixels -> features -> codes. Learning never changes it."""

import hashlib
import io
from typing import Any, List, NamedTuple, Optional, Tuple

import numpy as np

from edge.base import Base, encode, parse_base, read_base
from edge.contract.errors import FormatError
from edge.contract.spec import ModelSpec
from edge.deep import Deep, TunedEngine, open_deep
from edge.engine import Engine, run_in_batches
from edge.head import even
from edge.leverage import leverage
from edge.look import Look, apply_table
from edge.opening import OpeningEngine
from edge.optimized import open_certified
from edge.release import Release


class Backbone(NamedTuple):
    labels: Tuple[str, ...]  # of the release
    spec: ModelSpec
    engine: Engine
    base: Base
    key: str  # see backbone_key
    deep: Optional[Deep] = None  # what the deeper pass needs, if the release has it
    form: str = "u8"  # of edge.contract.spec.FORMS, that the engine runs


def open_backbone(
    release: Release, threads: int = 1, form: str = "u8", engine: Any = None, profile: Optional[str] = None
) -> Backbone:
    """Loads the network and head.npz of `release`. Raises FormatError; for the network itself, its first run does.

    engine: opened with the file of that form; without one the CPU runs the u8 file, opened meanwhile. profile: as for
    edge.engine.open_session().
    """
    engine = engine or OpeningEngine(lambda: open_certified(release, threads, profile))
    spec = release.manifest.model
    base = read_base(release.file("head.npz"), spec)
    key = backbone_key(release.backbone(form), base.step)
    return Backbone(release.labels, spec, engine, base, key, open_deep(release, threads), form)


def retrained(backbone: Backbone, key: str, weights: bytes, base: bytes) -> Backbone:
    """The network as a deeper pass left it. Raises FormatError for weights or a base that do not fit."""
    deep = backbone.deep
    values = np.frombuffer(weights, np.float32)
    if deep is None or len(values) != deep.weight_count:
        raise FormatError(
            "a deeper pass of {} weights".format(len(values)), "those of the release", "drop it with `forget --deeper`"
        )
    made = parse_base(io.BytesIO(base), "the deeper pass", backbone.spec)
    return Backbone(backbone.labels, backbone.spec, TunedEngine(deep, values), made, key, deep)


def backbone_key(model_sha256: str, step: np.ndarray) -> str:
    """What codes depend on: hex sha256 of the hash of the model's file, of one form, and of the steps, (D,) float32."""
    return hashlib.sha256(model_sha256.encode("ascii") + step.tobytes()).hexdigest()


def seen(backbone: Backbone, pixels: np.ndarray, look: Look) -> np.ndarray:
    """pixels: (N, height, width, channels) uint8 before the look. Returns them as the network gets them.

    Of two tables, each picture gets the one that makes it less strange.
    """
    views = [apply_table(pixels, table) for table in look.tables]
    if len(views) == 1:
        return views[0]
    swap = _second_is_plainer(backbone, [features_of(backbone, view) for view in views])
    return np.where(swap[:, np.newaxis, np.newaxis, np.newaxis], views[1], views[0])


def features_seen(backbone: Backbone, pixels: np.ndarray, look: Look) -> np.ndarray:
    """What `features_of` makes of what `seen` gives, but that no picture goes through the network again. (N, D)."""
    features = [features_of(backbone, apply_table(pixels, table)) for table in look.tables]
    if len(features) == 1:
        return features[0]
    return np.where(_second_is_plainer(backbone, features)[:, np.newaxis], features[1], features[0])


def _second_is_plainer(backbone: Backbone, features: List[np.ndarray]) -> np.ndarray:
    """features: (N, D) through each of two tables. Returns (N,) bool."""
    one, other = (strangeness(backbone, each) for each in features)
    return other < one


def features_of(backbone: Backbone, pixels: np.ndarray) -> np.ndarray:
    """pixels: (N, height, width, channels) uint8 as `seen` gives them, N above 0. Returns (N, D) float32."""
    return run_in_batches(backbone.engine, pixels)[0]


def strangeness(backbone: Backbone, features: np.ndarray) -> np.ndarray:
    """features: (N, D) float32. Returns (N,): leverage, in units of the held-out pictures' median.

    It knows nothing of what was taught, so that what a picture is seen through never changes by a lesson.
    """
    rows = np.concatenate([even(features), np.ones((len(features), 1), np.float32)], axis=1)
    base = backbone.base
    return leverage(base.directions, base.rest, rows) / np.median(base.choose_leverage)


def codes_of(backbone: Backbone, pixels: np.ndarray, look: Look) -> np.ndarray:
    """pixels: (N, height, width, channels) uint8 before the look, N above 0. Returns (N, D) int8."""
    return encode(features_seen(backbone, pixels, look), backbone.base.step)
