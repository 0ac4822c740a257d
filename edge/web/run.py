"""`run --web`: a camera with its page, until Ctrl-C or until another release is current."""

import argparse
import os
from typing import Callable, Mapping, Optional

from edge.board import Board, current_name
from edge.camera import is_lent
from edge.contract.errors import InputError, UsageError
from edge.contract.results import FrameResult, Outcome
from edge.loop import Tally
from edge.serve import LAST_RETRY_S, Learnt, watch
from edge.sources import Frame, Source, open_source
from edge.verbs import open_learned, this_release
from edge.watch import Lines, summed_up
from edge.web.address import parse_address
from edge.web.page import Settings, open_page


class _Printed:
    """What a person at the terminal is told, and how the run went."""

    def __init__(self, lines: Lines) -> None:
        self.tally = Tally()
        self._lines = lines

    def seen(self, frame: Frame, result: FrameResult) -> None:
        self.tally.add(result)
        self._lines.seen(frame, result)

    def away(self, error: Exception) -> None:
        self._lines.said("waiting for the camera: {}".format(error))

    def lent(self) -> None:
        self._lines.said("a release on trial has the camera")


def run_with_page(
    board: Board,
    options: argparse.Namespace,
    print_line: Callable[[str], None],
    ask_password: Callable[[str], Optional[str]],
    environment: Mapping[str, str],
) -> Outcome:
    """As `run`, but a lost camera is waited for, and a film or a folder is shown again and again at its own pace.

    With `left` among the outcome's fields, another release is current. Parameters and errors as those of open_page().
    """
    _refuse_others(options)
    settings = Settings(parse_address(options.web), options.tls, options.keep_pictures, options.person)
    release = this_release()
    name = os.path.basename(release.path)
    lines = Lines(print_line, options.json)
    printed = _Printed(lines)
    with open_learned(board) as store:
        learnt = Learnt(release, store, options.false_alarms)
        with open_page(board, release.path, learnt, settings, ask_password, environment) as page:
            for line in page.lines:
                lines.said(line)
            try:
                watch(
                    lambda: _open(options.source),
                    learnt.classify,
                    learnt.check,
                    [printed, page],
                    lambda: current_name(board) == name,
                    lambda: is_lent(board),
                    LAST_RETRY_S,
                    page.wait,
                )
            except KeyboardInterrupt:
                return summed_up(printed.tally, ())
    outcome = summed_up(printed.tally, ())
    return outcome._replace(fields=dict(outcome.fields, left=name))


def _open(text: str) -> Source:
    """A camera may come back; what is no camera and cannot be opened was typed wrong."""
    try:
        return open_source(text)
    except InputError as error:
        raise UsageError(error.found, error.expected, error.remedy) from None


def _refuse_others(options: argparse.Namespace) -> None:
    given = (options.show, options.out, options.teach is not None, options.notice, options.no_look)
    flags = ("--show", "--out", "--teach", "--notice", "--no-look")
    for flag in (flag for flag, is_given in zip(flags, given) if is_given):
        raise UsageError("--web with {}".format(flag), "one of them", "teach on the page")
