"""`run`: sources through the classifier, to a person's eyes, a film or JSON lines, and keys back from the person."""

import argparse
import contextlib
import json
import os
import tempfile
from typing import Any, Callable, Dict, List, Optional, Tuple

from edge.board import Board
from edge.choice import open_network
from edge.classifier import taught_classifier
from edge.contract.errors import UsageError
from edge.contract.results import RETRAINED, FrameResult, Outcome, SourceState, answer, result_to_dict
from edge.loop import Manner, run_loop
from edge.sources import find_feed
from edge.tally import Tally
from edge.verbs import open_learned, this_release

_STANDARD_INPUT = 0  # also where a service has closed it


def run(board: Board, options: argparse.Namespace, print_line: Callable[[str], None]) -> Outcome:
    """Classifies until the sources end, the window is closed or the person presses Ctrl-C.

    print_line gets one JSON object a frame with --json, else a line whenever a source's label or state changes. Raises
    SourceError for a source that plainly is not there at the start.
    """
    for flag in ("tls", "metrics", "collect"):
        if getattr(options, flag):
            raise UsageError("--{} without --web".format(flag), "both", "leave it out")
    feeds = [find_feed(text) for text in options.source]
    _refuse_several(options)
    for feed in feeds:
        feed.look()  # a name that was mistyped is no camera to wait for; one that is lost later is
    manner = Manner(options.max_fps, options.skip_still, options.smooth, options.min_score)
    tallies = {feed.name: Tally() for feed in feeds}
    told: List[str] = []

    def tell(line: Optional[str]) -> None:
        if line:
            print_line(json.dumps({"said": line}) if options.json else line)

    with contextlib.ExitStack() as stack:
        trace, profile = _trace(stack, options)
        network = open_network(board, this_release(), options.engine, tell, options.threads, profile)
        teacher, press, notice, current = _classifier(stack, board, options, network, tell)
        show, pressed = _sinks(stack, options)
        say = Speaker(print_line, options.json, several=len(feeds) > 1)
        alert, mark = _alerting(stack, board, options, current, [feed.name for feed in feeds], say)
        classify, prepare = _stages(options, teacher)
        frames = stack.enter_context(contextlib.closing(run_loop(feeds, classify, prepare, manner, told=told)))
        try:
            for frame, result in frames:
                tallies[result.source].add(result)
                say(frame, result)
                alert(frame, result)
                going = show(frame, result)
                if frame is not None:
                    notice(frame, result)
                    for key in sorted(set(pressed())):  # held down, a key repeats
                        going = going and key != "q"
                        press(key, frame, result)
                        tell(mark(key))
                    if options.profile:
                        trace.add(result)
                if not going:
                    break
        except KeyboardInterrupt:
            pass  # the ordinary end of a camera; a film that is being written is finished
        if options.profile:
            events = trace.write(options.profile, *network.engine.end_profile())
            told.append("{}: {} events".format(options.profile, events))
    return outcome_of({name: tally.summary() for name, tally in tallies.items()}, told)


class Speaker:
    """Says what came of frames: each as JSON, or what has changed as lines."""

    def __init__(self, print_line: Callable[[str], None], as_json: bool, several: bool) -> None:
        self._print_line = print_line
        self._as_json = as_json
        self._several = several
        self._last: Dict[str, str] = {}  # what was said of each source

    def __call__(self, frame: Any, result: Any) -> None:
        is_state = isinstance(result, SourceState)
        what = "{}: {}".format(result.state, result.why).rstrip(": ") if is_state else answer(result)
        changed = self._last.get(result.source, "live") != what
        self._last[result.source] = what
        if self._as_json:
            if not is_state:
                self._print_line(json.dumps(dict(result_to_dict(result), name=frame.name)))
            elif changed:
                self._print_line(json.dumps(dict(result._asdict())))
        elif changed and what != "live":
            self._print_line(what if is_state else self._sentence(frame, result))

    def alert(self, fields: Dict[str, Any], line: str) -> None:
        """An alert: its fields as JSON, or the line."""
        self._print_line(json.dumps({"alert": fields}) if self._as_json else line)

    def line(self, line: str) -> None:
        """Something about the run itself."""
        self._print_line(json.dumps({"said": line}) if self._as_json else line)

    def _sentence(self, frame: Any, result: FrameResult) -> str:
        name = frame.name if not self._several or frame.name == result.source else result.source + " " + frame.name
        return "{:>6}  {:<20} {:.2f}  {}".format(result.sequence, answer(result), result.score, name).rstrip()


def outcome_of(summaries: Dict[str, Any], told: List[str]) -> Outcome:
    """How a run went. summaries: edge.tally.Summary of each source; told: what the sources remarked."""
    lines = []
    for name, summary in summaries.items():
        if len(summaries) > 1:
            lines.append("{}:".format(name))
        lines.append("{} frames, {} dropped for newer ones".format(summary.frames, summary.dropped))
        lines.append(
            "{:.1f} frames a second; median {:.2f} ms to prepare, {:.2f} ms to infer, {:.1f} ms old when named".format(
                summary.frames_per_second, summary.prepare_median_ms, summary.infer_median_ms, summary.age_median_ms
            )
        )
        if summary.reused:
            lines.append(
                "{:.0%} of them without the network, as nothing had moved".format(summary.reused / summary.frames)
            )
        states = [(state, getattr(summary, state)) for state in ("lost", "stale", "frozen", "black")]
        if any(count for _, count in states):
            lines.append(", ".join("{} {} times".format(state, count) for state, count in states if count))
    first = dict(next(iter(summaries.values()))._asdict())
    fields = first if len(summaries) == 1 else {name: dict(each._asdict()) for name, each in summaries.items()}
    return Outcome(tuple(lines + told), fields)


def _trace(stack: contextlib.ExitStack, options: argparse.Namespace) -> Tuple[Any, Optional[str]]:
    """What takes results for --profile, and where onnxruntime's own profile goes meanwhile; None without --profile."""
    if not options.profile:
        return None, None
    from edge.profiling import Trace

    return Trace(), os.path.join(stack.enter_context(tempfile.TemporaryDirectory()), "onnxruntime")


def _stages(options: argparse.Namespace, teacher: Any) -> Tuple[Callable[[Any], Any], Callable[[Any], Any]]:
    """What classifies and what prepares, with --profile in NVTX ranges where the board has their library."""
    if not options.profile:
        return teacher.classify_prepared, teacher.prepare
    from edge.nvtx import open_nvtx, ranged

    nvtx = open_nvtx()
    return ranged(nvtx, "infer", teacher.classify_prepared), ranged(nvtx, "prepare", teacher.prepare)


def _refuse_several(options: argparse.Namespace) -> None:
    """Raises UsageError where keys, a window or a film are for one source."""
    wanted = ["--show"] * options.show + ["--out"] * bool(options.out) + ["--teach"] * (options.teach is not None)
    if len(options.source) > 1 and wanted:
        raise UsageError(
            "{} with {} sources".format(wanted[0], len(options.source)), "one source", "start one `run` for each"
        )


def _classifier(
    stack: contextlib.ExitStack,
    board: Board,
    options: argparse.Namespace,
    network: Any,
    say: Callable[[Optional[str]], None],
) -> Tuple[Any, Callable[[str, Any, FrameResult], None], Callable[[Any, FrameResult], None], Callable[[], Any]]:
    """What prepares and classifies frames, what a key does with a frame and its result in view, what notices them.

    And what gives the edge.classifier.Classifier of the last frame.
    """

    if options.teach is None and not options.notice:
        with open_learned(board) as store:
            classifier = taught_classifier(network, store, not options.no_look, options.false_alarms)
        say(RETRAINED if classifier.is_retrained else None)
        return classifier, lambda key, frame, result: None, lambda frame, result: None, lambda: classifier
    if options.no_look:
        raise UsageError("--no-look with --teach or --notice", "this camera's pictures", "leave one of them out")
    from edge.live import LiveTeacher

    store = stack.enter_context(open_learned(board))
    labels = options.teach or ()
    teacher = LiveTeacher(network, store, labels, options.keep_pictures, options.person, options.false_alarms)

    def notice(frame: Any, result: FrameResult) -> None:
        if options.notice:
            say(teacher.notice(frame, result))

    say(RETRAINED if teacher.is_retrained else None)
    if options.teach is not None:
        say(teacher.help())
    return (
        teacher,
        lambda key, frame, result: say(teacher.press(key, frame, result)),
        notice,
        lambda: teacher.classifier,
    )


def _alerting(
    stack: contextlib.ExitStack,
    board: Board,
    options: argparse.Namespace,
    classifier: Callable[[], Any],
    sources: List[str],
    say: Speaker,
) -> Tuple[Callable[[Any, Any], None], Callable[[str], Optional[str]]]:
    """What is told of each frame for --alert and --mqtt, and what a key does. classifier: as _classifier() gives it."""
    if not (options.alert or options.alert_pictures or options.mqtt):
        return lambda frame, result: None, lambda key: None
    from edge.alerts.alerting import open_alerting

    store = stack.enter_context(open_learned(board)) if options.alert else None
    alerting = stack.enter_context(open_alerting(options, classifier, store, sources, say.alert, say.line))
    if options.alert:
        say.line(alerting.help)
    return alerting.see, alerting.press


def _sinks(
    stack: contextlib.ExitStack, options: argparse.Namespace
) -> Tuple[Callable[[Any, Any], bool], Callable[[], str]]:
    """What writes and shows a frame and its result, False when the window was closed; and the keys pressed since."""
    if options.teach is None and not options.alert:
        typed = _no_keys
    else:
        from edge.keys import TerminalKeys

        typed = stack.enter_context(TerminalKeys(_STANDARD_INPUT)).pressed
    if not options.out and not options.show:
        return lambda frame, result: True, typed
    from edge.screen import Screen

    has_display = bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))
    screen = Screen(stack, options.out, options.show, has_display)
    return screen.show, lambda: typed() + screen.pressed()


def _no_keys() -> str:
    return ""
