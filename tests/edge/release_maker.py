"""Makes small signed releases and boards for the tests of the board's install side. Python 3.6 to 3.13."""

import hashlib
import io
import os
import zipfile

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from edge.board import Board
from edge.contract.manifest import REQUIRED, FileEntry, Manifest, manifest_bytes, parse_manifest, release_id
from edge.contract.rotation import Rotation, message, rotation_bytes
from edge.contract.spec import ModelSpec
from edge.trust import key_id, verifier

KEY = Ed25519PrivateKey.from_private_bytes(b"\1" * 32)
OTHER_KEY = Ed25519PrivateKey.from_private_bytes(b"\2" * 32)
SPEC = ModelSpec("tiny", 8, 8, 1, 4, 2)


def small_files(mark="one"):
    # type: (str) -> dict
    """Every required file; only the u8 model, the report and the runtime differ between two marks."""
    files = {name: ("content of " + name).encode() for name in REQUIRED}
    files["labels.txt"] = b"cat\ndog\n"
    files["runtime/edge/__init__.py"] = b""
    files["runtime/edge/contract/__init__.py"] = b""
    for name in ("model.u8.onnx", "report.json", "runtime/edge/__main__.py"):
        files[name] += mark.encode() * 3000
    return files


def signed_manifest(files, counter, key=KEY, boards=("any",), name="tiny", spec=SPEC):
    # type: (dict, int, object, tuple, str, ModelSpec) -> tuple
    entries = {path: FileEntry(len(data), hashlib.sha256(data).hexdigest()) for path, data in files.items()}
    data = manifest_bytes(Manifest(1, name, "1", counter, "2026-11-22T05:41:00Z", boards, spec, entries))
    return data, key.sign(data)


def zip_bytes(contents, compression=zipfile.ZIP_DEFLATED):
    # type: (list, int) -> bytes
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", compression) as archive:
        for name, data in contents:
            archive.writestr(zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0)), data, compression)
    return buffer.getvalue()


def release_bytes(counter=1, mark="one", key=KEY, leave_out=(), **more):
    # type: (int, str, object, tuple, object) -> bytes
    files = small_files(mark)
    data, signature = signed_manifest(files, counter, key, **more)
    sent = sorted(item for item in files.items() if item[0] not in leave_out)
    return zip_bytes([("manifest.json", data), ("manifest.sig", signature)] + sent)


def write_release(path, *arguments, **more):
    # type: (object, object, object) -> str
    """Writes release_bytes() to `path`; returns it as a string."""
    with open(str(path), "wb") as file:
        file.write(release_bytes(*arguments, **more))
    return str(path)


def write_incoming(folder, counter=1, mark="one", key=KEY, **more):
    # type: (object, int, str, object, object) -> dict
    """Writes the manifest and signature of a release that is on its way; returns its files by their sha256."""
    files = small_files(mark)
    os.makedirs(str(folder), exist_ok=True)
    for name, data in zip(("manifest.json", "manifest.sig"), signed_manifest(files, counter, key, **more)):
        with open(os.path.join(str(folder), name), "wb") as file:
            file.write(data)
    return {hashlib.sha256(data).hexdigest(): data for data in files.values()}


def bring(folder, files):
    # type: (object, dict) -> None
    """What the courier does with each file of `files`, by its sha256."""
    os.makedirs(os.path.join(str(folder), "objects"), exist_ok=True)
    for sha256, data in files.items():
        with open(os.path.join(str(folder), "objects", sha256), "wb") as file:
            file.write(data)


def new_board(root, key=KEY):
    # type: (object, object) -> Board
    """A board that trusts `key` and has no release."""
    trust = os.path.join(str(root), "trust")
    os.makedirs(trust)
    with open(os.path.join(trust, identity(key) + ".pub"), "wb") as file:
        file.write(key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
    return Board(str(root), "aarch64")


def identity(key):
    # type: (Ed25519PrivateKey) -> str
    """The id of its public half."""
    return key_id(key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw))


def rotation_data(old, new, signers=None):
    # type: (object, object, object) -> bytes
    """A rotation from `old` to `new`, signed by both, or by the two `signers`."""
    retires, trusts = (key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw) for key in (old, new))
    by_old, by_new = (key.sign(message(retires, trusts)) for key in signers or (old, new))
    return rotation_bytes(Rotation(retires, trusts, by_old, by_new))


def check_whole(board):
    # type: (Board) -> str
    """The current release's id, after comparing each of its files with its signed manifest."""
    folder = os.path.realpath(board.path("current"))
    with open(os.path.join(folder, "manifest.json"), "rb") as file:
        data = file.read()
    with open(os.path.join(folder, "manifest.sig"), "rb") as file:
        verifier(board.path("trust"))(data, file.read())
    for name, entry in parse_manifest(data).files.items():
        with open(os.path.join(folder, name), "rb") as file:
            content = file.read()
        assert hashlib.sha256(content).hexdigest() == entry.sha256, name
    assert os.path.basename(folder) == release_id(data)
    return os.path.basename(folder)


def files_below(root):
    # type: (str) -> set
    """Every file and link of the board apart from its lock."""
    found = set()
    for folder, _, names in os.walk(root):
        found |= {os.path.relpath(os.path.join(folder, name), root) for name in names}
    return found - {"lock"}
