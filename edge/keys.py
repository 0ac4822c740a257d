"""Keys that a person presses in the terminal while frames go by, one at a time and without Enter."""

import os
import select
import termios
import tty
from typing import Any


class TerminalKeys:
    """The keys of a terminal that listens to this process; of any other file descriptor none. Use it with `with`."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._before: Any = None  # the terminal's settings

    def pressed(self) -> str:
        """The keys pressed since the last call. Never waits."""
        if self._before is None or not select.select([self._descriptor], [], [], 0)[0]:
            return ""
        return os.read(self._descriptor, 64).decode("ascii", "ignore")

    def __enter__(self) -> "TerminalKeys":
        # A process in the background would be stopped for touching the terminal
        if os.isatty(self._descriptor) and os.tcgetpgrp(self._descriptor) == os.getpgrp():
            self._before = termios.tcgetattr(self._descriptor)
            tty.setcbreak(self._descriptor, termios.TCSANOW)  # Ctrl-C goes on to end the run
        return self

    def __exit__(self, *_: object) -> None:
        if self._before is not None:
            termios.tcsetattr(self._descriptor, termios.TCSANOW, self._before)
