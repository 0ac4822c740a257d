"""A window opens where one can, and where none can there is a line and no crash."""

import cv2
import pytest

from edge.contract.errors import UsageError
from edge.window import ends, has_window_support, open_window

BEFORE_4_5 = """
  GUI:
    GTK+:                        {}
    VTK support:                 YES

  Media I/O:
    QT:                          YES
"""
SINCE_4_5 = """
  GUI:                           {}
    VTK support:                 YES

  Media I/O:
    QT:                          YES
"""


@pytest.mark.parametrize(
    "text, there",
    [
        (BEFORE_4_5.format("YES (ver 3.22.30)"), True),
        (BEFORE_4_5.format("NO"), False),
        (SINCE_4_5.format("QT5"), True),
        (SINCE_4_5.format("GTK3"), True),
        (SINCE_4_5.format("NONE"), False),
        ("\n  GUI: \n\n  Media I/O: \n    QT: YES\n", False),
        ("", False),
    ],
)
def test_window_support_is_read_from_old_and_new_build_information(text, there):
    assert has_window_support(text) is there


@pytest.mark.parametrize(
    "key, end", [(-1, False), (27, True), (ord("q"), True), (ord("Q"), True), (ord("a"), False), (0x100071, True)]
)
def test_q_and_escape_end(key, end):
    assert ends(key) is end


def test_without_a_display_there_is_one_line():
    with pytest.raises(UsageError) as caught:
        open_window("edgewise", has_display=False)
    expected = "no display" if has_window_support(cv2.getBuildInformation()) else "no window support"
    assert expected in str(caught.value)


def test_a_display_that_does_not_answer_is_a_line_and_not_a_crash(monkeypatch):
    monkeypatch.setenv("DISPLAY", ":987")
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    with pytest.raises(UsageError):
        open_window("edgewise", has_display=True)
