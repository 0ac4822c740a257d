"""`run`: a source through the classifier, to a person's eyes, a film or JSON lines, and keys back from the person."""

import argparse
import contextlib
import json
import os
from typing import Any, Callable, Optional, Sequence, Tuple

from edge.board import Board
from edge.contract.errors import UsageError
from edge.contract.results import RETRAINED, FrameResult, Outcome, answer, result_to_dict
from edge.verbs import open_learned, this_release

_STANDARD_INPUT = 0  # also where a service has closed it


def run(board: Board, options: argparse.Namespace, print_line: Callable[[str], None]) -> Outcome:
    """Classifies until the source ends, the window is closed or the person presses Ctrl-C.

    print_line gets one JSON object a frame with --json, else a line whenever the label changes.
    """
    from edge.loop import Tally, run_loop
    from edge.sources import open_source

    tally, said = Tally(), Lines(print_line, options.json)
    with contextlib.ExitStack() as stack:
        classify, press, notice = _classifier(stack, board, options, print_line)
        source = stack.enter_context(open_source(options.source))
        show, pressed = _sinks(stack, options, source)
        frames = stack.enter_context(contextlib.closing(run_loop(source, classify)))
        try:
            for frame, result in frames:
                tally.add(result)
                said.seen(frame, result)
                notice(frame, result)
                going = show(frame.image, result)
                for key in sorted(set(pressed())):  # held down, a key repeats
                    going = going and key != "q"
                    press(key, frame, result)
                if not going:
                    break
        except KeyboardInterrupt:
            pass  # the ordinary end of a camera; a film that is being written is finished
    return summed_up(tally, source.remarks)


class Lines:
    """What is printed of each frame: with --json an object, else a line whenever the answer is another one."""

    def __init__(self, print_line: Callable[[str], None], as_json: bool) -> None:
        self._print_line = print_line
        self._as_json = as_json
        self._last = ""

    def seen(self, frame: Any, result: FrameResult) -> None:
        if self._as_json:
            self._print_line(json.dumps(dict(result_to_dict(result), name=frame.name)))
        elif answer(result) != self._last:
            sentence = "{:>6}  {:<20} {:.2f}  {}".format(result.sequence, answer(result), result.score, frame.name)
            self._print_line(sentence.rstrip())
        self._last = answer(result)

    def said(self, line: str) -> None:
        """A line about the run, once as long as nothing else is said."""
        if line != self._last:
            self._print_line(json.dumps({"said": line}) if self._as_json else line)
        self._last = line


def summed_up(tally: Any, remarks: Sequence[str]) -> Outcome:
    """How a run went. tally: edge.loop.Tally."""
    summary = tally.summary()
    lines = ["{} frames, {} dropped for newer ones".format(summary.frames, summary.dropped)]
    lines.append(
        "{:.1f} frames a second; median {:.2f} ms to prepare, {:.2f} ms to infer, {:.1f} ms old when named".format(
            summary.frames_per_second, summary.prepare_median_ms, summary.infer_median_ms, summary.age_median_ms
        )
    )
    return Outcome(tuple(lines + list(remarks)), dict(summary._asdict()))


def _classifier(
    stack: contextlib.ExitStack, board: Board, options: argparse.Namespace, print_line: Callable[[str], None]
) -> Tuple[Callable[[Any], Any], Callable[[str, Any, FrameResult], None], Callable[[Any, FrameResult], None]]:
    """What classifies a frame, what a key does when a frame and its result are in view, and what notices them."""

    def say(line: Optional[str]) -> None:
        if line:
            print_line(json.dumps({"said": line}) if options.json else line)

    if options.teach is None and not options.notice:
        from edge.classifier import open_classifier

        with open_learned(board) as store:
            classifier = open_classifier(
                this_release(), store, use_look=not options.no_look, false_alarms=options.false_alarms
            )
        say(RETRAINED if classifier.is_retrained else None)
        return classifier.classify, lambda key, frame, result: None, lambda frame, result: None
    if options.no_look:
        raise UsageError("--no-look with --teach or --notice", "this camera's pictures", "leave one of them out")
    from edge.backbone import open_backbone
    from edge.live import LiveTeacher

    store = stack.enter_context(open_learned(board))
    labels = options.teach or ()
    teacher = LiveTeacher(
        open_backbone(this_release()), store, labels, options.keep_pictures, options.person, options.false_alarms
    )

    def notice(frame: Any, result: FrameResult) -> None:
        if options.notice:
            say(teacher.notice(frame, result))

    say(RETRAINED if teacher.is_retrained else None)
    if options.teach is not None:
        say(teacher.help())
    return teacher.classify, lambda key, frame, result: say(teacher.press(key, frame, result)), notice


def _sinks(
    stack: contextlib.ExitStack, options: argparse.Namespace, source: Any
) -> Tuple[Callable[[Any, FrameResult], bool], Callable[[], str]]:
    """What writes and shows a frame and its result, False when the window was closed; and the keys pressed since."""
    if options.teach is None:
        typed = _no_keys
    else:
        from edge.keys import TerminalKeys

        typed = stack.enter_context(TerminalKeys(_STANDARD_INPUT)).pressed
    if not options.out and not options.show:
        return lambda image, result: True, typed
    from edge.overlay import draw, drawing_size

    size = drawing_size(source.size)
    film = window = None
    if options.show:
        from edge.window import open_window

        has_display = bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))
        window = stack.enter_context(open_window("edgewise", has_display))
    if options.out:
        from edge.film import open_film

        film = stack.enter_context(open_film(options.out, source.frames_per_second, size))

    def show(image: Any, result: FrameResult) -> bool:
        drawn = draw(image, result, size)
        while film and film.frames <= result.sequence:  # more than once after a gap, so that the film keeps time
            film.write(drawn)
        return window.show(drawn) if window else True

    return show, lambda: typed() + (window.pressed() if window else "")


def _no_keys() -> str:
    return ""
