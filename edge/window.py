"""A window that shows frames until q, Esc or its close button."""

import re
import subprocess
import sys

import cv2
import numpy as np

from edge.contract.errors import UsageError

_ESC = 27
_PROBE_S = 20
# Qt ends the process when it cannot reach the display, so another process tries first.
_PROBE = "import cv2; cv2.namedWindow('edgewise'); cv2.destroyAllWindows()"


class Window:
    def __init__(self, title: str) -> None:
        self._title = title
        self._pressed = ""
        cv2.namedWindow(title, cv2.WINDOW_NORMAL | cv2.WINDOW_KEEPRATIO)

    def show(self, image: np.ndarray) -> bool:
        """Shows a (H, W, 3) uint8 BGR picture. False: the person has ended it."""
        cv2.imshow(self._title, image)
        key = cv2.waitKey(1)
        if key != -1:
            self._pressed += chr(key & 0xFF)
        return not ends(key) and cv2.getWindowProperty(self._title, cv2.WND_PROP_VISIBLE) >= 1

    def pressed(self) -> str:
        """The keys pressed since the last call."""
        keys, self._pressed = self._pressed, ""
        return keys

    def close(self) -> None:
        cv2.destroyAllWindows()

    def __enter__(self) -> "Window":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def open_window(title: str, has_display: bool) -> Window:
    """A window. `has_display`: whether DISPLAY or WAYLAND_DISPLAY is set. Raises UsageError where none can open."""
    if not has_window_support(cv2.getBuildInformation()):
        raise UsageError(
            "this OpenCV {} has no window support".format(cv2.__version__),
            "one built with Qt or GTK",
            "leave the window out, or write a film with --out",
        )
    if not has_display or not _probe():
        raise UsageError(
            "no display",
            "a desktop session that this user may draw on",
            "leave the window out, or write a film with --out",
        )
    return Window(title)


def has_window_support(build_information: str) -> bool:
    """Whether cv2.getBuildInformation() names a GUI: on the line itself since 4.5, on the lines under it before."""
    section = re.search(r"^ *GUI:(.*(?:\n.*\S.*)*)", build_information, re.MULTILINE)
    if section is None:
        return False
    named = section.group(1).split("\n")[0].strip()
    if named:
        return named != "NONE"
    return re.search(r"^ +(QT|GTK\+|Win32 UI|Cocoa): +YES", section.group(1), re.MULTILINE) is not None


def ends(key: int) -> bool:
    """Whether a key of cv2.waitKey (-1 for none) is q or Esc."""
    return key != -1 and key & 0xFF in (_ESC, ord("q"), ord("Q"))


def _probe() -> bool:
    try:
        done = subprocess.run(
            [sys.executable, "-c", _PROBE], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, timeout=_PROBE_S
        )
    except subprocess.TimeoutExpired:
        return False
    return done.returncode == 0
