"""ROOT/engines.json: which engines were measured on this board, under which circumstances, and which a person wants.

A measurement holds as long as nothing that it depends on has changed. One is kept for each release that is installed,
so that a rollback finds its own.
"""

import glob
import hashlib
import json
import os
import re
import shutil
import sys
from typing import Any, Dict, Iterable, NamedTuple, Optional, Tuple

from edge.board import Board
from edge.contract.errors import FormatError
from edge.contract.files import write_whole
from edge.contract.manifest import Manifest
from edge.contract.spec import FORMS

SCHEMA = 1
FILE = "engines.json"
CACHE = "engines"  # ROOT/engines/CIRCUMSTANCES/ENGINE: what TensorRT has built


class Circumstances(NamedTuple):
    """What a measurement depends on. Empty for what is not there."""

    board: str  # of edge/contract/boards.py
    machine: str  # as `uname -m` says
    l4t: str
    tensorrt: str
    onnxruntime: str
    openvino: str
    models: str  # hash of the release's networks


class Tried(NamedTuple):
    """One engine."""

    name: str
    form: str
    why: str  # it cannot be used; empty for one whose golden vectors hold
    pictures: int = 0  # of the golden vectors
    identical: int = 0
    lowest_cosine: Optional[float] = None
    median_ms: Optional[float] = None  # of a picture at a time


class Measured(NamedTuple):
    circumstances: Circumstances
    tried: Tuple[Tried, ...]
    chosen: str
    why: str


class Record(NamedTuple):
    wanted: str  # by a person, instead of what was chosen; else empty
    measured: Tuple[Measured, ...]  # newest first


NOTHING = Record("", ())


def circumstances(board: Board, manifest: Manifest, system: str = "/") -> Circumstances:
    """system: where the board's /etc and /usr are."""
    import cv2  # noqa: F401  before onnxruntime: static TLS on aarch64, opencv#14884
    import onnxruntime

    return Circumstances(
        board=board.name,
        machine=board.machine,
        l4t=_l4t(system),
        tensorrt=_tensorrt(system),
        onnxruntime=onnxruntime.__version__,
        openvino=_openvino(),
        models=models_hash(manifest),
    )


def models_hash(manifest: Manifest) -> str:
    hashes = "".join(manifest.files["model.{}.onnx".format(form)].sha256 for form in FORMS)
    return hashlib.sha256(hashes.encode("ascii")).hexdigest()


def cache_folder(board: Board, under: Circumstances, engine: str) -> str:
    """Where TensorRT keeps what it built: an engine file fits one GPU, one TensorRT and one network."""
    return board.path(CACHE, _cache_name(under), engine)


def _cache_name(under: Circumstances) -> str:
    return hashlib.sha256(json.dumps(under).encode("ascii")).hexdigest()[:16]


def load_record(board: Board) -> Record:
    """Raises FormatError for a file that nobody here wrote."""
    try:
        with open(board.path(FILE), "rb") as file:
            return parse_record(file.read())
    except FileNotFoundError:
        return NOTHING


def record_stamp(board: Board) -> Optional[Tuple[int, int]]:
    """Another one after the record was written anew."""
    try:
        found = os.stat(board.path(FILE))
    except FileNotFoundError:
        return None
    return found.st_ino, found.st_mtime_ns


def save_record(board: Board, record: Record) -> None:
    write_whole(board.path(FILE), record_bytes(record))


def record_bytes(record: Record) -> bytes:
    measured = [measured_fields(each) for each in record.measured]
    fields = {"schema": SCHEMA, "wanted": record.wanted, "measured": measured}
    return (json.dumps(fields, indent=1, sort_keys=True) + "\n").encode("ascii")


def measured_fields(measured: Measured) -> Dict[str, Any]:
    """For JSON."""
    fields = dict(measured._asdict(), circumstances=dict(measured.circumstances._asdict()))
    return dict(fields, tried=[dict(each._asdict()) for each in measured.tried])


def parse_record(data: bytes) -> Record:
    """Raises FormatError unless record_bytes() wrote `data`."""
    try:
        fields = json.loads(data.decode("ascii"))
        if fields.pop("schema") != SCHEMA:
            raise ValueError("another schema")
        measured = tuple(_measured(each) for each in fields.pop("measured"))
        return Record(measured=measured, **fields)
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise FormatError(
            "{} is not readable: {}".format(FILE, error), "what `edgewise engines` wrote", "remove it and measure again"
        ) from None


def measured_now(record: Record, now: Circumstances) -> Optional[Measured]:
    """The measurement that holds under the circumstances of now."""
    return next((each for each in record.measured if each.circumstances == now), None)


def needs_measuring(board: Board, manifest: Manifest) -> bool:
    """Whether engines were measured here, but none with the networks of `manifest`, which the CPU then runs."""
    try:
        measured = load_record(board).measured
    except FormatError:
        return False  # `status` says what is wrong with it
    return bool(measured) and models_hash(manifest) not in {each.circumstances.models for each in measured}


def kept(record: Record, models: Iterable[str]) -> Record:
    """The newest measurement of each network in `models`, by its models_hash()."""
    left, found = set(models), []
    for each in record.measured:
        if each.circumstances.models in left:
            left.remove(each.circumstances.models)
            found.append(each)
    return record._replace(measured=tuple(found))


def sweep_cache(board: Board, record: Record) -> None:
    """Removes what TensorRT built under circumstances that are not in `record`."""
    wanted = {_cache_name(each.circumstances) for each in record.measured}
    folder = board.path(CACHE)
    for name in sorted(os.listdir(folder)) if os.path.isdir(folder) else []:
        if name not in wanted:
            shutil.rmtree(os.path.join(folder, name))


def _measured(fields: Dict[str, Any]) -> Measured:
    found = Measured(**dict(fields, circumstances=Circumstances(**fields["circumstances"]),
                            tried=tuple(Tried(**each) for each in fields["tried"])))  # fmt: skip
    if found.chosen not in [each.name for each in found.tried if not each.why]:
        raise ValueError("the engine chosen does not run")
    return found


def _l4t(system: str) -> str:
    """R32 and 7.1 of "# R32 (release), REVISION: 7.1, ..." as 32.7.1."""
    try:
        with open(os.path.join(system, "etc", "nv_tegra_release")) as file:
            found = re.search(r"R(\d+) .*?REVISION: ([\d.]+)", file.read(4096))
    except OSError:
        return ""
    return ".".join(found.groups()) if found else ""


def _tensorrt(system: str) -> str:
    """By the name of its library, so that nothing need be loaded: libnvinfer.so.8.2.1 is 8.2.1."""
    names = glob.glob(os.path.join(system, "usr", "lib", "*-linux-gnu", "libnvinfer.so.*.*"))
    versions = [os.path.basename(name)[len("libnvinfer.so.") :] for name in names]
    return max(versions, key=lambda text: [int(part) for part in re.findall(r"\d+", text)], default="")


def _openvino() -> str:
    """By what pip wrote: its import takes longer than the rest of a start."""
    if sys.version_info < (3, 8):
        return ""  # no OpenVINO with the interface of edge/openvino_session.py is for them
    from importlib import metadata  # novm

    try:
        return metadata.version("openvino")
    except metadata.PackageNotFoundError:
        return ""
