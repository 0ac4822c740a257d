"""The verbs that look after the service: install and remove it, supervise it without systemd, show its log, doctor."""

import argparse
import os
import subprocess
import sys

from edge.board import Board
from edge.contract.errors import BoardError
from edge.contract.results import Outcome


def service(board: Board, options: argparse.Namespace) -> Outcome:
    from edge.camera import refuse_password
    from edge.service import install_service, remove_service

    if options.remove:
        done = remove_service(board)
        return Outcome(("the service is removed",), dict(done._asdict()))
    refuse_password(options.source)
    done = install_service(board, options.source, sys.executable)
    return Outcome(("{} runs: {}".format(done.unit, done.status),), dict(done._asdict()))


def supervise(board: Board, options: argparse.Namespace) -> Outcome:
    from edge.camera import refuse_password, set_camera
    from edge.supervise import LOG
    from edge.supervise import supervise as keep_running

    refuse_password(options.source)
    set_camera(board, options.source)
    command = [board.path("edgewise"), "serve", options.source]
    keep_running(command, dict(os.environ, EDGEWISE_PYTHON=sys.executable), board.path(LOG))
    return Outcome((), {})


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
