"""`edgewise verify`: every figure of a run's or a release's certificate, made again from the files alone."""

import json
import logging
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_public_key
from numpy.typing import NDArray
from torch import nn

from edge.base import read_base
from edge.contract.archive import Archive
from edge.contract.errors import FormatError, GateError, InputError
from edge.contract.labels import parse_labels
from edge.contract.results import Outcome
from edge.contract.spec import parse_spec_text, spec_text
from edge.deep import REPLAY
from edge.trust import key_id
from edge.trust import verify as verify_signature
from quantize.certificate import Measured, certificate, measure
from quantize.claims import (
    REPORT,
    Certified,
    Claim,
    deep_claim,
    figure_claims,
    figures_of_files,
    file_claims,
    golden_claims,
    head_claim,
    read_forms,
)
from quantize.html import PAGE, render_report
from quantize.integers import Integers
from quantize.material import load_material
from quantize.remembered import remembered_base
from quantize.split_record import read_splits, split_as_read, split_record
from quantize.trace import make_plan
from train.data import DataSet, load_data
from train.run_folder import Run, load_run

_LOG = logging.getLogger("edgewise.quantize")
_REQUIRED = ("files", "ready", "test_count", "accuracy", "agreement", "exact", "integer_layers", "scales", "pictures")
_OF_FP32 = ("agreement_with_fp32", "layers")
_SOLVED_TOLERANCE = 1e-5  # of an array's largest number
_NOT_IN_A_RELEASE = frozenset({"spec.json", PAGE})
Progress = Callable[[str, int, int], None]


@dataclass(frozen=True)
class Subject:
    """What is verified, and what is at hand for it."""

    certified: Certified
    network: nn.Module | None  # the FP32 network; a release has none
    run: Run | None
    left_out: frozenset[str]  # files that the report names and that belong elsewhere
    claims: list[Claim]  # of its wrapping: the signature


@dataclass(frozen=True)
class Tested:
    """The test pictures, and all of the data set that they are of, if it has labels."""

    pixels: NDArray[np.uint8]
    targets: NDArray[np.int64] | None
    labelled: DataSet | None


def verify(
    path: Annotated[Path, typer.Argument(help="A quantized run folder, its int8 folder, or a release.")],
    progress: Progress,
    data: Annotated[str | None, typer.Option(help="The data set, if it is no longer where it was.")] = None,
    key: Annotated[
        Path | None, typer.Option(help="The public key, NAME.pub, that a release must be signed by.")
    ] = None,
    deep: Annotated[bool, typer.Option("--deep", help="Make the base of learning again, too.")] = False,
) -> Outcome:
    """Make every figure of an INT8 certificate again, from the files alone.

    Reads the integers back out of the four ONNX files, computes golden vectors and test pictures again, and compares
    with report.json. Fails if one figure does not hold, and names it. What the files do not decide is listed.

    Examples: edgewise verify runs/digits; edgewise verify digits-1.edge --key mine.pub --data digits
    """
    with open_subject(path, key) as subject:
        claims, not_remade = verify_subject(subject, data, deep, progress)
    failing = [claim for claim in claims if not claim.holds]
    lines = [claim.line for claim in claims]
    if not_remade:
        lines.append("not made again: " + ", ".join(not_remade))
    if failing:
        for line in lines:
            _LOG.info(line)
        named = "; ".join(claim.line for claim in failing)
        raise GateError(
            f"{len(failing)} of {len(claims)} claims of {path} do not hold: {named}", "all", "do not use it"
        )
    lines.append(f"{path}: all {len(claims)} claims hold")
    made = [{"name": claim.name, "holds": claim.holds, "found": claim.found} for claim in claims]
    return Outcome(tuple(lines), {"path": str(path), "claims": made, "not_remade": not_remade})


def verify_subject(subject: Subject, data: str | None, deep: bool, progress: Progress) -> tuple[list[Claim], list[str]]:
    """Every claim, and the names of what was not made again. `data` replaces the data set that the run remembers.

    Raises InputError for pictures that are gone or have changed; what does not hold is a claim, not an error.
    """
    certified = subject.certified
    claims = [*subject.claims, *file_claims(certified, subject.left_out)]
    progress("files", 1, 3)
    integers, of_forms = read_forms(certified)
    progress("files", 2, 3)
    of_forms += golden_claims(certified, integers) if integers is not None else []
    claims += of_forms
    if integers is None or not all(claim.holds for claim in of_forms):
        return claims, ["the figures, because a file is not what it should be"]
    if (certified.folder / "head.npz").exists():
        claims.append(head_claim(certified, integers))
    if (certified.folder / REPLAY).exists():
        claims.append(deep_claim(certified, integers))
    remade, claim = figures_of_files(certified, integers)
    claims.append(claim)
    progress("files", 3, 3)
    tested = load_tested(subject, data, progress)
    if tested is not None:
        measured, figures = _measured(subject, integers, tested, progress)
        remade |= figures
        if "fp32" in measured.logits and (certified.folder / PAGE).exists():
            claims.append(_page_claim(certified, integers, tested, measured))
    beyond = ("accuracy.fp32",) if tested is not None and subject.network is None else ()
    claims += figure_claims(remade, certified.report, frozenset(beyond))
    not_remade = [*beyond, *(name for name in certified.report if name not in (*remade, "files", "ready"))]
    if deep and tested is not None and tested.labelled is not None and subject.run is not None:
        claims.append(_base_claim(certified, integers, subject.run, tested.labelled))
    elif (certified.folder / "head.npz").exists():
        not_remade.append("head.npz's base")
    return claims, not_remade


def load_tested(subject: Subject, data: str | None, progress: Progress) -> Tested | None:
    """The test pictures of the run's data set or of `data`; None where there is neither. Raises InputError."""
    spec, record = subject.certified.spec, subject.certified.report["pictures"]

    def step(done: int, steps: int) -> None:
        progress("pictures", done, steps)

    if subject.run is not None:
        source = data or subject.run.source or (record["source"] if record["labelled"] else None)
        unlabelled = None if source else record["source"]
        material = load_material(subject.run, source, unlabelled, record["seed"], step)
        return Tested(material.test, material.targets, material.labelled)
    if data is None:
        return None
    found = load_data(data, record.get("split_seed", 0), (spec.height, spec.width), spec.channels, step)
    if found.labels != subject.certified.labels:
        raise InputError(f"{data} has other classes than the release", "the same labels", "name the data set it is of")
    return Tested(found.test.pixels, found.test.targets, None)


def _measured(
    subject: Subject, integers: Integers, tested: Tested, progress: Progress
) -> tuple[Measured, dict[str, Any]]:
    """What every form does on the test pictures, and report.json's figures of it."""
    certified, step = subject.certified, partial(progress, "proof")
    measured = measure(subject.network, integers, certified.spec, certified.folder, tested.pixels, step)
    if subject.network is None:
        figures = certificate(measured, None, integers, tested.pixels, tested.targets)
        return measured, {name: value for name, value in figures.items() if name not in _OF_FP32}
    whole, splits = make_plan(subject.network), read_splits(certified.report)
    figures = certificate(measured, split_as_read(whole, splits, integers), integers, tested.pixels, tested.targets)
    return measured, figures | ({"splits": split_record(whole, splits, integers, tested.pixels)} if splits else {})


def _page_claim(certified: Certified, integers: Integers, tested: Tested, measured: Measured) -> Claim:
    page = render_report(certified.report, certified.labels, tested.targets, measured.logits, tested.pixels, integers)
    same = page.encode() == (certified.folder / PAGE).read_bytes()
    return Claim(
        PAGE, same, "what report.json and the pictures give" if same else "another page", "that of report.json"
    )


def _base_claim(certified: Certified, integers: Integers, run: Run, data: DataSet) -> Claim:
    """The base of learning, made again from every training picture by the u8 file."""
    remade = remembered_base(certified.model("u8"), integers, run, data)
    found = read_base(str(certified.folder / "head.npz"), certified.spec)
    differing = [name for name in found._fields if not _same(getattr(found, name), getattr(remade, name))]
    text = f"{', '.join(differing)} differ" if differing else f"what {len(data.train.targets)} training pictures give"
    return Claim("head.npz, made again", not differing, text, "what the u8 file gives for the training pictures")


def _same(found: NDArray[Any], remade: NDArray[Any]) -> bool:
    """Whole numbers are; solved ones differ from machine to machine in their last bits, by how its BLAS adds up."""
    if found.dtype.kind == "i" or found.shape != remade.shape:
        return np.array_equal(found, remade)
    return bool(np.abs(found - remade).max() <= _SOLVED_TOLERANCE * np.abs(remade).max())


@contextmanager
def open_subject(path: Path, key: Path | None) -> Iterator[Subject]:
    """What `path` names: RUN, RUN/int8 or NAME.edge. Raises FormatError, InputError or TrustError."""
    if path.is_dir():
        yield _open_run(path)
        return
    public = _load_key(key) if key is not None else None
    with Archive(str(path), _verifier(public)) as archive, tempfile.TemporaryDirectory() as scratch:
        yield _open_release(archive, Path(scratch), public)


def _open_run(path: Path) -> Subject:
    folder = path if (path / REPORT).exists() else path / "int8"
    report = _read_report(folder / REPORT)
    spec, labels = parse_spec_text(_read(folder / "spec.json")), parse_labels(_read(folder / "labels.txt"))
    parent = folder.resolve().parent
    run = load_run(parent) if (parent / "recipe.yaml").exists() else None
    if run is not None and (run.spec, run.labels) != (spec, labels):
        raise FormatError(f"{folder} is of another model than {parent}", "the run's own", "quantize the run again")
    network = run.network if run is not None else None
    return Subject(Certified(folder, report, spec, labels), network, run, frozenset(), [])


def _open_release(archive: Archive, scratch: Path, public: bytes | None) -> Subject:
    """Every byte is read, and so compared with the manifest's hash; the runtime needs no more."""
    for name in sorted(archive.names):
        pieces = archive.pieces(name)
        if name.startswith("runtime/"):
            for _ in pieces:
                pass
        else:
            (scratch / name).parent.mkdir(exist_ok=True)
            with (scratch / name).open("wb") as file:
                file.writelines(pieces)
    manifest = archive.manifest
    report, labels = _read_report(scratch / REPORT), parse_labels(_read(scratch / "labels.txt"))
    (scratch / "spec.json").write_text(spec_text(manifest.model), "utf-8")
    signer = f"signed by {key_id(public)}" if public else "by a key that was not checked: name it with --key"
    missing = len(manifest.files) - len(archive.names)
    claims = [
        Claim("signature", True, signer),
        Claim("manifest", missing == 0, f"{len(archive.names)} files with its hashes", f"{len(manifest.files)}"),
    ]
    certified = Certified(scratch, report, manifest.model, labels)
    return Subject(certified, None, None, _NOT_IN_A_RELEASE, claims)


def _read_report(path: Path) -> dict[str, Any]:
    """report.json. Raises FormatError for one that lacks what every report has."""
    expected = "the report that `edgewise quantize` wrote"
    try:
        report = json.loads(_read(path))
    except ValueError:
        raise FormatError(f"{path} is no JSON", expected, "quantize the run again") from None
    missing = [name for name in _REQUIRED if not isinstance(report, dict) or name not in report]
    if missing:
        raise FormatError(f"{path} has no {missing[0]!r}", expected, "quantize the run again")
    files, record = report["files"], report["pictures"]
    typed = isinstance(files, dict) and all(isinstance(value, str) for value in files.values())
    named = isinstance(record, dict) and isinstance(record.get("source"), str)
    if not typed or not named or type(record.get("seed")) is not int or type(record.get("labelled")) is not bool:
        raise FormatError(f"{path} does not say its files or its pictures", expected, "quantize the run again")
    return dict(report)


def _read(path: Path) -> str:
    try:
        return path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "no UTF-8 text"
        raise FormatError(
            f"{path}: {reason}", "a quantized run or a release", "run `edgewise quantize` first"
        ) from None


def _load_key(path: Path) -> bytes:
    """The 32 raw bytes of a NAME.pub."""
    try:
        public = load_pem_public_key(path.read_bytes())
    except (OSError, ValueError):
        public = None
    if not isinstance(public, Ed25519PublicKey):
        raise InputError(f"{path} is no public Ed25519 key", "the NAME.pub of `edgewise keygen`", "name that file")
    return public.public_bytes(Encoding.Raw, PublicFormat.Raw)


def _verifier(public: bytes | None) -> Callable[[bytes, bytes], Any]:
    if public is None:
        return lambda data, signature: None
    return lambda data, signature: verify_signature({key_id(public): public}, data, signature)
