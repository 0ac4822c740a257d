"""A board with a real, tiny release: a network of 4 features that knows upright ("cat") from lying ("dog") stripes."""

import hashlib
import json
import os
import subprocess
import sys

import numpy as np
from release_maker import SPEC, new_board, signed_manifest, small_files, zip_bytes

from edge.base import Rows, make_base, write_base
from edge.engine import Engine
from edge.install import install

FILES = os.path.join(os.path.dirname(os.path.abspath(__file__)), "files")
RUNTIME = os.path.join(os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))), "edge")


def stripes(count, seed, upright):
    """(count, 8, 8, 1) uint8."""
    random = np.random.RandomState(seed)
    across = 40 + 170 * (np.arange(8) % 2)
    pattern = np.tile(across, (8, 1)) if upright else np.tile(across[:, np.newaxis], (1, 8))
    return np.clip(pattern + random.randn(count, 8, 8) * 12, 0, 255).astype(np.uint8)[..., np.newaxis]


def write_tiny_base(model, path):
    """The head.npz of the tiny network in the file `model`."""
    pixels = np.concatenate([stripes(30, 1, True), stripes(30, 2, False)])
    targets = np.repeat([0, 1], 30)
    features, _ = Engine(model).run(pixels)
    rows = np.concatenate([features, np.ones((60, 1), np.float32)], axis=1)
    fitted = np.linalg.lstsq(rows, np.eye(2)[targets] * 8, rcond=None)[0]
    parts = [Rows(features[start::3], targets[start::3]) for start in range(3)]
    base = make_base(*parts, weights=fitted[:-1], bias=fitted[-1], seed=0)
    write_base(path, base)


def tiny_release(path, counter, changes=()):
    """Writes the archive of the tiny release to `path`, with other content for the files in `changes`."""
    files = small_files()
    with open(os.path.join(FILES, "tiny.u8.onnx"), "rb") as file:
        files["model.u8.onnx"] = file.read()
    head = path + ".head.npz"
    write_tiny_base(os.path.join(FILES, "tiny.u8.onnx"), head)
    with open(head, "rb") as file:
        files["head.npz"] = file.read()
    os.remove(head)
    files.update(changes)
    return write_archive(path, files, counter)


def write_archive(path, files, counter, spec=SPEC):
    """Writes a release of `files` and this runtime to `path`."""
    for folder, _, names in os.walk(RUNTIME):
        for name in (name for name in names if not name.endswith(".pyc")):
            place = os.path.join(folder, name)
            with open(place, "rb") as file:
                files["runtime/edge/" + os.path.relpath(place, RUNTIME)] = file.read()
    data, signature = signed_manifest(files, counter, spec=spec)
    contents = [("manifest.json", data), ("manifest.sig", signature)] + sorted(files.items())
    with open(path, "wb") as archive:
        archive.write(zip_bytes(contents))
    return path


def tiny_board(folder):
    """The root of a board in `folder` that runs the tiny release."""
    board = new_board(os.path.join(folder, "board"))
    install(board, tiny_release(os.path.join(folder, "one.edge"), 1), lambda release: None)
    return board.root


def command(root, *arguments):
    """How the launcher starts a verb on the board: its command line, working folder and environment."""
    runtime = os.path.join(os.path.realpath(os.path.join(root, "current")), "runtime")
    line = [sys.executable, "-B", "-m", "edge", "--board", root] + [str(each) for each in arguments]
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": runtime, "LC_ALL": "C.UTF-8", "OMP_NUM_THREADS": "1"}
    return line, runtime, environment


def on_board(root, *arguments, **more):
    """Runs a verb with --json in a process of its own. Returns its exit code and its last line of JSON."""
    line, runtime, environment = command(root, *arguments + ("--json",))
    done = subprocess.run(
        more.get("before", []) + line,
        cwd=runtime,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    answer = done.stdout.decode("utf-8").strip().split("\n")[-1]
    assert answer, done.stderr.decode("utf-8")
    return done.returncode, json.loads(answer)


def sha256_of(path):
    with open(path, "rb") as file:
        return hashlib.sha256(file.read()).hexdigest()
