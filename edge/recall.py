"""What the store's lessons amount to for a release: the look in force and the head."""

import hashlib
import time
from typing import Callable, NamedTuple, Optional

import numpy as np

from edge.backbone import Backbone, codes_of, retrained, seen
from edge.base import encode
from edge.contract.errors import FormatError, InputError
from edge.contract.spec import ModelSpec
from edge.head import Head
from edge.look import Look, identity, look_sizes
from edge.preprocess import decode_bytes, prepare
from edge.rows import DeepenedRow, Key
from edge.solve import Verdict, solve
from edge.store import Store
from edge.unknown import Unlikeness


class Recalled(NamedTuple):
    network: Backbone  # the release's, or what a deeper pass made of it
    passed: Optional[DeepenedRow]  # that pass
    key: Key
    look: Look
    head: Head
    unlikeness: Unlikeness
    verdict: Verdict
    solve_ms: float


def recall(backbone: Backbone, store: Store) -> Recalled:
    """The look and head now. Examples that kept a picture are coded for them first, if they have not been before.

    Raises FormatError for a look or codes that do not fit the release.
    """
    look = look_in_force(backbone, store)
    key = key_of(backbone, look)
    _code_pictures(store, key, lambda pixels: codes_of(backbone, pixels, look)[0], backbone.spec)
    passed = pass_in_force(backbone, store, look)
    network = backbone
    if passed is not None:
        network = _retrained(backbone, store, passed)
        code_latents(backbone, store, look)
        key = key_of(network, look)
        _follow(network, store, latent_key(backbone, look), key, passed)
    started = time.perf_counter()
    taught = store.taught(key, backbone.spec.features)
    solved = solve(network.base, network.labels, taught, is_retrained=passed is not None)
    return Recalled(network, passed, key, look, *solved, solve_ms=(time.perf_counter() - started) * 1e3)


def look_in_force(backbone: Backbone, store: Store) -> Look:
    """The newest look that was found for this backbone, or the identity."""
    row = store.look(backbone.key)
    channels = backbone.spec.channels
    if row is None:
        return identity(channels)
    if len(row.table) not in look_sizes(channels):
        raise FormatError(
            "the look {} of {} bytes".format(row.name, len(row.table)),
            "{} or {} bytes".format(*look_sizes(channels)),
            "undo it with `edgewise forget --look`",
        )
    return Look(row.name, np.frombuffer(row.table, np.uint8).reshape(-1, 256, channels))


def pass_in_force(backbone: Backbone, store: Store, look: Look) -> Optional[DeepenedRow]:
    """The deeper pass that was made of this network and its examples through this look, if there is one."""
    if backbone.deep is None:
        return None
    return store.deepened_in_force(backbone.deep.key, key_of(backbone, look).look)


def latent_key(backbone: Backbone, look: Look) -> Key:
    """What latents depend on, for a backbone with deep/ files."""
    return Key(backbone.deep.body_key, key_of(backbone, look).look)


def code_latents(backbone: Backbone, store: Store, look: Look) -> None:
    """Keeps latents of the examples that have a picture and no latents for this network and look yet."""

    def latents(pixels: np.ndarray) -> np.ndarray:
        return backbone.deep.latents(seen(backbone, pixels, look))[0].view(np.int8).ravel()

    _code_pictures(store, latent_key(backbone, look), latents, backbone.spec)


def key_of(backbone: Backbone, look: Look) -> Key:
    return Key(backbone.key, hashlib.sha256(look.tables.tobytes()).hexdigest())


def key_under(store: Store, backbone_key: str, channels: int) -> Key:
    """What codes depend on for a backbone that is not loaded: its key and the look that is in force for it."""
    row = store.look(backbone_key)
    table = identity(channels).tables.tobytes() if row is None else row.table
    return Key(backbone_key, hashlib.sha256(table).hexdigest())


def _retrained(backbone: Backbone, store: Store, passed: DeepenedRow) -> Backbone:
    deep = backbone.deep
    if deep.retrained is None or deep.retrained.key != passed.tuned:
        deep.retrained = retrained(backbone, passed.tuned, *store.deepened_parts(passed.id))
    return deep.retrained


def _follow(network: Backbone, store: Store, latents: Key, key: Key, passed: DeepenedRow) -> None:
    """Codes by the retrained network of the examples that have latents, and none of its codes yet."""
    found = []
    for example, latent in store.codes_without(latents, key):
        features = network.engine.features(network.deep.shaped(np.frombuffer(latent, np.uint8)))
        found.append((example, encode(features, network.base.step)[0]))
    if found:
        store.add_codes(key, found, passed)


def _code_pictures(store: Store, key: Key, code: Callable[[np.ndarray], np.ndarray], spec: ModelSpec) -> None:
    """Keeps what `code` makes of each picture, (1, height, width, channels), that has nothing for `key` yet."""
    found = []
    for example, png in store.pictures_without_codes(key):
        try:
            picture = decode_bytes(png, "example {}".format(example))
        except InputError:  # it stays set aside, and `learned check` says why
            continue
        found.append((example, code(prepare(picture, spec)[np.newaxis])))
    if found:
        store.add_codes(key, found)
