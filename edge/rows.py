"""What the store of lessons holds, a record for each kind of row."""

from typing import NamedTuple, Optional, Tuple

import numpy as np


class Key(NamedTuple):
    """What codes depend on: sha256 of the network and of the look before it."""

    backbone: str
    look: str


class NewExample(NamedTuple):
    source: str
    codes: np.ndarray  # (D,) int8
    picture: Optional[bytes]  # PNG of what the network saw, before the look
    latents: Tuple[Tuple[Key, bytes], ...] = ()  # codes by the body of a network that can be retrained, if it is one


class ExampleRow(NamedTuple):
    id: int
    lesson: int
    label: str
    person: str  # who taught it, or ""
    taken: str  # UTC, as 2026-11-22T05:41:00Z
    source: str
    has_picture: bool
    used: bool  # has codes for the present key


class LookRow(NamedTuple):
    id: int
    lesson: int
    backbone: str
    name: str
    table: bytes  # (1 or 2, 256, channels) uint8
    why: str
    taken: str


class DeepenedRow(NamedTuple):
    """A deeper pass that was kept: other weights for the last blocks of a network."""

    id: int
    lesson: int
    network: str  # edge.deep.deep_key of the network and its files
    look: str  # sha256 of the look that the examples were seen through
    tuned: str  # the key of the network with these weights, under which it has codes
    why: str
    taken: str


class NoticedRow(NamedTuple):
    """A scene that a film showed: not an example, until a person says what it is."""

    id: int
    question: bool  # else the network was sure
    label: str  # the likeliest
    rival: str  # the second likeliest
    score: float  # probability of `label`
    margin: float  # between the two probabilities
    taken: str
    source: str
    has_picture: bool


class WholeExample(NamedTuple):
    """An example with all that is kept of it, as it is exported and imported."""

    label: str
    person: str
    taken: str
    source: str
    picture: Optional[bytes]
    codes: Tuple[Tuple[Key, bytes], ...]  # int8, by key
