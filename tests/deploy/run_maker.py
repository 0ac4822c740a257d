"""Makes a run folder with a tiny INT8 folder, as quantize would leave it, and archives changed by somebody."""

import hashlib
import json
from pathlib import Path

from deploy.archive import archive_bytes
from deploy.keys import load_private_key
from edge.contract.archive import Archive
from edge.contract.manifest import FileEntry, manifest_bytes
from edge.contract.spec import ModelSpec, spec_text

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
    files = [path for path in folder.rglob("*") if path.is_file()]
    hashes = {path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}
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
