"""What an INT8 folder claims, each claim made again from the files alone and set beside what the folder says."""

import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from edge.base import read_base
from edge.contract.errors import EdgewiseError, GateError
from edge.contract.manifest import SCHEMA, Manifest
from edge.contract.spec import FORMS, ModelSpec
from edge.engine import Engine
from edge.golden import check_golden
from edge.release import Release
from quantize.certificate import dead_channels, file_hash, multiply_adds, unoptimized
from quantize.deep import first_other_file
from quantize.emit import summed_in_float
from quantize.gates import find_fused, planned, require_fused
from quantize.integers import IntegerConv, Integers, canonical
from quantize.parse import (
    first_difference,
    parse_s8,
    parse_s8_identity,
    parse_u8,
    require_written,
    without_unrounded,
)
from quantize.reference import float_features, reference_features

REPORT = "report.json"
SQNR_TOLERANCE_DB = 0.02  # float sums over a layer's pixels depend on the machine; every other figure is exact
_FLOAT_TOLERANCE = 1e-3  # of the largest feature, for the same reason
_AS_A_WHOLE = ("layers", "scales", "dead_channels")  # figures of many numbers that make one claim


@dataclass(frozen=True)
class Claim:
    name: str
    holds: bool
    found: str
    expected: str = ""

    @property
    def line(self) -> str:
        if self.holds:
            return f"ok     {self.name}: {self.found}"
        return f"FAILS  {self.name}: {self.found}; expected {self.expected}"


@dataclass(frozen=True)
class Certified:
    """An INT8 folder: RUN/int8, or what a release holds of one."""

    folder: Path
    report: dict[str, Any]
    spec: ModelSpec
    labels: tuple[str, ...]

    def model(self, form: str) -> Path:
        return self.folder / f"model.{form}.onnx"


def file_claims(certified: Certified, left_out: frozenset[str]) -> list[Claim]:
    """Of every file its hash; none is missing but those `left_out`, and none is there that the report does not name."""
    certain: dict[str, str] = certified.report["files"]
    files = (path.relative_to(certified.folder) for path in certified.folder.rglob("*") if path.is_file())
    present = {path.as_posix() for path in files} - {REPORT}
    claims = [_equal("ready", certified.report["ready"], True)]
    claims.append(_equal("labels", len(certified.labels), certified.spec.classes))
    for name in sorted({*certain, *present}):
        if name not in present:
            if name not in left_out:
                claims.append(Claim(name, False, "missing", "a file"))
        elif name not in certain:
            claims.append(Claim(name, False, "a file that report.json does not name", "none"))
        else:
            found = file_hash(certified.folder / name)
            claims.append(Claim(name, found == certain[name], f"sha256 {found[:16]}", f"sha256 {certain[name][:16]}"))
    return claims


def read_forms(certified: Certified) -> tuple[Integers | None, list[Claim]]:
    """The integers of the u8 file, and whether the three other files are of the same ones."""
    spec, found = certified.spec, []
    integers: Integers | None = None

    def read_u8() -> str:
        found.append(parse_u8(certified.model("u8"), spec))
        weights = sum(layer.weight.size for layer in found[0].layers if isinstance(layer, IntegerConv))
        return f"{len(found[0].layers)} layers, {weights} integer weights, nothing but what the form has"

    def same(read: Integers, expected: Integers) -> str:
        differing = first_difference(read, expected)
        if differing:
            raise GateError(f"other integers at {differing}", "those of the u8 file", "")
        return "the integers of the u8 file"

    claims = [_held("u8 file", read_u8)]
    if found:
        integers = found[0]
        rest = without_unrounded(integers)
        claims += [
            _held("s8 file", lambda: same(canonical(parse_s8(certified.model("s8"), spec)), found[0])),
            _held(
                "s8_identity file",
                lambda: same(canonical(parse_s8_identity(certified.model("s8_identity"), spec)), rest),
            ),
            _held("float file", lambda: _float_file(certified, found[0])),
        ]
    return integers, claims


def golden_claims(certified: Certified, integers: Integers) -> list[Claim]:
    """Golden vectors: what the integer reference gives again, and what each file gives in onnxruntime."""
    claims = _engine_claims(certified)
    if not all(claim.holds for claim in claims):
        return claims
    with np.load(certified.folder / "golden.npz", allow_pickle=False) as file:
        golden = {name: file[name] for name in ("pixels", *FORMS)}
    pixels = golden["pixels"]
    exact = reference_features(integers, pixels)
    expected = {
        "u8": exact,
        "s8": exact,
        "s8_identity": reference_features(integers, pixels, summed_in_float(integers)),
    }
    for form, features in expected.items():
        same = int((golden[form] == features).all(1).sum())
        claims.append(Claim(f"golden {form}, reference", same == len(pixels), f"{same} identical", f"{len(pixels)}"))
    features = float_features(integers, pixels)
    off = float(np.abs(golden["float"] - features).max() / max(np.abs(features).max(), 1e-30))
    near = f"at most {_FLOAT_TOLERANCE}"
    claims.append(Claim("golden float, reference", off <= _FLOAT_TOLERANCE, f"off by {off:.1e} of the largest", near))
    plain = unoptimized(integers, certified.spec, certified.model("s8"), pixels)
    same = int((plain["u8"] == plain["s8"]).all(1).sum())
    claims.append(Claim("u8 and s8 unoptimized", same == len(pixels), f"{same} identical", f"{len(pixels)}"))
    return claims


def require_golden(certified: Certified) -> None:
    """Raises GateError with the first form whose golden vectors a board would refuse.

    TensorRT's forms round elsewhere than the reference. A network that magnifies that on the steadiest pictures of many
    is not safe to run anywhere.
    """
    for claim in _engine_claims(certified):
        if not claim.holds:
            remedy = "the network magnifies rounding: train it longer, or quantize with --qat"
            raise GateError(f"{claim.name}: {claim.found}", claim.expected, remedy)


def _engine_claims(certified: Certified) -> list[Claim]:
    """The check of golden vectors that a board makes, for every form."""
    release = _as_release(certified)
    return [_held(f"golden {form}, engine", partial(_golden, release, certified, form)) for form in FORMS]


def head_claim(certified: Certified, integers: Integers) -> Claim:
    """head.npz holds the classifier that the model files hold."""

    def check() -> str:
        base = read_base(str(certified.folder / "head.npz"), certified.spec)
        if not (np.array_equal(base.weights, integers.weight.T) and np.array_equal(base.bias, integers.bias)):
            raise GateError("another classifier", "that of the model files", "")
        return f"the classifier of the model files, {len(base.report_targets)} held-out pictures to report on"

    return _held("head.npz", check)


def deep_claim(certified: Certified, integers: Integers) -> Claim:
    """deep/ holds the first layers of the model files, and the last ones as they are before any pass."""

    def check() -> str:
        differing = first_other_file(certified.folder, integers, certified.spec)
        if differing:
            raise GateError(f"{differing} is not of the model files' integers", "that", "")
        return "the model files' integers, cut in two"

    return _held("deep/", check)


def count_fused(certified: Certified, integers: Integers) -> tuple[dict[str, Any], Claim]:
    """report.json's `integer_layers` again, and whether each of them runs in integers."""
    with tempfile.TemporaryDirectory() as scratch:
        optimized = Path(scratch) / "optimized.onnx"
        Engine(str(certified.model("u8")), optimized_path=str(optimized))
        fused = find_fused(integers, optimized)

    def check() -> str:
        require_fused(fused)
        return f"{len(fused.fused)} run with an integer kernel, none in float"

    figures = {
        "planned": planned(integers),
        "fused": len(fused.fused),
        "left_in_float": list(fused.left_in_float),
    }
    return figures, _held("integer layers", check)


def figures_of_files(certified: Certified, integers: Integers) -> tuple[dict[str, Any], Claim]:
    """What of report.json follows from the files without a picture."""
    layers, claim = count_fused(certified, integers)
    blank = np.zeros((1, certified.spec.height, certified.spec.width, certified.spec.channels), np.uint8)
    figures = {
        "integer_layers": layers,
        "multiply_adds": multiply_adds(integers, blank),
        "dead_channels": dead_channels(integers),
        "scales": {name: float(scale) for name, scale in integers.scales.items()},
    }
    return figures, claim


def figure_claims(remade: Mapping[str, Any], report: Mapping[str, Any], beyond: frozenset[str]) -> list[Claim]:
    """Each figure that was made again, beside the report's. `beyond`: the parts of them that were not."""
    claims = []
    for name, value in remade.items():
        stated = report.get(name)
        if name == "layers":
            claims.append(_layers_claim(value, stated))
        elif name in _AS_A_WHOLE:
            claims.append(_whole_claim(name, value, stated))
        elif isinstance(value, Mapping) and isinstance(stated, Mapping):
            keys = [key for key in {**value, **stated} if f"{name}.{key}" not in beyond]
            claims += [_equal(f"{name}.{key}", value.get(key), stated.get(key)) for key in keys]
        else:
            claims.append(_equal(name, value, stated))
    return claims


def _layers_claim(remade: list[dict[str, Any]], stated: Any) -> Claim:
    """The per-layer errors: the same layers, each within SQNR_TOLERANCE_DB."""
    if not isinstance(stated, list) or not all(isinstance(row, dict) for row in stated):
        return Claim("layers", False, "no list of layers", "one")
    for found, row in zip(remade, stated, strict=False):
        error = row.get("sqnr_db")
        near = isinstance(error, (int, float)) and abs(found["sqnr_db"] - error) <= SQNR_TOLERANCE_DB
        if not near or {**found, "sqnr_db": 0} != {**row, "sqnr_db": 0}:
            return Claim("layers", False, f"{found['name']} {found['sqnr_db']} dB", f"{row.get('name')} {error} dB")
    worst = f"worst {min(row['sqnr_db'] for row in remade)} dB" if remade else "none"
    return Claim("layers", len(remade) == len(stated), f"errors of {len(remade)}, {worst}", f"{len(stated)}")


def _whole_claim(name: str, remade: Mapping[str, Any], stated: Any) -> Claim:
    if not isinstance(stated, Mapping):
        return Claim(name, False, f"{len(remade)} numbers", "none in report.json")
    for key in {**remade, **stated}:
        if remade.get(key) != stated.get(key):
            return Claim(name, False, f"{key} {remade.get(key)}", f"{stated.get(key)}")
    return Claim(name, True, f"{len(remade)} numbers")


def _equal(name: str, found: Any, stated: Any) -> Claim:
    return Claim(name, type(found) is type(stated) and found == stated, _short(found), _short(stated))


def _short(value: Any) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{key} {_short(part)}" for key, part in value.items())
    return "nothing" if value is None else str(value)


def _held(name: str, check: Callable[[], str]) -> Claim:
    """`check` says what it found, or raises an error that says what is wrong."""
    try:
        return Claim(name, True, check())
    except EdgewiseError as error:
        return Claim(name, False, error.found, error.expected)


def _float_file(certified: Certified, integers: Integers) -> str:
    require_written(certified.model("float"), "float", integers, certified.spec)
    return "codes times scales of the u8 file"


def _golden(release: Release, certified: Certified, form: str) -> str:
    """Optimized as a CPU runs it, or plainly: the TensorRT forms are not made for onnxruntime's kernels."""
    done = check_golden(release, Engine(str(certified.model(form)), optimize=form == "u8"), form)
    return f"{done.identical} of {done.pictures} identical, lowest cosine {done.lowest_cosine:.6f}"


def _as_release(certified: Certified) -> Release:
    """The folder as the board's golden check takes it, which looks at nothing but the model spec."""
    manifest = Manifest(SCHEMA, "unpacked", "0", 1, "1970-01-01T00:00:00Z", ("any",), certified.spec, {})
    return Release(str(certified.folder), manifest, certified.labels)
