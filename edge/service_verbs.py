"""The verbs that look after the service: install and remove it, supervise it without systemd, show its log, doctor."""

import argparse
import os
import subprocess
import sys
from typing import Callable, Optional, Tuple

from edge.board import Board
from edge.contract.errors import BoardError, UsageError
from edge.contract.results import Outcome

Ask = Callable[[str], Optional[str]]  # what a person types after a question, or None where nobody is asked


def service(board: Board, options: argparse.Namespace, ask: Ask) -> Outcome:
    from edge.camera import refuse_password
    from edge.service import install_service, remove_service

    if options.remove:
        done = remove_service(board)
        return Outcome(("the service is removed",), dict(done._asdict()))
    refuse_password(options.source)
    page, is_open = _page(options)
    done = install_service(board, options.source, sys.executable, page, ask if is_open else None)
    return Outcome(("{} runs: {}".format(done.unit, done.status),), dict(done._asdict()))


def supervise(board: Board, options: argparse.Namespace, ask: Ask) -> Outcome:
    from edge.camera import refuse_password, set_camera
    from edge.supervise import LOG
    from edge.supervise import supervise as keep_running
    from edge.web.password import PASSWORD, known_password

    refuse_password(options.source)
    page, is_open = _page(options)
    if is_open:
        os.makedirs(board.path("personal"), exist_ok=True)
        known_password(board.path("personal", PASSWORD), ask)
    set_camera(board, options.source)
    command = [board.path("edgewise"), "serve", options.source, *page]
    keep_running(command, dict(os.environ, EDGEWISE_PYTHON=sys.executable), board.path(LOG))
    return Outcome((), {})


def _page(options: argparse.Namespace) -> Tuple[Tuple[str, ...], bool]:
    """What to tell `serve` of the page, and whether that needs a password. Raises UsageError."""
    from edge.web.address import parse_address

    if options.web is None:
        if options.tls or options.keep_pictures or options.collect:
            raise UsageError("an option of the page without --web", "the page", "add --web, or leave it out")
        return (), False
    words = ["--web", options.web]
    if options.tls:
        words += ["--tls", os.path.abspath(options.tls)]
    words += ["--keep-pictures"] * options.keep_pictures + ["--collect"] * options.collect
    return tuple(words), not parse_address(options.web).is_loopback


def logs(board: Board, options: argparse.Namespace) -> Outcome:
    """With --follow this process becomes the one that shows them."""
    from edge.logs import find_log

    log = find_log(board, options.lines, options.follow)
    if options.follow:
        os.execvp(log.command[0], log.command)
    done = subprocess.run(log.command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    hidden = b"insufficient permissions", b"not seeing messages"
    if done.returncode != 0 or any(words in done.stderr for words in hidden):
        raise BoardError(
            "{} cannot be read".format(log.place),
            "a user in the group systemd-journal",
            "run `sudo usermod -aG systemd-journal $USER` and log in again",
        )
    lines = done.stdout.decode("utf-8", "replace").splitlines()
    return Outcome(tuple(lines), {"place": log.place, "lines": lines})


def doctor(board: Board, options: argparse.Namespace) -> Outcome:
    from edge.doctor.report import examine

    return examine(board.root, os.environ)
