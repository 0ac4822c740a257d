"""A world without downloads for the tests of learning: letters drawn by OpenCV, seen by fixed random features."""

import cv2
import numpy as np

from edge.backbone import Backbone
from edge.base import Rows, make_base
from edge.contract.spec import ModelSpec

SIDE, FEATURES = 20, 64
LETTERS = "ACHLTXZ"  # the last one is for teaching
KNOWN = tuple(LETTERS[:-1])
SPEC = ModelSpec("glyphs", SIDE, SIDE, 1, FEATURES, len(KNOWN))


def draw(letter, count, seed):
    """`count` jittered white letters on black: (count, SIDE, SIDE, 1) uint8."""
    random = np.random.RandomState(seed * 1000 + ord(letter))
    pictures = []
    for _ in range(count):
        canvas = np.zeros((SIDE * 4, SIDE * 4), np.uint8)
        place = (int(random.randint(12, 22)), int(random.randint(58, 68)))
        cv2.putText(canvas, letter, place, cv2.FONT_HERSHEY_SIMPLEX, 1.9, 255, int(random.randint(6, 11)))
        turn = cv2.getRotationMatrix2D((SIDE * 2, SIDE * 2), random.uniform(-8, 8), 1)
        small = cv2.resize(cv2.warpAffine(canvas, turn, (SIDE * 4, SIDE * 4)), (SIDE, SIDE), interpolation=3)
        pictures.append(np.clip(small + random.randn(SIDE, SIDE) * 6, 0, 255))
    return np.array(pictures).astype(np.uint8)[..., np.newaxis]


def on_paper(pixels, seed):
    """The same letters as dark ink on grey paper."""
    noise = np.random.RandomState(seed).randn(*pixels.shape) * 6
    return np.clip(170 - pixels * 0.5 + noise, 0, 255).astype(np.uint8)


def known_letters(count, seed):
    """`count` pictures of each known letter, and their targets."""
    return (
        np.concatenate([draw(letter, count, seed) for letter in KNOWN]),
        np.repeat(np.arange(len(KNOWN)), count),
    )


class RandomFeatures:
    """Stands for the engine: a random projection, rectified."""

    def __init__(self):
        self._projection = np.random.RandomState(0).randn(SIDE * SIDE, FEATURES).astype(np.float32) / SIDE

    def run(self, pixels):
        flat = (pixels.reshape(len(pixels), -1).astype(np.float32) - 128) / 128
        features = np.maximum(np.dot(flat, self._projection), 0)
        return features, features[:, : len(KNOWN)]


def make_glyph_base():
    """The base of a network that was trained on the known letters."""
    engine = RandomFeatures()
    pixels, targets = known_letters(40, seed=1)
    features = engine.run(pixels)[0]
    rows = np.concatenate([features, np.ones((len(features), 1), np.float32)], axis=1)
    gram = np.dot(rows.T, rows) + 0.01 * np.eye(FEATURES + 1)
    fitted = np.linalg.solve(gram, np.dot(rows.T, np.eye(len(KNOWN))[targets]))
    held_out = []
    for seed in (2, 5):
        held_pixels, held_targets = known_letters(20, seed)
        held_out.append(Rows(engine.run(held_pixels)[0], held_targets))
    return make_base(Rows(features, targets), *held_out, weights=fitted[:-1] * 10, bias=fitted[-1] * 10, seed=0)


def make_glyph_backbone(key="first"):
    base = make_glyph_base()
    return Backbone(KNOWN, SPEC, RandomFeatures(), base, key)
