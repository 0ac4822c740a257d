"""The board's command line: ROOT/edgewise VERB. Only this file prints and exits."""

import argparse
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
from edge.contract.boards import find_board
from edge.contract.errors import EdgewiseError
from edge.contract.packages import add_packages
from edge.contract.results import Outcome

_EXAMPLE = "Example: edgewise {}. At the desk, --board names it: user@host, or local:DIR; local:board is the default."
_RUNTIME = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
_AGAIN = "import runpy, sys; sys.path[0] = sys.argv.pop(1); runpy.run_module('edge', run_name='__main__')"
_PAGE = "127.0.0.1:8080"
_IN_A_PIPE = "@/dev/fd/"  # a source that can be read once
_SOURCES = ("run", "collect", "serve", "frames", "soak")
_LEARNING = ("run", "teach", "fit", "forget", "learned", "engines")
_SERVICE = ("supervise", "service", "logs", "doctor")
_ENGINES = ("timing", "soak")


def main(arguments: list) -> int:
    """Runs one verb. 0: done. 1: refused or failed, with one line. 2: wrong use."""
    options = _parser().parse_args(arguments)
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
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:  # the reader, `head` for one, has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except Exception as error:
        if options.debug:
            raise
        return _report(error, options.json)
    for line in outcome.lines:
        print(line, file=sys.stderr if options.json else sys.stdout)
    if options.json and options.verb != "run":
        print(json.dumps(outcome.fields))
    return outcome.exit_code


def _hide_passwords(arguments):
    """Starts anew with each address that holds a password in a pipe: every user may read a process's arguments."""
    from edge.address import hidden

    kept = list(arguments)
    for place, word in enumerate(arguments):
        if hidden(word) != word:
            out, into = os.pipe()
            os.write(into, word.encode("utf-8") + b"\n")
            os.close(into)
            os.set_inheritable(out, True)
            kept[place] = _IN_A_PIPE + str(out)
    if kept != arguments:
        os.execv(sys.executable, [sys.executable, "-B", "-c", _AGAIN, _RUNTIME] + kept)


def _call(board, options):
    if options.verb == "run" and options.web is not None:
        from edge.web.run import run_with_page

        return run_with_page(board, options, _print_now, _ask_secret, os.environ)
    if options.verb == "run":
        from edge.watch import run

        return run(board, options, _print_now)
    if options.verb == "collect":
        from edge.collect import collect

        has_display = bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))
        return collect(options, has_display, _print_progress if options.json else _print_now)
    if options.verb == "serve":
        return _serve(board, options)
    if options.verb == "completion":
        from edge.completion import bash_script

        return Outcome(tuple(bash_script(_parser()).splitlines()), {})
    if options.verb == "receive":
        from edge.verbs import receive

        return receive(board, options, _print_now, sys.stdin)
    if options.verb == "engines":
        from edge.engine_verbs import engines

        return engines(board, options, _print_progress)
    if options.verb == "supervise":
        signal.signal(signal.SIGTERM, signal.default_int_handler)  # so that it ends its process, too
    module = "edge.service_verbs" if options.verb in _SERVICE else "edge.verbs"
    if options.verb in _ENGINES:
        module = "edge.engine_verbs"
    return getattr(importlib.import_module(module), options.verb)(board, options)


def _serve(board, options):
    from edge.notify import Notifier
    from edge.serve import serve

    faulthandler.enable()  # by SIGABRT the watchdog makes it say where it hangs
    watchdog_s = int(os.environ.get("WATCHDOG_USEC", 0)) / 1e6
    return serve(board, options, Notifier(os.environ.get("NOTIFY_SOCKET")), watchdog_s or None, _print_now)


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
    from edge.install import recover

    try:
        if recover(board):
            _start_current(board, arguments)
    except BoardBusy:
        pass  # a flash is going on; what is current runs until it is done


def _start_current(board, arguments):
    """Becomes the current release's own command, with the same arguments."""
    os.execv(board.path("edgewise"), [board.path("edgewise")] + arguments[arguments.index(board.root) + 1 :])


def _parser():
    parser = argparse.ArgumentParser(prog="edgewise", description="edgewise on this board")
    parser.add_argument("--board", required=True, metavar="ROOT", help=argparse.SUPPRESS)
    common = argparse.ArgumentParser(add_help=False)
    # Suppressed, or a part's own default would undo what was given before the part's name
    common.add_argument("--json", action="store_true", default=argparse.SUPPRESS, help="JSON on stdout, text on stderr")
    common.add_argument(
        "--debug", action="store_true", default=argparse.SUPPRESS, help="show where an error comes from"
    )
    parser.set_defaults(json=False, debug=False)
    verbs = parser.add_subparsers(dest="verb", metavar="VERB")
    verbs.required = True
    add = lambda name, text, **more: verbs.add_parser(name, help=text, description=text, parents=[common], **more)  # noqa: E731
    _add_learning(add, common)
    _add_engines(add)
    _add_installing(add)
    _add_service(add)
    return parser


def _add_learning(add, common):
    run = add(
        "run",
        "Classify a camera, a film or a folder of pictures.",
        epilog=_EXAMPLE.format("run 0 --show --teach cup pen"),
    )
    run.add_argument(
        "source",
        nargs="*",
        default=["0"],
        help="a camera (0, which is the default, /dev/video1, csi:0), a stream (rtsp://..., http://...), a film, a"
        " picture, a folder of pictures, test: for a pattern, or @FILE for a file with one of these; several take"
        " turns",
    )
    run.add_argument("--out", metavar="FILM", help="write the labelled film, .mp4 or .avi")
    run.add_argument("--show", action="store_true", help="show it in a window, until q or Esc")
    run.add_argument(
        "--false-alarms", type=_share, default=0.05, metavar="SHARE", help="of known things called unknown; 0: none"
    )
    run.add_argument("--min-score", type=_share, default=0.0, metavar="SHARE", help="below it a result is not sure")
    run.add_argument(
        "--smooth", type=_amount, default=0.0, metavar="SECONDS", help="average answers over about so long"
    )
    run.add_argument("--max-fps", type=_amount, default=0.0, metavar="N", help="classify at most so many a second")
    run.add_argument("--skip-still", action="store_true", help="keep the last answer while nothing moves")
    run.add_argument("--profile", metavar="JSON", help="write where the time went, as a Chrome trace")
    run.add_argument("--threads", type=_count, default=1, metavar="N", help="of the network; 1 leaves cores to others")
    run.add_argument("--no-look", action="store_true", help="for pictures that are not this camera's")
    run.add_argument(
        "--teach",
        nargs="*",
        metavar="LABEL",
        help="teach by keys what is in view: 1 to 9 for these labels (the release's own, if none is named), y for the"
        " name shown, u to take the last back",
    )
    run.add_argument("--notice", action="store_true", help="keep steady scenes as evidence and questions for later")
    run.add_argument("--keep-pictures", action="store_true", help="with --teach, --notice or --web: keep pictures, too")
    run.add_argument("--person", default="", help="with --teach or --web: who teaches")
    run.add_argument(
        "--web",
        nargs="?",
        const=_PAGE,
        metavar="ADDRESS:PORT",
        help="serve a page to watch and teach, by default at {} for this machine only; other addresses need a password,"
        " which is asked for".format(_PAGE),
    )
    run.add_argument("--tls", metavar="PEM", help="with --web: a certificate and its key, in one file")
    run.add_argument("--engine", metavar="NAME", help="for this run, instead of what `engines` chose")
    collect = add(
        "collect",
        "Take pictures into a folder that `edgewise train` reads.",
        epilog=_EXAMPLE.format("collect 0 --label cup pen --out photos/ --show"),
    )
    collect.add_argument("source", help="as for `run`, one of them")
    collect.add_argument(
        "--label", required=True, nargs="+", help="what is taken: hold 1 for the first, 2 for the next"
    )
    collect.add_argument("--out", required=True, metavar="DATA", help="the folder; pictures go into DATA/LABEL/")
    collect.add_argument("--all", action="store_true", help="take all that is not like another, without keys")
    collect.add_argument("--show", action="store_true", help="show it in a window, until q or Esc")
    teach = add("teach", "Teach a label from pictures.", epilog=_EXAMPLE.format("teach --label cup cups/"))
    teach.add_argument("pictures", nargs="+", help="pictures, or folders of them")
    teach.add_argument("--label", required=True, help="what they show: a new class, or one that is known")
    teach.add_argument(
        "--keep-pictures", action="store_true", help="keep them, for a new look or network to read again"
    )
    teach.add_argument("--person", default="", help="who teaches, so that `forget --person` can take it back")
    fit = add("fit", "Fit the camera's look from a few of its pictures.", epilog=_EXAMPLE.format("fit snapshots/"))
    fit.add_argument("pictures", nargs="+", help="pictures of different things, or folders of them")
    fit.add_argument("--labelled", action="store_true", help="each picture's folder is its label")
    forget = add("forget", "Take back what was taught.", epilog=_EXAMPLE.format("forget --last"))
    which = forget.add_mutually_exclusive_group(required=True)
    which.add_argument("--last", action="store_true", help="the last lesson")
    which.add_argument("--label", help="every example of a label")
    which.add_argument("--person", help="all that a person taught")
    which.add_argument("--id", type=int, nargs="+", help="examples, by the numbers that `learned` lists")
    which.add_argument("--look", action="store_true", help="the camera's look")
    which.add_argument("--deeper", action="store_true", help="the deeper pass: the release's network runs again")
    which.add_argument("--noticed", action="store_true", help="all that `run --notice` noticed")
    which.add_argument("--everything", action="store_true", help="all examples, looks and deeper passes")
    learned = add(
        "learned", "List, show, undo, export, import or check what was taught.", epilog=_EXAMPLE.format("learned")
    )
    learned.set_defaults(person=None)
    _add_learned(learned.add_subparsers(dest="part", metavar="PART"), common)


def _add_learned(parts, common):
    def add(name, text, example):
        made = parts.add_parser(name, help=text, description=text, parents=[common], epilog=_EXAMPLE.format(example))
        return made.add_argument

    add("list", "Every example and look; without a part, this one.", "learned list --person Ada")(
        "--person", help="only what this person taught"
    )
    option = add("show", "All that is kept of one example.", "learned show 12 --out cup.png")
    option("id", type=int, help="the number that `learned` lists")
    option("--out", metavar="PNG", help="write its picture, if it was kept, as the network saw it")
    add("undo", "Take the newest lesson back, or go back to an earlier one.", "learned undo 3")(
        "lesson", type=int, nargs="?", help="go back to how it was after this lesson; 0: before the first"
    )
    add("deepen", "Retrain the network's last blocks on what was taught; kept only if better.", "learned deepen")
    option = add(
        "noticed", "What `run --notice` noticed, the most telling question first.", "learned noticed --out ask/"
    )
    option("--out", metavar="FOLDER", help="write the pictures that were kept there, each by its number")
    option = add("confirm", "Make examples of what was noticed.", "learned confirm 3 4 --label cup")
    option("ids", type=int, nargs="+", metavar="ID", help="numbers that `learned noticed` lists")
    option("--label", help="what they show; without it, what the network was sure of")
    option("--person", default="", help="who says so")
    add("export", "Write everything learnt into one file.", "learned export mine.learned")(
        "file", help="the file to write"
    )
    add("import", "Add what such a file holds: all of it or nothing.", "learned import mine.learned")(
        "file", help="the file that `learned export` wrote"
    )
    add("check", "Whether all of it is there and sound; prints the head's hash.", "learned check")


def _add_engines(add):
    engines = add(
        "engines",
        "Measure what runs the network fastest on this board, and take that.",
        epilog=_EXAMPLE.format("engines"),
    )
    engines.add_argument("--again", action="store_true", help="measure although nothing has changed")
    engines.add_argument("--use", metavar="NAME", help="take this one, for the service too; `fastest` takes that back")
    engines.add_argument(
        "--set-aside", action="store_true", help="also where what was learnt does not count under another form"
    )
    timing = add("timing", "Time engines of a release folder, in turns.")
    timing.add_argument("release")
    timing.add_argument("engines", nargs="+", metavar="ENGINE")
    soak = add("soak", "Keep the network busy and watch the heat.")
    soak.add_argument("source", nargs="?", help="a camera; without one the golden pixels, again and again")
    soak.add_argument("--seconds", type=float, default=60.0)


def _share(text):
    share = float(text)
    if not 0 <= share < 1:
        raise ValueError(text)
    return share


def _amount(text):
    amount = float(text)
    if not 0 <= amount < 1e6:
        raise ValueError(text)
    return amount


def _count(text):
    count = int(text)
    if not 1 <= count <= 64:
        raise ValueError(text)
    return count


def _add_installing(add):
    for name, places, text in (
        (
            "receive",
            ("folder",),
            "Install a release that a desk is sending; what is missing is said, and what came is told.",
        ),
        ("install", ("archive",), "Install a release archive."),
        ("golden", ("release",), "Run the golden vectors of a release folder."),
        ("frames", ("release", "source"), "Classify fresh frames of a camera with a release folder."),
        ("status", (), "Say what is installed."),
        ("rollback", (), "Go back to the release before."),
        ("recover", (), "Put right what a power cut left of a flash; for the start of the board."),
        ("rotate", ("rotation",), "Let a new key take the place of an old one, signed by both."),
    ):
        verb = add(name, text)
        for place in places:
            verb.add_argument(place)
        if name == "golden":
            verb.add_argument("--engine", default="cpu-u8", help="one that `engines` lists")
        if name in ("install", "receive"):
            verb.add_argument("--set-aside", action="store_true", help="also where that sets aside what was learnt")


def _add_service(add):
    source = "a camera (0, /dev/video1); a film or a folder of pictures stands in for one"
    add("serve", "Classify a camera for as long as the board is on; what the service runs.").add_argument(
        "source", help=source
    )
    add("supervise", "Keep `serve` running, on a board without systemd.").add_argument("source", help=source)
    service = add(
        "service", "Install the system service, which needs root, or remove it.", epilog=_EXAMPLE.format("service 0")
    )
    what = service.add_mutually_exclusive_group(required=True)
    what.add_argument("source", nargs="?", help=source)
    what.add_argument("--remove", action="store_true", help="stop it and take it away")
    logs = add("logs", "Show what the service said.")
    logs.add_argument("--lines", "-n", type=int, default=100, help="the last so many")
    logs.add_argument("--follow", "-f", action="store_true", help="and what it says from now on")
    add("completion", "Print what makes bash complete these verbs.")
    add("doctor", "Check this board, and say what to do about what is wrong.")


def _report(error: Exception, as_json: bool) -> int:
    """One line on stderr, or with --json one object on stdout. Returns the exit code."""
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
