"""The board's command line: ROOT/edgewise VERB. Only this file prints and exits."""

import errno
import faulthandler
import getpass
import importlib
import json
import os
import platform
import signal
import sys
import warnings

from edge.board import Board
from edge.command_line import make_parser
from edge.contract.boards import find_board
from edge.contract.errors import BoardError, EdgewiseError
from edge.contract.packages import add_packages
from edge.contract.results import Outcome

_RUNTIME = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
_AGAIN = "import runpy, sys; sys.path[0] = sys.argv.pop(1); runpy.run_module('edge', run_name='__main__')"
_IN_A_PIPE = "@/dev/fd/"  # a source that can be read once
_SOURCES = ("run", "collect", "serve", "frames", "soak")
_LEARNING = ("run", "teach", "fit", "forget", "learned", "alerts", "engines")
_SERVICE = ("supervise", "service", "logs", "doctor")
_ENGINES = ("timing", "soak")
_DISK = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EFBIG, errno.EIO)  # what a file met, and no fault of edgewise


def main(arguments: list) -> int:
    """Runs one verb. 0: done. 1: refused or failed, with one line. 2: wrong use."""
    options = make_parser().parse_args(arguments)
    if options.verb in _SOURCES:
        _hide_passwords(arguments)
    board = Board(os.path.abspath(options.board), platform.machine(), find_board())
    add_packages(board.root, sys.path)
    try:
        if options.verb in _LEARNING:
            _recover(board, arguments)
        outcome = _call(board, options)
        if options.verb == "run" and "left" in outcome.fields and not any(_IN_A_PIPE in word for word in arguments):
            _start_current(board, arguments)  # the page went back to another release, which goes on
        _say(outcome, options)
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:  # the reader, `head` for one, has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except Exception as error:
        if options.debug:
            raise
        return _report(error, options.json)
    return outcome.exit_code


def _say(outcome, options):
    for line in outcome.lines:
        print(line, file=sys.stderr if options.json else sys.stdout)
    if options.json and options.verb != "run":
        print(json.dumps(outcome.fields))
    sys.stdout.flush()  # here, where a reader that has seen enough is no fault


def _hide_passwords(arguments):
    """Starts anew with each address that holds a password in a pipe: every user may read a process's arguments."""
    from edge.address import hidden

    kept = list(arguments)
    for place, word in enumerate(arguments):
        flag, equals, value = word.partition("=") if word.startswith("--") else ("", "", word)
        if hidden(value) != value:
            out, into = os.pipe()
            os.write(into, value.encode("utf-8") + b"\n")
            os.close(into)
            os.set_inheritable(out, True)
            kept[place] = flag + equals + _IN_A_PIPE + str(out)
    if kept != arguments:
        os.execv(sys.executable, [sys.executable, "-B", "-c", _AGAIN, _RUNTIME] + kept)


def _call(board, options):
    if options.verb == "run" and options.web is not None:
        from edge.web.run import run_with_page

        return run_with_page(board, options, _print_now, _ask_secret, os.environ)
    if options.verb == "run":
        from edge.watch import run

        return run(board, options, _print_now)
    if options.verb == "alerts":
        from edge.alerts.verb import alerts

        return alerts(board, options)
    if options.verb == "collect":
        from edge.collect import collect

        has_display = bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))
        return collect(options, has_display, _print_progress if options.json else _print_now)
    if options.verb == "serve":
        return _serve(board, options)
    if options.verb == "completion":
        from edge.completion import bash_script

        return Outcome(tuple(bash_script(make_parser()).splitlines()), {})
    if options.verb == "receive":
        from edge.verbs import receive

        return receive(board, options, _print_now, sys.stdin)
    if options.verb == "engines":
        from edge.engine_verbs import engines

        return engines(board, options, _print_progress)
    if options.verb == "supervise":
        signal.signal(signal.SIGTERM, signal.default_int_handler)  # so that it ends its process, too
    if options.verb in ("service", "supervise"):
        return getattr(importlib.import_module("edge.service_verbs"), options.verb)(board, options, _ask_secret)
    module = "edge.service_verbs" if options.verb in _SERVICE else "edge.verbs"
    if options.verb in _ENGINES:
        module = "edge.engine_verbs"
    return getattr(importlib.import_module(module), options.verb)(board, options)


def _serve(board, options):
    from edge.notify import Notifier
    from edge.serve import serve

    faulthandler.enable()  # by SIGABRT the watchdog makes it say where it hangs
    watchdog_s = int(os.environ.get("WATCHDOG_USEC", 0)) / 1e6
    notifier = Notifier(os.environ.get("NOTIFY_SOCKET"))
    return serve(board, options, notifier, watchdog_s or None, _print_now, os.environ)


def _print_now(line):
    print(line, flush=True)


def _ask_secret(question):
    """What a person types without showing it; None where nobody sits at a terminal."""
    return getpass.getpass(question) if sys.stdin.isatty() else None


def _print_progress(line):
    print(line, file=sys.stderr, flush=True)


def _recover(board, arguments):
    """After a power cut in the middle of a flash, goes back to the last good release and starts that one instead."""
    from edge.board import BoardBusy
    from edge.recovery import recover

    try:
        if recover(board):
            _start_current(board, arguments)
    except BoardBusy:
        pass  # a flash is going on; what is current runs until it is done


def _start_current(board, arguments):
    """Becomes the current release's own command, with the same arguments."""
    os.execv(board.path("edgewise"), [board.path("edgewise")] + arguments[arguments.index(board.root) + 1 :])


def _report(error: Exception, as_json: bool) -> int:
    """One line on stderr, or with --json one object on stdout. Returns the exit code."""
    if isinstance(error, OSError) and error.errno in _DISK:
        found = "{}: {}".format(error.filename or "a file", error.strerror)
        error = BoardError(found, "a disk with room that can be written", "free some space, or check the disk")
    if isinstance(error, ModuleNotFoundError) and error.name and error.name.split(".")[0] != "edge":
        found = "{} has no {}".format(sys.executable, error.name)
        error = BoardError(found, "numpy, onnxruntime and OpenCV", "ask `edgewise doctor`, or set EDGEWISE_PYTHON")
    if isinstance(error, EdgewiseError):
        fields = {"found": error.found, "expected": error.expected, "remedy": error.remedy}
        line, code = str(error), error.exit_code
    else:
        line = "{}: {}; this is a fault of edgewise; run again with --debug".format(type(error).__name__, error)
        fields, code = {"found": line}, 1
    if as_json:
        print(json.dumps({"error": dict(fields, kind=type(error).__name__)}))
    else:
        print("edgewise: " + " ".join(line.split()), file=sys.stderr)
    return code


def _settle_environment():
    """What libraries read when they are loaded, so before any verb imports one."""
    warnings.filterwarnings("ignore", message="Python 3.6 is no longer supported")  # cryptography 40, on a Nano
    os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")  # quiet: what is wrong with a film is said in our own line
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # one order of sums, so that a head is the same bits each time
    if platform.machine() == "aarch64":
        os.environ.setdefault("OPENBLAS_CORETYPE", "ARMV8")  # numpy 1.19 on a Jetson, numpy#18131


if __name__ == "__main__":
    _settle_environment()
    sys.exit(main(sys.argv[1:]))
