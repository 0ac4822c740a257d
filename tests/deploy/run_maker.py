"""Makes a run folder with a tiny INT8 folder, as quantize would leave it, and archives changed by somebody."""

import hashlib
import json
from pathlib import Path

import numpy as np

from deploy.archive import archive_bytes
from deploy.keys import load_private_key
from edge.base import Rows, make_base, write_base
from edge.contract.archive import Archive
from edge.contract.manifest import FileEntry, manifest_bytes
from edge.contract.spec import ModelSpec, spec_text
from edge.engine import Engine

TINY = Path(__file__).resolve().parents[1] / "edge" / "files"


def make_run(run: Path, *, ready: bool = True, head: bytes = b"head") -> Path:
    folder = run / "int8"
    folder.mkdir(parents=True)
    for name, source in (
        ("model.u8.onnx", "tiny.u8.onnx"),
        ("model.s8.onnx", "tiny.float.onnx"),
        ("model.s8_identity.onnx", "tiny.float.onnx"),
        ("model.float.onnx", "tiny.float.onnx"),
        ("golden.npz", "tiny.golden.npz"),
    ):
        (folder / name).write_bytes((TINY / source).read_bytes())
    (folder / "head.npz").write_bytes(head)
    (folder / "labels.txt").write_text("cat\ndog\n", encoding="utf-8")
    (folder / "spec.json").write_text(spec_text(ModelSpec("tiny", 8, 8, 1, 4, 2)), encoding="utf-8")
    certify(folder, ready)
    return run


def certify(folder: Path, ready: bool = True) -> None:
    """report.json for whatever is in the folder."""
    hashes = {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in folder.iterdir()}
    hashes.pop("report.json", None)
    (folder / "report.json").write_text(json.dumps({"ready": ready, "files": hashes}), encoding="utf-8")


def unverified(data: bytes, signature: bytes) -> None:
    """For reading an archive that a test changes."""


def changed(archive: Path, out: Path, changes: dict[str, bytes], counter: int, key: Path) -> Path:
    """The archive with other content for some files, a manifest that says so, and a new signature by `key`."""
    with Archive(str(archive), unverified) as release:
        files = {name: b"".join(release.pieces(name)) for name in release.names} | changes
        entries = {name: FileEntry(len(data), hashlib.sha256(data).hexdigest()) for name, data in files.items()}
        data = manifest_bytes(release.manifest._replace(files=entries, counter=counter))
    contents = [(name, len(content), [content]) for name, content in sorted(files.items())]
    out.write_bytes(archive_bytes(data, load_private_key(key).sign(data), contents))
    return out


def content_of(archive: Path, name: str) -> bytes:
    with Archive(str(archive), unverified) as release:
        return b"".join(release.pieces(name))


def stripes(count: int, upright: bool) -> np.ndarray:
    """(count, 8, 8, 1) uint8: what the tiny network was made for."""
    rows = np.broadcast_to(40 + 170 * (np.arange(8) % 2), (8, 8))
    noise = np.random.default_rng(int(upright)).normal(0, 12, (count, 8, 8))
    return np.clip((rows if upright else rows.T) + noise, 0, 255).astype(np.uint8)[..., None]


def tiny_head(path: Path) -> bytes:
    """A head.npz of the tiny network, "cat" for upright stripes and "dog" for lying ones; also written to `path`."""
    targets = np.repeat([0, 1], 30)
    features, _ = Engine(str(TINY / "tiny.u8.onnx")).run(np.concatenate([stripes(30, True), stripes(30, False)]))
    rows = np.concatenate([features, np.ones((60, 1), np.float32)], axis=1)
    weights = np.linalg.lstsq(rows, np.eye(2)[targets] * 8, rcond=None)[0]
    parts = [Rows(features[start::3], targets[start::3]) for start in range(3)]
    write_base(str(path), make_base(*parts, weights=weights[:-1], bias=weights[-1], seed=0))
    return path.read_bytes()
