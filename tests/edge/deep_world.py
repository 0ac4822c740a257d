"""A network that can be retrained, from files that files/make_deep.py wrote, and patches that it knows or does not.

The pictures are drawn by numpy alone, since OpenCV's letters differ from version to version.
"""

import os

import numpy as np

from edge.backbone import Backbone
from edge.base import Rows, make_base
from edge.contract.spec import ModelSpec
from edge.deep import Deep
from edge.engine import Engine, run_in_batches

FOLDER = os.path.join(os.path.dirname(os.path.abspath(__file__)), "files", "deep_world")
KNOWN = ("a", "b", "c", "d", "e", "f")
TAUGHT = ("y", "z")
EXAMPLES = 12
FEW_STEPS = 5  # after which sums of another order still differ by next to nothing
SIDE = 20
SPEC = ModelSpec("deep", SIDE, SIDE, 1, 16, len(KNOWN))


def draw(label, count, seed):
    """`count` jittered, noisy pictures of one pattern of patches: (count, SIDE, SIDE, 1) uint8."""
    patches = np.kron(np.random.RandomState(ord(label)).randint(0, 2, (5, 5)), np.full((4, 4), 150))
    random = np.random.RandomState(seed * 1000 + ord(label))
    pictures = [
        np.roll(patches, random.randint(-1, 2, 2), (0, 1)) + random.randn(SIDE, SIDE) * 20 for _ in range(count)
    ]
    return np.clip(np.array(pictures) + 50, 0, 255).astype(np.uint8)[..., np.newaxis]


def known_pictures(count, seed):
    """`count` pictures of each known pattern, and their targets."""
    return np.concatenate([draw(label, count, seed) for label in KNOWN]), np.repeat(np.arange(len(KNOWN)), count)


def make_deep_base():
    """The base of the network, over what it knows."""
    engine = Engine(os.path.join(FOLDER, "model.u8.onnx"))
    parts = [known_pictures(count, seed) for count, seed in ((40, 1), (20, 2), (20, 5))]
    with np.load(os.path.join(FOLDER, "classifier.npz")) as file:
        weights, bias = file["weights"], file["bias"]
    rows = [Rows(run_in_batches(engine, pixels)[0], targets) for pixels, targets in parts]
    return make_base(*rows, weights=weights, bias=bias, seed=0)


def make_deep_backbone(folder=FOLDER):
    base = make_deep_base() if os.path.exists(os.path.join(folder, "classifier.npz")) else None
    engine = Engine(os.path.join(folder, "model.u8.onnx"))
    return Backbone(KNOWN, SPEC, engine, base, "c" * 64, Deep(folder, "d" * 64, "e" * 64, SPEC))


def taught_latents(backbone):
    """Latents of EXAMPLES pictures of each label of TAUGHT, by label."""
    return {label: backbone.deep.latents(draw(label, EXAMPLES, seed=11)) for label in TAUGHT}
