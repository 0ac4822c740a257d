"""Completion in a real bash."""

import shutil
import subprocess

import pytest

from edge.command_line import make_parser
from edge.completion import bash_script

pytestmark = pytest.mark.skipif(shutil.which("bash") is None, reason="needs bash")


def completed(*words):
    """What bash offers for the last of `words`."""
    asked = 'eval "$1"; shift; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _edgewise_board; echo "${COMPREPLY[*]}"'
    command = ["bash", "--norc", "-c", asked, "bash", bash_script(make_parser()), "edgewise"]
    done = subprocess.run(
        command + list(words), stdout=subprocess.PIPE, stderr=subprocess.PIPE, universal_newlines=True
    )
    assert done.returncode == 0 and done.stderr == ""
    return done.stdout.split()


def test_verbs_parts_and_options_are_offered():
    assert completed("te") == ["teach"]
    assert {"run", "teach", "learned", "doctor"} <= set(completed(""))
    assert completed("teach", "--l") == ["--label"] and completed("teach", "--j") == ["--json"]
    assert completed("teach", "--label", "cup", "--keep") == ["--keep-pictures"]
    assert {"show", "undo", "export"} <= set(completed("learned", ""))
    assert completed("learned", "show", "12", "--o") == ["--out"]


def test_the_boards_folder_is_not_for_a_person_to_give():
    assert completed("--bo") == []
