"""What the board's command line takes: its verbs, their flags, and a line of help for each."""

import argparse

_EXAMPLE = "Example: edgewise {}. At the desk, --board names it: user@host, or local:DIR; local:board is the default."
_PAGE = "127.0.0.1:8080"


def make_parser(only_run: bool = False) -> argparse.ArgumentParser:
    """only_run: without the other verbs, whose flags take a thirtieth of a start to set up."""
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
    _add_run(add)
    if only_run:
        return parser
    _add_collect(add)
    _add_learning(add, common)
    _add_alerts(add)
    _add_engines(add)
    _add_installing(add)
    _add_service(add)
    return parser


def _add_run(add):
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
    _add_page(run.add_argument)
    run.add_argument(
        "--alert",
        action="append",
        metavar="RULE",
        help="alert of LABEL[,score=SHARE][,for=SECONDS][,source=NAME]; LABEL may be `unknown`; @FILE: of each of its"
        " lines; may be given again",
    )
    run.add_argument(
        "--alert-pictures",
        type=_amount,
        default=0.0,
        metavar="MB",
        help="with --alert: keep a picture of each, the newest of them, so many megabytes together",
    )
    run.add_argument(
        "--mqtt",
        metavar="ADDRESS",
        help="send alerts and events to the broker mqtt://[USER:PASSWORD@]HOST[:PORT][/PREFIX], mqtts:// for TLS, or to"
        " the one that stands in @FILE",
    )
    run.add_argument(
        "--collect",
        metavar="DATA",
        help="with --web: a button on the page takes pictures into DATA/LABEL/, for `edgewise train`",
    )
    run.add_argument("--metrics", action="store_true", help="with --web: serve /metrics, for Prometheus")
    run.add_argument("--engine", metavar="NAME", help="for this run, instead of what `engines` chose")


def _add_collect(add):
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


def _add_learning(add, common):
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


def _add_alerts(add):
    alerts = add("alerts", "List what was alerted of, and mark it.", epilog=_EXAMPLE.format("alerts --unwanted 12 14"))
    alerts.add_argument("--wanted", type=int, nargs="+", default=[], metavar="ID", help="these were wanted")
    alerts.add_argument("--unwanted", type=int, nargs="+", default=[], metavar="ID", help="these were not")
    alerts.add_argument("--undo", action="store_true", help="take the newest mark back")
    alerts.add_argument("--out", metavar="FOLDER", help="write the pictures that were kept there, each by its number")


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


def _add_page(option):
    option(
        "--web",
        nargs="?",
        const=_PAGE,
        metavar="ADDRESS:PORT",
        help="serve a page to watch and teach, by default at {} for this machine only; other addresses need a password,"
        " which is asked for".format(_PAGE),
    )
    option("--tls", metavar="PEM", help="with --web: a certificate and its key, in one file")


def _add_service(add):
    source = "a camera (0, /dev/video1); a film or a folder of pictures stands in for one"
    serve = add("serve", "Classify a camera for as long as the board is on; what the service runs.")
    serve.add_argument("source", help=source)
    supervise = add("supervise", "Keep `serve` running, on a board without systemd.")
    supervise.add_argument("source", help=source)
    service = add(
        "service", "Install the system service, which needs root, or remove it.", epilog=_EXAMPLE.format("service 0")
    )
    what = service.add_mutually_exclusive_group(required=True)
    what.add_argument("source", nargs="?", help=source)
    what.add_argument("--remove", action="store_true", help="stop it and take it away")
    for verb in (serve, supervise, service):
        _add_page(verb.add_argument)
        verb.add_argument("--keep-pictures", action="store_true", help="with --web: keep pictures of what is taught")
        verb.add_argument(
            "--collect",
            action="store_true",
            help="with --web: a button on the page takes pictures for `edgewise train` into personal/collected, and the"
            " page gives them in one zip",
        )
    logs = add("logs", "Show what the service said.")
    logs.add_argument("--lines", "-n", type=int, default=100, help="the last so many")
    logs.add_argument("--follow", "-f", action="store_true", help="and what it says from now on")
    add("completion", "Print what makes bash complete these verbs.")
    add("doctor", "Check this board, and say what to do about what is wrong.")
