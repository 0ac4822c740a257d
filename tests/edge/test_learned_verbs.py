"""What was taught, as a person handles it on a board: each verb in a process of its own on a real, tiny release."""

import os
import shutil
import subprocess
import sys

import cv2
import numpy as np
import pytest
from tiny_board import on_board, stripes, tiny_board

from edge.backbone import open_backbone
from edge.noticing import Noticed, keep_noticed
from edge.release import open_release
from edge.sources import Frame
from edge.store import open_store


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    """Folders of pictures by name."""
    folder = tmp_path_factory.mktemp("pictures")
    for label, images in (
        ("wall", [np.full((16, 16), level, np.uint8) for level in (100, 110, 120, 130)]),
        ("cat", stripes(4, 7, True)),
    ):
        os.mkdir(str(folder / label))
        for i, image in enumerate(images):
            cv2.imwrite(str(folder / label / "{}.png".format(i)), image.reshape(image.shape[:2]))
    return folder


@pytest.fixture
def root(tmp_path):
    return tiny_board(str(tmp_path))


def _done(root, *arguments):
    code, answer = on_board(root, *arguments)
    assert code == 0, answer
    return answer


def test_teach_show_export_forget_import_undo_and_check(root, pictures, tmp_path):
    untaught = _done(root, "learned", "check")
    _done(root, "teach", "--label", "wall", "--person", "Ada", "--keep-pictures", pictures / "wall")
    _done(root, "teach", "--label", "cat", "--person", "Bo", pictures / "cat")
    taught = _done(root, "learned", "check")
    assert (taught["examples"], untaught["examples"]) == (8, 0)
    listed = _done(root, "learned", "list", "--person", "Ada")["examples"]
    assert [(row["label"], row["has_picture"], row["lesson"]) for row in listed] == [("wall", True, 1)] * 4

    shown = _done(root, "learned", "show", listed[0]["id"], "--out", tmp_path / "seen.png")
    assert shown["source"].endswith("0.png") and len(shown["networks"]) == 1
    assert cv2.imread(str(tmp_path / "seen.png")).shape == (8, 8, 3)

    exported = _done(root, "learned", "export", tmp_path / "all.learned")
    assert (exported["examples"], os.stat(str(tmp_path / "all.learned")).st_mode & 0o777) == (8, 0o600)
    assert len(_done(root, "forget", "--person", "Ada")["examples"]) == 4
    assert len(_done(root, "forget", "--everything")["examples"]) == 4
    assert _done(root, "learned", "check")["head"] == untaught["head"]

    assert len(_done(root, "learned", "import", tmp_path / "all.learned")["ids"]) == 8
    assert _done(root, "learned", "check")["head"] == taught["head"]
    assert _done(root, "learned", "import", tmp_path / "all.learned")["passed_over"] == 8
    _done(root, "learned", "undo")
    assert _done(root, "learned", "check")["head"] == untaught["head"]


@pytest.mark.parametrize(
    "arguments, said",
    [
        (("learned", "show", "7"), "no example 7"),
        (("learned", "undo"), "no lesson"),
        (("learned", "import", "{}/none"), "none"),
        (("learned", "import", "{}/one.edge"), "no such file"),
        (("learned", "export", "{}/none/all.learned"), "none"),
        (("forget", "--person", "Ada"), "no such example"),
    ],
)
def test_what_cannot_be_is_said_in_one_line(root, tmp_path, arguments, said):
    code, answer = on_board(root, *[argument.format(tmp_path) for argument in arguments])
    assert code == 1
    assert said in answer["error"]["found"] and "\n" not in answer["error"]["found"]


def test_what_was_noticed_is_listed_shown_and_confirmed(root, tmp_path):
    frame = Frame(7, 0, np.full((16, 16, 3), 120, np.uint8), "camera 0")
    backbone = open_backbone(open_release(os.path.realpath(os.path.join(root, "current"))))
    with open_store(os.path.join(root, "personal", "learned.sqlite")) as store:
        keep_noticed(backbone, store, Noticed(frame, True, "cat", "dog", 0.5, 0.1), True, 0.0)
        keep_noticed(backbone, store, Noticed(frame, False, "dog", "cat", 0.95, 0.9), False, 0.0)
    rows = _done(root, "learned", "noticed", "--out", tmp_path)["noticed"]
    assert [(row["question"], row["label"], row["source"]) for row in rows] == [
        (True, "cat", "camera 0 frame 7"),
        (False, "dog", "camera 0 frame 7"),
    ]
    assert cv2.imread(str(tmp_path / "{}.png".format(rows[0]["id"]))).shape == (8, 8, 3)
    code, refused = on_board(root, "learned", "confirm", rows[0]["id"])
    assert (code, refused["error"]["remedy"]) == (1, "add --label")
    assert _done(root, "learned", "confirm", rows[0]["id"], "--label", "wall")["labels"] == ["wall"]
    assert _done(root, "learned", "confirm", rows[1]["id"])["labels"] == ["dog"]
    assert [row["label"] for row in _done(root, "learned")["examples"]] == ["wall", "dog"]


def test_a_picture_that_rots_is_found_by_check(root, pictures):
    import sqlite3

    _done(root, "teach", "--label", "wall", "--keep-pictures", pictures / "wall")
    connection = sqlite3.connect(os.path.join(root, "personal", "learned.sqlite"))
    connection.execute("UPDATE examples SET picture = x'00' WHERE id = 2")
    connection.commit()
    connection.close()
    code, answer = on_board(root, "learned", "check")
    assert (code, answer["error"]["kind"]) == (1, "FormatError")
    assert "example 2" in answer["error"]["found"]


def _network_calls(log):
    """The system calls in strace's log that make, connect or use a socket, but for those that end on this machine.

    The C library asks for a cache of user names (nscd) on such a local one.
    """
    with open(log) as lines:
        return [line.strip() for line in lines if "AF_UNIX" not in line]


@pytest.mark.skipif(shutil.which("strace") is None, reason="needs strace")
def test_no_byte_leaves_the_board(root, pictures, tmp_path):
    """By the kernel's word: no verb, in any of its threads, makes a socket that reaches beyond this machine."""
    log = str(tmp_path / "log")
    traced = ["strace", "-f", "-qq", "-o", log, "-e", "trace=network", "-e", "signal=none"]
    if subprocess.call(traced + ["true"], stderr=subprocess.DEVNULL) != 0:
        pytest.skip("strace may not trace here")
    sends = "import socket; socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b'x', ('127.0.0.1', 9))"
    subprocess.check_call(traced + [sys.executable, "-c", sends])
    assert len(_network_calls(log)) >= 2  # so it would be seen
    for arguments in (
        ("teach", "--label", "wall", "--keep-pictures", pictures / "wall"),
        ("fit", "--labelled", pictures / "cat"),
        ("run", pictures / "wall"),
        ("learned", "export", tmp_path / "all.learned"),
        ("learned", "import", tmp_path / "all.learned"),
        ("learned", "check"),
        ("forget", "--everything"),
    ):
        code, answer = on_board(root, *arguments, before=traced)
        assert code == 0, answer
        assert _network_calls(log) == [], arguments


@pytest.mark.skipif(shutil.which("unshare") is None, reason="needs unshare")
def test_teaching_works_where_there_is_no_network_at_all(root, pictures):
    alone = ["unshare", "--net"]
    if subprocess.call(alone + ["true"], stderr=subprocess.DEVNULL) != 0:
        pytest.skip("a network namespace cannot be made here: that needs root")
    code, answer = on_board(root, "teach", "--label", "wall", pictures / "wall", before=alone)
    assert (code, answer["new_class"]) == (0, True)
    assert on_board(root, "run", pictures / "wall", before=alone)[1]["label"] == "wall"
