"""`run`: a source through the classifier, to a person's eyes, a film or JSON lines."""

import argparse
import contextlib
import json
import os
from typing import Any, Callable

from edge.board import Board
from edge.contract.results import FrameResult, Outcome, answer, result_to_dict
from edge.verbs import open_learned, this_release


def run(board: Board, options: argparse.Namespace, print_line: Callable[[str], None]) -> Outcome:
    """Classifies until the source ends, the window is closed or the person presses Ctrl-C.

    print_line gets one JSON object a frame with --json, else a line whenever the label changes.
    """
    from edge.classifier import open_classifier
    from edge.loop import Tally, run_loop
    from edge.sources import open_source

    with open_learned(board) as store:
        classifier = open_classifier(
            this_release(), store, use_look=not options.no_look, false_alarms=options.false_alarms
        )
    tally = Tally()
    with contextlib.ExitStack() as stack:
        source = stack.enter_context(open_source(options.source))
        show = _sinks(stack, options, source)
        frames = stack.enter_context(contextlib.closing(run_loop(source, classifier.classify)))
        last = ""
        try:
            for frame, result in frames:
                tally.add(result)
                if options.json:
                    print_line(json.dumps(dict(result_to_dict(result), name=frame.name)))
                elif answer(result) != last:
                    print_line(_sentence(frame, result))
                last = answer(result)
                if not show(frame.image, result):
                    break
        except KeyboardInterrupt:
            pass  # the ordinary end of a camera; a film that is being written is finished
    summary = tally.summary()
    lines = ["{} frames, {} dropped for newer ones".format(summary.frames, summary.dropped)]
    lines.append(
        "{:.1f} frames a second; median {:.2f} ms to prepare, {:.2f} ms to infer, {:.1f} ms old when named".format(
            summary.frames_per_second, summary.prepare_median_ms, summary.infer_median_ms, summary.age_median_ms
        )
    )
    return Outcome(tuple(lines + list(source.remarks)), dict(summary._asdict()))


def _sinks(stack: contextlib.ExitStack, options: argparse.Namespace, source: Any) -> Callable[[Any, FrameResult], bool]:
    """A function of a frame and its result that writes and shows it, and gives False when the window was closed."""
    if not options.out and not options.show:
        return lambda image, result: True
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

    return show


def _sentence(frame: Any, result: FrameResult) -> str:
    return "{:>6}  {:<20} {:.2f}  {}".format(result.sequence, answer(result), result.score, frame.name).rstrip()
