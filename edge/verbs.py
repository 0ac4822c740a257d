"""The board's verbs: what each is given on the command line, and what it answers.

A verb takes the board and its options and returns an Outcome; `run`, which goes on for as long as its source does, is
in edge/watch.py.
"""

import argparse
import json
import os
import time
from contextlib import contextmanager
from typing import Any, Callable, Dict, Iterable, Iterator, List, Tuple

from edge.board import Board
from edge.contract.errors import BoardError, InputError
from edge.contract.results import BUSY, RETRAINED, Outcome


def install(board: Board, options: argparse.Namespace) -> Outcome:
    from edge.camera import camera_of
    from edge.install import install as install_archive
    from edge.trial import trial_process

    trial = trial_process(board, camera_of(board), os.environ)
    done = install_archive(board, os.path.abspath(options.archive), trial, _refuse(board, options))
    return Outcome(("{} is {}".format(done.release, done.state),), dict(done._asdict()))


def receive(board: Board, options: argparse.Namespace, say: Callable[[str], None], told: Iterable[str]) -> Outcome:
    """Says what is missing; then each line of `told` names a file that has come, and a last one says that all is sent.

    Where `told` ends without that word the desk was lost: nothing is installed, and what came stays. When all is in its
    place, and the trial begins, it says that the release is staged.
    """
    from edge.install import receive as receive_release

    def arrive(incoming: Any, absent: Tuple[str, ...]) -> None:
        say(json.dumps({"missing": absent}))
        for line in told:
            if line == "done\n":
                return
            incoming.check(line.rstrip("\n"))
        raise InputError("the desk ended half-way", "all that is missing", "flash again")

    def trial(release: str) -> object:
        say(json.dumps({"staged": os.path.basename(release)}))
        from edge.camera import camera_of  # not above: until now the desk has waited
        from edge.trial import trial_process

        return trial_process(board, camera_of(board), os.environ)(release)

    done = receive_release(board, os.path.abspath(options.folder), arrive, trial, _refuse(board, options))
    return Outcome(("{} is {}".format(done.release, done.state),), dict(done._asdict()))


def _refuse(board: Board, options: argparse.Namespace) -> Callable[[Any], None]:
    def refuse(release: Any) -> None:
        if not options.set_aside and os.path.exists(learned_path(board)):
            from edge.moving import refuse_to_set_aside

            refuse_to_set_aside(board, release)

    return refuse


def golden(board: Board, options: argparse.Namespace) -> Outcome:
    from edge.choice import prove
    from edge.engines import find_kind
    from edge.release import open_release

    report = prove(board, open_release(os.path.abspath(options.release)), find_kind(options.engine))
    return Outcome(("the golden vectors hold",), dict(report._asdict()))


def frames(board: Board, options: argparse.Namespace) -> Outcome:
    """Nothing of what this board has learnt is opened: a release on trial must not touch it."""
    from edge.classifier import open_classifier
    from edge.fresh_frames import check_frames
    from edge.release import open_release
    from edge.sources import find_feed
    from edge.store import open_store

    with open_store(":memory:") as nothing:
        classifier = open_classifier(open_release(os.path.abspath(options.release)), nothing)
    report = check_frames(find_feed(options.source), classifier.classify_prepared, classifier.prepare)
    return Outcome(("{} frames classified, the last as {}".format(*report),), dict(report._asdict()))


def status(board: Board, options: argparse.Namespace) -> Outcome:
    from edge.install import status as read_status
    from edge.moving import runs_retrained

    report, is_retrained = read_status(board), runs_retrained(board)
    lines = ["current: {}".format(report.current), "previous: {}".format(report.previous)]
    lines += ["{}: {} {}".format(name, entry.state, entry.why).strip() for name, entry in report.releases.items()]
    lines += [BUSY] if report.busy else []
    lines += [RETRAINED] if is_retrained else []
    fields = dict(report._asdict(), retrained=is_retrained)
    fields["releases"] = {name: dict(entry._asdict()) for name, entry in report.releases.items()}
    if report.current is not None:
        fields["engine"] = _engine(board, report.current)
        lines.append("engine: {name} ({why})".format(**fields["engine"]))
    return Outcome(tuple(lines), fields)


def _engine(board: Board, current: str) -> Dict[str, Any]:
    """What the current release runs with, why, and the measurement of all engines, if one holds."""
    from edge.choice import choose_engine
    from edge.engine_record import measured_fields
    from edge.release import open_release

    choice = choose_engine(board, open_release(board.release(current)))
    measured = measured_fields(choice.measured) if choice.measured else None
    return {"name": choice.kind.name, "form": choice.kind.form, "why": choice.why, "measured": measured}


def rollback(board: Board, options: argparse.Namespace) -> Outcome:
    from edge.install import rollback as roll_back
    from edge.trial import golden_process

    done = roll_back(board, golden_process(board.root, os.environ))
    return Outcome(("{} is current".format(done.release),), dict(done._asdict()))


def recover(board: Board, options: argparse.Namespace) -> Outcome:
    from edge.board import current_name
    from edge.recovery import recover as put_right

    changed = put_right(board)
    current = current_name(board)
    return Outcome(("current: {}".format(current or "nothing"),), {"current": current, "changed": changed})


def rotate(board: Board, options: argparse.Namespace) -> Outcome:
    from edge.install import rotate as rotate_key

    try:
        with open(options.rotation, "rb") as file:
            data = file.read()
    except OSError as error:
        raise InputError(str(error), "a rotation", "name NAME.rotation") from None
    done = rotate_key(board, data)
    return Outcome(("{} took the place of {}".format(done.trusted, done.retired),), dict(done._asdict()))


def teach(board: Board, options: argparse.Namespace) -> Outcome:
    from edge import lessons
    from edge.pictures import read_pictures

    pictures, skipped = read_pictures(options.pictures)
    with _learning(board) as (backbone, store):
        report = lessons.teach(
            backbone, store, options.label, pictures, options.keep_pictures, time.time(), options.person
        )
    kind = "a new class" if report.new_class else "a class of the release"
    lines = ["{} pictures taught as {} ({})".format(len(report.ids), report.label, kind)]
    fields = {"label": report.label, "new_class": report.new_class, "ids": report.ids}
    return _outcome(lines + _skipped_lines(skipped), dict(fields, skipped=[list(s) for s in skipped]), report.learned)


def fit(board: Board, options: argparse.Namespace) -> Outcome:
    from edge import lessons
    from edge.pictures import folder_label, read_pictures

    pictures, skipped = read_pictures(options.pictures)
    labels = [folder_label(picture.source) for picture in pictures] if options.labelled else None
    with _learning(board) as (backbone, store):
        report = lessons.fit(backbone, store, pictures, labels, time.time(), lambda tried, of: None)
    choice = report.choice
    word = "the look is now" if choice.changed else "the look stays"
    lines = ["{} {} ({})".format(word, choice.look.name, choice.why)] + _skipped_lines(skipped)
    fields = {"look": choice.look.name, "changed": choice.changed, "why": choice.why, "pictures": report.pictures}
    return _outcome(lines, dict(fields, skipped=[list(s) for s in skipped]), report.learned)


def forget(board: Board, options: argparse.Namespace) -> Outcome:
    from edge import lessons
    from edge.learned import passes_lines

    with _learning(board) as (backbone, store):
        if options.label is not None:
            report = lessons.forget_label(backbone, store, options.label)
        elif options.id:
            report = lessons.forget_examples(backbone, store, options.id)
        elif options.person is not None:
            report = lessons.forget_person(backbone, store, options.person)
        elif options.last:
            report = lessons.forget_last(backbone, store)
        elif options.noticed:
            report = lessons.forget_noticed(backbone, store)
        elif options.deeper:
            report = lessons.forget_deeper(backbone, store)
        elif options.look:
            report = lessons.forget_look(backbone, store)
        else:
            report = lessons.forget_everything(backbone, store)
    lines = ["forgotten: {} examples, {} looks".format(len(report.examples), len(report.looks))]
    lines += passes_lines(report.passes)
    fields = {"examples": [row.id for row in report.examples], "looks": report.looks, "passes": report.passes}
    return _outcome(lines, fields, report.learned)


def learned(board: Board, options: argparse.Namespace) -> Outcome:
    from edge.learned import PARTS

    with _learning(board) as (backbone, store):
        lines, fields, found = PARTS[options.part or "list"](backbone, store, options)
    return _outcome(lines, fields, found) if found else Outcome(tuple(lines), fields)


@contextmanager
def _learning(board: Board) -> Iterator[Tuple[Any, Any]]:
    """The network of this release and what the board has learnt."""
    from edge.choice import open_network

    with open_learned(board) as store:
        yield open_network(board, this_release()), store


@contextmanager
def open_learned(board: Board) -> Iterator[Any]:
    """What the board has learnt, made when there is nothing yet."""
    from edge.store import open_store

    os.makedirs(board.path("personal"), exist_ok=True)
    with open_store(learned_path(board)) as store:
        yield store


def learned_path(board: Board) -> str:
    return board.path("personal", "learned.sqlite")


def this_release() -> Any:
    """The release whose runtime this is: the launcher resolved `current` once, and nothing resolves it again."""
    from edge.release import open_release

    folder = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
    if not os.path.exists(os.path.join(folder, "manifest.json")):
        raise BoardError("this edgewise belongs to no release", "the board's own", "start ROOT/edgewise instead")
    return open_release(folder)


def _outcome(lines: List[str], fields: dict, found: Any) -> Outcome:
    """Adds what the board now knows, whether that is enough, and what it costs the release's own classes."""
    from edge.enough import enough_fields, enough_lines

    verdict = found.verdict
    lines = list(lines)
    lines.append("look: {}".format(found.look))
    lines += enough_lines(verdict.enough)
    if found.retrained:
        lines.append(RETRAINED)
        lines.append("judged by examples that it had not seen: {}; the counts above flatter it".format(found.retrained))
    if found.set_aside:
        lines.append("{} examples are set aside: of another look or release".format(found.set_aside))
    lines.append(
        "the release's own classes, on pictures held out: {:.1%} before, {:.1%} now".format(
            verdict.before, verdict.after
        )
    )
    fields = dict(fields, look=found.look, set_aside=found.set_aside, solve_ms=round(found.solve_ms, 3))
    fields["retrained"] = found.retrained
    fields["verdict"] = dict(verdict._asdict(), enough=enough_fields(verdict.enough))
    return Outcome(tuple(lines), fields)


def _skipped_lines(skipped: List[Any]) -> List[str]:
    return ["skipped {}: {}".format(s.source, s.why) for s in skipped]
