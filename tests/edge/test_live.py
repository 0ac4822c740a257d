"""edge/keys.py and edge/live.py: a key in a real terminal teaches the picture in view, and another takes it back."""

import fcntl
import os
import pty
import subprocess
import termios

import cv2
import numpy as np
import pytest
from glyph_world import KNOWN, draw
from tiny_board import command, on_board, tiny_board

from edge.contract.errors import UsageError
from edge.contract.results import FrameResult
from edge.keys import TerminalKeys
from edge.lessons import examples_of
from edge.live import LiveTeacher
from edge.sources import Frame


def _in_view(teacher, image, sequence=0):
    said = teacher.classify(image)
    frame = Frame(sequence, 0, image, "camera 0")
    return frame, FrameResult(sequence=sequence, captured_ns=0, age_ms=0.0, **said._asdict())


def test_a_number_teaches_its_label_and_the_next_frame_is_judged_by_it(backbone, store):
    teacher = LiveTeacher(backbone, store, ["Z", "Q"], True, "Ada", clock=lambda: 0.0)
    for sequence, image in enumerate(draw("Z", 8, 3)):
        assert "taught as Z" in teacher.press("1", *_in_view(teacher, image, sequence))
    said = [teacher.classify(image).label for image in draw("Z", 20, 4)]
    assert said.count("Z") > 10
    rows = examples_of(backbone, store)
    assert {(row.label, row.person, row.has_picture) for row in rows} == {("Z", "Ada", True)}
    assert rows[5].source == "camera 0 frame 5"


def test_y_confirms_the_name_shown_and_u_takes_the_last_back_down_to_nothing(backbone, store):
    teacher = LiveTeacher(backbone, store, [], False, "")
    assert teacher.labels == KNOWN
    before = teacher.classify(draw("A", 1, 9)[0])
    seen = _in_view(teacher, draw("A", 1, 5)[0])
    assert "taught as {}".format(seen[1].label) in teacher.press("y", *seen)
    assert len(examples_of(backbone, store)) == 1
    assert "taken back" in teacher.press("u", *seen)
    assert examples_of(backbone, store) == []
    assert teacher.classify(draw("A", 1, 9)[0]).top == before.top
    assert "nothing" in teacher.press("u", *seen)


def test_other_keys_do_nothing(backbone, store):
    teacher = LiveTeacher(backbone, store, ["Z"], False, "")
    seen = _in_view(teacher, draw("A", 1, 5)[0])
    assert [teacher.press(key, *seen) for key in "029xYU "] == [None] * 7
    assert examples_of(backbone, store) == []


def test_more_labels_than_keys_are_wrong_use(backbone, store):
    with pytest.raises(UsageError):
        LiveTeacher(backbone, store, ["a{}".format(i) for i in range(10)], False, "")


def _own(terminal):
    """Makes `terminal` the one that this new process listens to, as a shell would."""
    os.setsid()
    fcntl.ioctl(terminal, termios.TIOCSCTTY, 0)


def test_without_a_terminal_there_are_no_keys(tmp_path):
    with open(str(tmp_path / "file"), "w+b") as file, TerminalKeys(file.fileno()) as keys:
        assert keys.pressed() == ""


def test_keys_typed_in_a_terminal_teach_what_is_in_view_and_end_the_run(tmp_path):
    root = tiny_board(str(tmp_path))
    os.mkdir(str(tmp_path / "frames"))
    for i in range(3):
        cv2.imwrite(str(tmp_path / "frames" / "{}.png".format(i)), np.full((16, 16, 3), 60 + i, np.uint8))
    line, folder, environment = command(root, "run", str(tmp_path / "frames"), "--teach", "wall", "--person", "Ada")
    leader, follower = pty.openpty()
    os.write(leader, b"1q")
    try:
        process = subprocess.Popen(
            line, cwd=folder, env=environment, stdin=follower, stdout=subprocess.PIPE, preexec_fn=lambda: _own(follower)
        )
        out = process.communicate(timeout=120)[0].decode()
    finally:
        os.close(leader)
        os.close(follower)
    assert process.returncode == 0
    assert "keys: 1 wall" in out and "frame 0 taught as wall" in out and "1 frames" in out
    code, found = on_board(root, "learned")
    assert code == 0
    assert [(row["label"], row["person"]) for row in found["examples"]] == [("wall", "Ada")]
