"""A run's INT8 folder and the board's runtime -> one signed release archive."""

import hashlib
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path

import edge.contract.errors
from deploy.archive import archive_bytes
from deploy.keys import key_id, load_private_key
from edge.contract.errors import FormatError, GateError, InputError
from edge.contract.files import read_pieces, write_whole
from edge.contract.labels import parse_labels
from edge.contract.manifest import REQUIRED, SCHEMA, FileEntry, Manifest, manifest_bytes, release_id
from edge.contract.spec import ModelSpec, parse_spec_text

RUNTIME = "runtime/edge/"
REPORT = "report.json"
FROM_INT8 = tuple(name for name in REQUIRED if not name.startswith(RUNTIME))
DEEP = "deep"  # the folder of `edgewise quantize --deeper`
_RUNTIME_ENDINGS = (".py", ".json", ".html", ".css", ".js", ".svg")  # code, and the page that it serves


@dataclass(frozen=True)
class PackReport:
    archive: Path
    archive_bytes: int
    content_bytes: int  # of the files in it
    files: int
    release: str
    name: str
    version: str
    counter: int
    key_id: str


def pack(
    run: Path,
    key: Path,
    created: datetime,
    *,
    out: Path | None = None,
    name: str | None = None,
    version: str = "1",
    counter: int | None = None,
    boards: tuple[str, ...] = ("any",),
) -> PackReport:
    """Signs RUN/int8/ and the installed `edge` package with the private key in the file `key`.

    `name` is by default the run folder's, `counter` the seconds from 1970 to `created` (so it rises by itself), `out`
    RUN/NAME-VERSION.edge. The same arguments and files give the same bytes. Raises InputError for a missing file or
    key, GateError for an INT8 folder that is not ready or was changed, FormatError for a malformed one.
    """
    private = load_private_key(key)
    sources = _int8_files(run / "int8") | _runtime_files()
    spec = _checked_spec(run / "int8")
    name = name or _default_name(run)
    manifest = Manifest(
        schema=SCHEMA,
        name=name,
        version=version,
        counter=int(created.timestamp()) if counter is None else counter,
        created=created.astimezone(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ"),
        boards=boards,
        model=spec,
        files={path: FileEntry(source.stat().st_size, _sha256(source)) for path, source in sources.items()},
    )
    _check_certified(run / "int8", manifest)
    data = manifest_bytes(manifest)
    out = out or run / f"{name}-{version}.edge"
    contents = [(path, manifest.files[path].size_bytes, _pieces(sources[path])) for path in sorted(sources)]
    archive = archive_bytes(data, private.sign(data), contents)
    try:
        write_whole(str(out), archive)
    except OSError as error:
        raise InputError(f"{out}: {error.strerror}", "a place that can be written", "name another with --out") from None
    return PackReport(
        archive=out,
        archive_bytes=len(archive),
        content_bytes=sum(entry.size_bytes for entry in manifest.files.values()),
        files=len(manifest.files),
        release=release_id(data),
        name=name,
        version=version,
        counter=manifest.counter,
        key_id=key_id(private.public_key()),
    )


def _int8_files(folder: Path) -> dict[str, Path]:
    files = {name: folder / name for name in FROM_INT8}
    for path in [*files.values(), folder / "spec.json"]:
        if path.is_symlink() or not path.is_file():
            raise InputError(
                f"{path} is missing",
                "the files of `edgewise quantize` on a data set with labels",
                "quantize the run so",
            )
    return files | {f"{DEEP}/{path.name}": path for path in sorted((folder / DEEP).glob("*"))}


def _runtime_files() -> dict[str, Path]:
    """The source files of the installed `edge` package by their path in the release."""
    package = Path(edge.contract.errors.__file__).resolve().parents[1]
    kept = (path for path in sorted(package.rglob("*")) if path.suffix in _RUNTIME_ENDINGS)
    return {RUNTIME + path.relative_to(package).as_posix(): path for path in kept}


def _checked_spec(folder: Path) -> ModelSpec:
    spec = parse_spec_text(_text(folder / "spec.json"))
    labels = parse_labels(_text(folder / "labels.txt"))
    if len(labels) != spec.classes:
        raise FormatError(f"{len(labels)} labels for {spec.classes} classes", "one each", "quantize the run again")
    return spec


def _check_certified(folder: Path, manifest: Manifest) -> None:
    """The report must say that all gates hold, of exactly these files."""
    try:
        report = json.loads(_text(folder / REPORT))
        ready, certified = report.get("ready"), dict(report["files"])
    except (ValueError, KeyError, TypeError, AttributeError):
        raise FormatError(f"{folder / REPORT} is no report", "that of `edgewise quantize`", "quantize again") from None
    if ready is not True:
        raise GateError(
            f"{folder} is not ready for release", "a report in which all gates hold", f"see {REPORT} for what failed"
        )
    for name in sorted((set(FROM_INT8) - {REPORT}) | set(certified)):
        listed = manifest.files.get(name)
        found = listed.sha256 if listed else _sha256(folder / name)
        if certified.get(name) != found:
            raise GateError(f"{folder / name} is not the file that {REPORT} certifies", "the same", "quantize again")


def _default_name(run: Path) -> str:
    return re.sub(r"[^a-z0-9._-]+", "-", run.resolve().name.lower()).strip("-._")[:64] or "release"


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise FormatError(f"{path}: {error}", "UTF-8 text", "quantize the run again") from None


def _sha256(path: Path) -> str:
    digest = hashlib.sha256()
    for piece in _pieces(path):
        digest.update(piece)
    return digest.hexdigest()


def _pieces(path: Path) -> Iterator[bytes]:
    try:
        with path.open("rb") as file:
            yield from read_pieces(file)
    except OSError as error:
        raise InputError(f"{path}: {error.strerror}", "a readable file", "quantize the run again") from None
