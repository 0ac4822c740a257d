"""`learned` and its parts: list, show, undo, deepen, noticed, confirm, export, import, check.

A part takes the network, the store and the command's options. It returns lines for a person, fields for --json, and
what the board now knows, or None where a part does not change or tell that.
"""

import argparse
import hashlib
import os
import time
from typing import Any, Callable, Dict, List, Optional, Tuple

from edge.backbone import Backbone
from edge.contract.errors import BoardError, FormatError, InputError
from edge.contract.files import write_whole
from edge.deep_lesson import deepen_lesson
from edge.exchange import export_learned, import_learned
from edge.learned_file import MAX_BYTES
from edge.lessons import Learned, examples_of, learned, undo
from edge.noticing import confirm
from edge.preprocess import decode_bytes
from edge.recall import recall
from edge.rows import ExampleRow
from edge.store import Store

Answer = Tuple[List[str], Dict[str, Any], Optional[Learned]]


def list_learned(backbone: Backbone, store: Store, options: argparse.Namespace) -> Answer:
    found = learned(backbone, store)
    rows = [row for row in found.examples if options.person in (None, row.person)]
    lines = [_line(row) for row in rows]
    looks = store.looks()
    lines += ["lesson {}: the look {}, {}".format(look.lesson, look.name, look.taken) for look in looks]
    fields = {"examples": [dict(row._asdict()) for row in rows]}
    passes = store.deepened()
    lines += ["lesson {}: the network's last blocks retrained, {}: {}".format(p.lesson, p.taken, p.why) for p in passes]
    fields["passes"] = [{"lesson": each.lesson, "why": each.why, "taken": each.taken} for each in passes]
    fields["looks"] = [{"lesson": look.lesson, "name": look.name, "taken": look.taken} for look in looks]
    return lines, fields, found


def show(backbone: Backbone, store: Store, options: argparse.Namespace) -> Answer:
    """One example: all that is kept of it. With --out, its picture as the network saw it."""
    rows = {row.id: row for row in examples_of(backbone, store)}
    if options.id not in rows:
        raise InputError("no example {}".format(options.id), "an id that `edgewise learned` lists", "check the id")
    row, whole = rows[options.id], store.whole(options.id)
    networks = [{"network": key.backbone, "look": key.look, "codes": len(values)} for key, values in whole.codes]
    lines = [_line(row), "taught by: {}".format(row.person or "nobody named")]
    for each in networks:
        its = _name_of(backbone, each["network"])
        lines.append("{} codes of {}, {}".format(each["codes"], its, each["network"][:12]))
    if options.out:
        if whole.picture is None:
            raise InputError("example {} kept no picture".format(row.id), "--keep-pictures", "teach with it")
        _write(options.out, whole.picture)
        lines.append("its picture: {}".format(options.out))
    return lines, dict(row._asdict(), networks=networks), None


def undo_lessons(backbone: Backbone, store: Store, options: argparse.Namespace) -> Answer:
    done = undo(backbone, store, options.lesson)
    lines = ["taken back: {} examples, {} looks".format(len(done.examples), len(done.looks))] + passes_lines(
        done.passes
    )
    fields = {"examples": [row.id for row in done.examples], "looks": done.looks, "passes": done.passes}
    return lines, fields, done.learned


def deepen(backbone: Backbone, store: Store, options: argparse.Namespace) -> Answer:
    report = deepen_lesson(backbone, store, time.time(), lambda stage, step, steps: None)
    attempt = report.attempt
    word = "the network's last blocks are retrained" if attempt.promoted else "nothing is changed: it is no better"
    fields = {"promoted": attempt.promoted, "left_out": attempt.left_out, "known": attempt.known}
    return ["{} ({})".format(word, attempt.why)], fields, report.learned


def passes_lines(passes: int) -> List[str]:
    """For a person, if deeper passes went with what was taken back."""
    if not passes:
        return []
    return ["what was retrained with it is gone, too: `edgewise learned deepen` retrains on what is left"]


def noticed(backbone: Backbone, store: Store, options: argparse.Namespace) -> Answer:
    rows = store.noticed()
    lines = []
    for row in rows:
        said = "what is this? {} {:.2f}, or {}" if row.question else "sure: {} {:.2f}"
        kept = ", picture kept" if row.has_picture else ""
        named = said.format(row.label, row.score, row.rival)
        lines.append("{:>5}  {}  {}  {}{}".format(row.id, row.taken, named, row.source, kept))
        picture = store.noticed_picture(row.id)
        if options.out and picture is not None:
            _write(os.path.join(options.out, "{}.png".format(row.id)), picture)
    return lines or ["nothing was noticed"], {"noticed": [dict(row._asdict()) for row in rows]}, None


def confirm_noticed(backbone: Backbone, store: Store, options: argparse.Namespace) -> Answer:
    done = confirm(backbone, store, options.ids, options.label, options.person)
    lines = ["{} examples taught as {}".format(len(done.ids), ", ".join(done.labels))]
    return lines, {"ids": done.ids, "labels": done.labels}, done.learned


def export(backbone: Backbone, store: Store, options: argparse.Namespace) -> Answer:
    data = export_learned(backbone, store)
    _write(options.file, data)
    rows, looks = len(examples_of(backbone, store)), len(store.looks())
    lines = ["{}: {} examples, {} looks, {:,} bytes".format(options.file, rows, looks, len(data))]
    lines.append("keep it as you would the pictures: features tell about persons too")
    return lines, {"file": options.file, "examples": rows, "looks": looks, "bytes": len(data)}, None


def import_file(backbone: Backbone, store: Store, options: argparse.Namespace) -> Answer:
    try:
        with open(options.file, "rb") as file:
            data = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise InputError(
            "{}: {}".format(options.file, error.strerror), "a file of `learned export`", "check the path"
        ) from None
    done = import_learned(backbone, store, data)
    lines = ["{} examples and {} looks added".format(len(done.ids), len(done.looks))]
    if done.passed_over:
        lines.append("{} examples were here already".format(done.passed_over))
    return lines, {"ids": done.ids, "passed_over": done.passed_over, "looks": done.looks}, done.learned


def check(backbone: Backbone, store: Store, options: argparse.Namespace) -> Answer:
    """Whether all that was taught is there and sound. Raises FormatError with what is wrong."""
    wrong = store.check() + _unreadable(backbone, store)
    if wrong:
        raise FormatError("; ".join(wrong[:5]), "a sound store", "forget what is named, or import an export")
    heads = [_fingerprint(recall(backbone, store).head) for _ in range(2)]
    if heads[0] != heads[1]:
        raise FormatError("two heads from the same examples", "the same bits", "set OPENBLAS_NUM_THREADS=1")
    rows, looks = len(examples_of(backbone, store)), len(store.looks())
    lines = ["sound: {} examples, {} looks; nothing that was forgotten is left in the file".format(rows, looks)]
    lines.append("head: {} (the same examples give the same one)".format(heads[0]))
    return lines, {"examples": rows, "looks": looks, "head": heads[0]}, None


PARTS: Dict[str, Callable[[Backbone, Store, argparse.Namespace], Answer]] = {
    "list": list_learned,
    "show": show,
    "undo": undo_lessons,
    "deepen": deepen,
    "noticed": noticed,
    "confirm": confirm_noticed,
    "export": export,
    "import": import_file,
    "check": check,
}


def _line(row: ExampleRow) -> str:
    text = "{:>5}  lesson {:<3}  {}  {}".format(row.id, row.lesson, row.taken, row.label)
    by = "  by {}".format(row.person) if row.person else ""
    notes = [note for note, holds in (("picture kept", row.has_picture), ("set aside", not row.used)) if holds]
    return "{}{}  {}{}".format(text, by, row.source, "".join(", " + note for note in notes))


def _name_of(backbone: Backbone, network: str) -> str:
    if network == backbone.key:
        return "this release's network"
    if backbone.deep is not None and network == backbone.deep.body_key:
        return "its first layers, for the deeper pass"
    return "another network"


def _unreadable(backbone: Backbone, store: Store) -> List[str]:
    found = []
    for row in examples_of(backbone, store):
        if row.has_picture:
            try:
                decode_bytes(store.whole(row.id).picture or b"", "the picture of example {}".format(row.id))
            except InputError as error:
                found.append(error.found)
    return found


def _fingerprint(head: Any) -> str:
    """Hex sha256 of every bit of the head."""
    parts = [head.weights.tobytes(), head.bias.tobytes(), repr((head.labels, head.temperature)).encode("utf-8")]
    parts.append(b"" if head.own is None else head.own.tobytes())
    return hashlib.sha256(b"".join(parts)).hexdigest()


def _write(path: str, data: bytes) -> None:
    try:
        write_whole(os.path.abspath(path), data, mode=0o600)
    except OSError as error:
        raise BoardError("{}: {}".format(path, error.strerror), "a file that can be written", "name another") from None
