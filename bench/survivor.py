"""A stand-in board that runs one release and has been taught, and whether it still answers after an install was cut."""

import hashlib
import json
import os
import subprocess
import sys
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from deploy.flash import flash
from deploy.keys import keygen
from deploy.pack import pack
from edge.contract.archive import MANIFEST, SIGNATURE, Archive
from edge.contract.errors import GateError
from edge.contract.manifest import parse_manifest
from edge.rows import Key
from edge.store import open_store

_SHOWN = "shown"  # the label that was taught
_NOW = datetime(2026, 11, 22, tzinfo=timezone.utc)


@dataclass(frozen=True)
class Scene:
    """What every cut starts from."""

    board: Path  # runs the first release and has learnt; what it lacks of the second is in its incoming/
    told: Path  # what the courier says to the install while that is going on: each file that came, and "done"
    picture: Path
    learnt: tuple[object, ...]


def make_scene(first_run: Path, second_run: Path, folder: Path) -> Scene:
    """The releases of two finished runs; the first is installed in FOLDER/board and taught three pictures."""
    key = keygen(folder / "owner")
    one, two = (
        pack(run, key.key, _NOW, out=folder / f"{counter}.edge", name="scene", counter=counter).archive
        for counter, run in ((1, first_run), (2, second_run))
    )
    board, picture = folder / "board", folder / "picture.png"
    flash(one, f"local:{board}", key.public, lambda done, total: None, lambda contact: True)
    with np.load(first_run / "int8" / "golden.npz", allow_pickle=False) as golden:
        cv2.imwrite(str(picture), golden["frame"])
    _command(board, "teach", str(picture), "--label", _SHOWN, "--keep-pictures")
    told = folder / "told"
    told.write_text("".join(f"{sha256}\n" for sha256 in [*_bring(two, board), "done"]))
    return Scene(board, told, picture, learnt(board))


def _bring(archive: Path, board: Path) -> list[str]:
    """Puts what the board lacks of `archive` where the courier would, and returns the sha256 of each."""
    objects = board / "incoming" / "objects"
    objects.mkdir(parents=True)
    with Archive(str(archive), lambda data, signature: None) as release:
        (objects.parent / MANIFEST).write_bytes(release.manifest_data)
        (objects.parent / SIGNATURE).write_bytes(release.signature)
        lacking = {entry.sha256: name for name, entry in release.manifest.files.items()}
        for sha256, name in list(lacking.items()):
            if (board / "objects" / sha256).exists():
                del lacking[sha256]
            else:
                (objects / sha256).write_bytes(b"".join(release.pieces(name)))
    return sorted(lacking)


def install_command(scene: Scene, board: Path) -> tuple[list[str], Path, dict[str, str]]:
    """How the courier starts the install of the second release: words, working folder and environment.

    Its stdin is the file `told`.
    """
    runtime = (board / "current").resolve() / "runtime"
    words = [sys.executable, "-B", "-m", "edge", "--board", str(board), "receive", str(board / "incoming"), "--json"]
    return words, runtime, {"PATH": os.environ["PATH"], "PYTHONPATH": str(runtime), "LC_ALL": "C.UTF-8"}


def survived(scene: Scene, board: Path) -> str:
    """The release that answers after `recover`. Raises GateError where that is none, or where something was lost."""
    state = _command(board, "recover") and json.loads((board / "state.json").read_bytes())
    current = state["current"]
    if state["releases"].get(current, {}).get("state") != "GOOD" or (board / "current").resolve().name != current:
        raise _lost(f"current is {current}")
    _check_whole(board / "releases" / current)
    answer = _command(board, "run", str(scene.picture), "--no-look")
    if "label" not in answer:
        raise _lost(f"run answers {answer}")
    if learnt(board) != scene.learnt:
        raise _lost("what was learnt is not what it was")
    return str(current)


def learnt(board: Path) -> tuple[object, ...]:
    """Every example: label, when, where from, and its picture's bytes."""
    with open_store(str(board / "personal" / "learned.sqlite")) as store:
        rows = [store.whole(row.id) for row in store.examples(Key("", ""))]
    return tuple((row.label, row.taken, row.source, row.picture) for row in rows)


def _check_whole(release: Path) -> None:
    for name, entry in parse_manifest((release / "manifest.json").read_bytes()).files.items():
        if hashlib.sha256((release / name).read_bytes()).hexdigest() != entry.sha256:
            raise _lost(f"{name} is not what the manifest says")


def _command(board: Path, *words: str) -> dict[str, Any]:
    """The first JSON object that the board's own command prints."""
    environment = {"PATH": os.environ["PATH"], "EDGEWISE_PYTHON": sys.executable, "OMP_NUM_THREADS": "1"}
    command = [str(board / "edgewise"), *words, "--json"]
    done = subprocess.run(command, env=environment, stdin=subprocess.DEVNULL, capture_output=True, check=False)
    if done.returncode != 0:
        raise _lost(
            f"{words[0]} ended with {done.returncode}: {done.stdout.decode()[-300:]}{done.stderr.decode()[-300:]}"
        )
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[0])
    return found


def _lost(found: str) -> GateError:
    return GateError(found, "a GOOD release that answers, and all that was learnt", "this is a fault of edgewise")
