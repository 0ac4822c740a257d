"""What the store's lessons amount to for a release: the look in force and the head."""

import hashlib
import time
from typing import NamedTuple

import numpy as np

from edge.backbone import Backbone, codes_of
from edge.contract.errors import FormatError, InputError
from edge.head import Head
from edge.look import Look, identity, look_sizes
from edge.preprocess import decode_bytes, prepare
from edge.solve import Verdict, solve
from edge.store import Key, Store
from edge.unknown import Unlikeness


class Recalled(NamedTuple):
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
    _code_pictures(backbone, store, look, key)
    started = time.perf_counter()
    solved = solve(backbone.base, backbone.prior, backbone.labels, store.taught(key, backbone.spec.features))
    return Recalled(key, look, *solved, solve_ms=(time.perf_counter() - started) * 1e3)


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


def key_of(backbone: Backbone, look: Look) -> Key:
    return Key(backbone.key, hashlib.sha256(look.tables.tobytes()).hexdigest())


def key_under(store: Store, backbone_key: str, channels: int) -> Key:
    """What codes depend on for a backbone that is not loaded: its key and the look that is in force for it."""
    row = store.look(backbone_key)
    table = identity(channels).tables.tobytes() if row is None else row.table
    return Key(backbone_key, hashlib.sha256(table).hexdigest())


def _code_pictures(backbone: Backbone, store: Store, look: Look, key: Key) -> None:
    found = []
    for example, png in store.pictures_without_codes(key):
        try:
            picture = decode_bytes(png, "example {}".format(example))
        except InputError:  # it stays set aside, and `learned check` says why
            continue
        pixels = prepare(picture, backbone.spec)[np.newaxis]
        found.append((example, codes_of(backbone, pixels, look)[0]))
    if found:
        store.add_codes(key, found)
