"""`collect`: pictures from a camera or a film into a folder that `edgewise train` reads, by keys that are held."""

import argparse
import contextlib
import time
from typing import Any, Callable, Dict, List, Sequence, Tuple

import numpy as np

from edge.collection import Collection, check_folder_label
from edge.contract.errors import UsageError
from edge.contract.results import FrameResult, Outcome, Prediction, SourceState
from edge.loop import run_loop
from edge.sources import Frame, find_feed

MOST_LABELS = 9  # keys 1 to 9
_STANDARD_INPUT = 0


class Collector:
    """Takes pictures of a few labels, each by its key, and counts them."""

    def __init__(self, folder: str, labels: Sequence[str], clock: Callable[[], float] = time.time) -> None:
        """What is in the folder already counts. Raises UsageError for labels, InputError for a folder."""
        if not 1 <= len(labels) <= MOST_LABELS:
            raise UsageError("{} labels".format(len(labels)), "1 to {}".format(MOST_LABELS), "name fewer")
        self.labels = tuple(check_folder_label(label) for label in labels)
        self.taken = dict.fromkeys(self.labels, 0)
        self.alike = 0  # that were not taken, since one like them was there
        self._collection = Collection(folder, clock)
        for label in self.labels:
            self._collection.open_label(label)

    def take(self, label: str, frame: Frame) -> bool:
        """Writes the frame as `label`; False if one like it is there. Raises InputError where it cannot be written."""
        if self._collection.take(label, frame) is None:
            self.alike += 1
            return False
        self.taken[label] += 1
        return True


def collect(options: argparse.Namespace, has_display: bool, print_line: Callable[[str], None]) -> Outcome:
    """Takes what is in view while a key is held, or all with options.all, until the source ends or q is pressed."""
    collector, feed = Collector(options.out, options.label), find_feed(options.source)
    feed.look()  # as `run` does
    print_line(_help(collector.labels, options.all))
    states: Dict[str, str] = {}
    with contextlib.ExitStack() as stack:
        show, pressed = _keys_and_window(stack, options, has_display)
        frames = stack.enter_context(contextlib.closing(run_loop([feed], _no_answer)))
        with contextlib.suppress(KeyboardInterrupt):
            for frame, result in frames:
                if isinstance(result, SourceState):
                    if result.state != states.get(result.source, "live"):
                        print_line("{}: {}".format(result.state, result.why).rstrip(": "))
                    states[result.source] = result.state
                keys = "1" if options.all else pressed()
                if not show(frame, result) or "q" in keys:
                    break
                if frame is None:
                    continue
                for label in _meant(keys, collector.labels):
                    if collector.take(label, frame):
                        print_line("{} {}".format(label, collector.taken[label]))
    lines = ["{}: {} pictures".format(label, count) for label, count in collector.taken.items()]
    lines.append("{} left out, as one like them was there".format(collector.alike))
    return Outcome(tuple(lines), {"taken": collector.taken, "alike": collector.alike, "folder": options.out})


def _help(labels: Sequence[str], everything: bool) -> str:
    if everything:
        return "every picture is taken as {}, but for those like another".format(labels[0])
    keys = ["{} {}".format(number + 1, label) for number, label in enumerate(labels)]
    return "hold a key to take: {}; the space bar for {}; q: end".format(", ".join(keys), labels[0])


def _meant(keys: str, labels: Sequence[str]) -> List[str]:
    """The labels of the keys that were pressed, each once: held down, a key repeats."""
    numbers = {0 if key == " " else ord(key) - ord("1") for key in keys if key == " " or key in "123456789"}
    return [labels[number] for number in sorted(numbers) if number < len(labels)]


def _no_answer(image: np.ndarray) -> Prediction:
    """Nothing is classified before there is a network."""
    return Prediction("", 0.0, (), False, 0.0, 0.0)


def _keys_and_window(
    stack: contextlib.ExitStack, options: argparse.Namespace, has_display: bool
) -> Tuple[Callable[[Any, Any], bool], Callable[[], str]]:
    """What shows a frame, False when the window was closed; and the keys pressed since the last one."""
    from edge.keys import TerminalKeys

    typed = stack.enter_context(TerminalKeys(_STANDARD_INPUT)).pressed
    if not options.show:
        return lambda frame, result: True, typed
    from edge.window import open_window

    window = stack.enter_context(open_window("edgewise collect", has_display))

    def show(frame: Any, result: FrameResult) -> bool:
        return frame is None or window.show(frame.image)

    return show, lambda: typed() + window.pressed()
