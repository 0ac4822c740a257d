"""The run folder: what training leaves behind, and the trained network read back from it.

recipe.yaml  spec.json  labels.txt  data.json       written at the start: what is trained, on what (an imported
                                                    run has no pictures: its source is null)
checkpoint.safetensors  metrics.jsonl  tb/          written every epoch
model.safetensors  answers.safetensors  train.json  written at the end: the averaged weights, what they say of every
                                                    val and test picture, and the report
report.html                                         the same, for a person
trace.json                                          where the time of a few steps went, if that was asked for
"""

import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
from torch import nn

from edge.contract.errors import FormatError, InputError, UsageError
from edge.contract.files import write_whole
from edge.contract.labels import labels_text, parse_labels
from edge.contract.spec import ModelSpec, parse_spec_text, spec_text
from train.checkpoint import EpochMetrics
from train.data import DataSet, Progress, load_data
from train.network import build_network
from train.recipe import Recipe, parse_recipe, recipe_text
from train.tensors import check_tensors, read_tensors, write_tensors

RECIPE, SPEC, LABELS, DATA = "recipe.yaml", "spec.json", "labels.txt", "data.json"
CHECKPOINT, METRICS, TENSORBOARD = "checkpoint.safetensors", "metrics.jsonl", "tb"
MODEL, REPORT, PAGE = "model.safetensors", "train.json", "report.html"
TRACE = "trace.json"


@dataclass(frozen=True)
class Run:
    folder: Path
    spec: ModelSpec
    labels: tuple[str, ...]
    network: nn.Module  # the averaged weights, on the CPU, in evaluation mode
    recipe: Recipe
    source: str | None  # of the data; None for imported weights, which have none
    seed: int  # of its split
    sha256: dict[str, str]  # by part, of the prepared pixels and their targets; empty for imported weights


def load_run(folder: Path) -> Run:
    """The finished run in `folder`. Raises FormatError for a file that is missing, damaged or of another network."""
    if (folder / RECIPE).exists() and not (folder / MODEL).exists():
        raise FormatError(f"{folder} holds an unfinished run", "a finished one", "run `edgewise train --resume`")
    spec = parse_spec_text(_read(folder / SPEC))
    labels = parse_labels(_read(folder / LABELS))
    recipe = read_recipe(folder)
    shape = (recipe.network, recipe.height, recipe.width, len(labels))
    if (spec.network, spec.height, spec.width, spec.classes) != shape:
        raise FormatError(f"{folder}: {SPEC}, {RECIPE} and {LABELS} differ", "files of one run", "train again")
    network = build_network(spec.network, spec.channels, spec.classes, (spec.height, spec.width))
    tensors, _ = read_tensors(folder / MODEL)
    check_tensors(tensors, network.state_dict(), folder / MODEL)
    network.load_state_dict(tensors)
    source, seed, sha256 = _read_data_record(folder)
    return Run(folder, spec, labels, network.eval(), recipe, source, seed, sha256)


def load_run_data(run: Run, progress: Progress | None = None, downloads: Path | None = None) -> DataSet:
    """The very pictures of the run, in the same split. Raises InputError if they have changed since, or are none."""
    if run.source is None:
        raise InputError(f"{run.folder} was imported: it has no pictures", "pictures like the camera's", "pass some")
    data = load_data(run.source, run.seed, (run.spec.height, run.spec.width), run.spec.channels, progress, downloads)
    if not run.sha256:  # imported weights: any pictures of the same classes
        if data.labels != run.labels:
            raise InputError(f"{data.source} has other classes than {run.folder}", "the same labels", "rename them")
        return data
    if data.labels != run.labels or hash_parts(data) != run.sha256:
        raise InputError(
            f"{data.source} has changed since {run.folder} was trained",
            "the same pictures, so that none is trained on and tested with",
            "put them back, or train again",
        )
    return data


def begin_run(folder: Path, recipe: Recipe, spec: ModelSpec, data: DataSet, resume: bool) -> None:
    """Writes what is trained, and on what, into a new or empty folder, or checks that `folder` was begun with the same.

    Raises UsageError for a folder in use without `resume`, or one of another recipe or other data.
    """
    if _in_use(folder):
        if not resume:
            raise UsageError(
                f"{folder} is in use", "a new or empty folder for the run", "name another, or add --resume"
            )
        check_same_run(folder, recipe, data)
    counts = {name: len(part.targets) for name, part in data.parts.items()}
    record = {"source": data.source, "seed": data.seed, "counts": counts, "sha256": hash_parts(data)}
    _write_start(folder, recipe, spec, data.labels, record)


def check_same_run(folder: Path, recipe: Recipe, data: DataSet) -> None:
    """Raises UsageError unless `folder` was begun with this recipe and these pictures, FormatError if it is none."""
    begun = read_recipe(folder)
    differing = [field.name for field in fields(Recipe) if getattr(begun, field.name) != getattr(recipe, field.name)]
    if differing:
        name = differing[0]
        raise UsageError(
            f"{folder} was begun with {name} {getattr(begun, name)!r}, not {getattr(recipe, name)!r}",
            "the recipe, seed and epochs it was begun with",
            "give these again, or name another folder",
        )
    if parse_labels(_read(folder / LABELS)) != data.labels or _read_data_record(folder)[2] != hash_parts(data):
        raise UsageError(
            f"{folder} was begun with other pictures than {data.source} now has",
            "the same pictures",
            "put them back, or name another folder",
        )


def write_imported(folder: Path, recipe: Recipe, spec: ModelSpec, labels: tuple[str, ...], network: nn.Module) -> None:
    """A finished run without pictures, in a new or empty folder. Raises UsageError for a folder in use."""
    if _in_use(folder):
        raise UsageError(f"{folder} is in use", "a new or empty folder for the run", "name another")
    _write_start(folder, recipe, spec, labels, {"source": None, "seed": recipe.seed, "counts": {}, "sha256": {}})
    write_tensors(folder / MODEL, network.state_dict())


@contextmanager
def disk_errors(folder: Path) -> Iterator[None]:
    """Turns an OSError of what is written to `folder` into an InputError of one line."""
    try:
        yield
    except OSError as error:
        raise InputError(
            f"{error.filename or folder} cannot be written ({error.strerror})",
            "a disk with room for the run",
            "make room and go on with --resume: the last whole epoch is kept",
        ) from None


def _in_use(folder: Path) -> bool:
    return folder.exists() and (not folder.is_dir() or any(folder.iterdir()))


def _write_start(
    folder: Path, recipe: Recipe, spec: ModelSpec, labels: tuple[str, ...], record: dict[str, Any]
) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    write_whole(str(folder / DATA), json_bytes(record))
    write_whole(str(folder / LABELS), labels_text(labels).encode())
    write_whole(str(folder / SPEC), spec_text(spec).encode())
    write_whole(str(folder / RECIPE), recipe_text(recipe).encode())


def read_recipe(folder: Path) -> Recipe:
    """The recipe that a run was begun with. Raises FormatError."""
    try:
        return parse_recipe(_read(folder / RECIPE), RECIPE)
    except UsageError as error:
        raise FormatError(f"{folder}: {error.found}", error.expected, "train again") from None


def read_metrics(folder: Path) -> list[EpochMetrics]:
    """What was measured after each epoch, nothing before the first one is done. Raises FormatError."""
    if not (folder / METRICS).exists():
        return []
    try:
        return [EpochMetrics(**json.loads(line)) for line in _read(folder / METRICS).splitlines()]
    except (ValueError, TypeError):
        raise FormatError(f"{folder / METRICS} is damaged", "a line an epoch", "train again") from None


def read_report(folder: Path) -> dict[str, Any]:
    """train.json. Raises FormatError."""
    try:
        found = json.loads(_read(folder / REPORT))
    except ValueError:
        found = None
    if not isinstance(found, dict):
        raise FormatError(f"{folder / REPORT} is damaged", "what `edgewise train` wrote", "train again")
    return found


def hash_parts(data: DataSet) -> dict[str, str]:
    """SHA-256 by part, over the targets and then the pixels."""
    hashes = {}
    for name, part in data.parts.items():
        digest = hashlib.sha256(np.ascontiguousarray(part.targets).data)
        digest.update(np.ascontiguousarray(part.pixels).data)
        hashes[name] = digest.hexdigest()
    return hashes


def json_bytes(fields: Any) -> bytes:
    return (json.dumps(fields, indent=2, sort_keys=True) + "\n").encode()


def _read_data_record(folder: Path) -> tuple[str | None, int, dict[str, str]]:
    """Source, seed and hashes of data.json."""
    try:
        record = json.loads(_read(folder / DATA))
        source, seed, sha256 = record["source"], record["seed"], record["sha256"]
    except (ValueError, KeyError, TypeError):
        source, seed, sha256 = None, None, None
    typed = isinstance(source, str | None) and type(seed) is int and isinstance(sha256, dict)
    if not typed or (source is None) != (not sha256):
        raise FormatError(f"{folder / DATA} is damaged", "source, seed, counts and sha256", "train again")
    return source, seed, sha256


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = "is missing" if isinstance(error, FileNotFoundError) else "cannot be read"
        raise FormatError(f"{path} {reason}", "a run folder that `edgewise train` wrote", "check the path") from None
