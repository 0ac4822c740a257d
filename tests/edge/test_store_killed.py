"""Kills, power cuts and failing disks while lessons are taught and forgotten: what was acknowledged is there, whole."""

import json
import os
import random
import shutil
import subprocess
import sys

import pytest
from power_cut import Disk, read_trace, trace_command

from edge.contract.errors import BoardError, FormatError
from edge.rows import Key
from edge.store import open_store

PROJECT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
KEY = Key("backbone", "look")
LESSONS = 4
WORK = """
import sys
import numpy as np
from edge.contract.errors import EdgewiseError
from edge.rows import Key, NewExample
from edge.store import open_store
KEY = Key("backbone", "look")
def say(*words):  # in one write, whatever the environment says about buffers
    sys.stdout.write(" ".join(map(str, words)) + "\\n")
    sys.stdout.flush()
try:
    with open_store(sys.argv[1]) as store:
        store._connection.execute("PRAGMA " + sys.argv[3])
        for i in range(int(sys.argv[2])):
            picture = bytes([65 + i]) * 3000
            store.add("label", "now", KEY, [NewExample(str(i), np.full(64, i, np.int8), picture)] * 3)
            say("taught", i)
            if i % 2:
                store.remove([row.id for row in store.examples(KEY) if row.source == str(i - 1)])
                say("forgot", i - 1)
except EdgewiseError as error:
    say("refused", error)
    sys.exit(1)
"""


def _command(path, lessons=LESSONS, pragma="synchronous = FULL"):
    return [sys.executable, "-B", "-c", WORK, path, str(lessons), pragma]


def _environment():
    return dict(os.environ, PYTHONPATH=PROJECT)


def _states(lines):
    """The lessons after each of the acknowledgements."""
    states = [frozenset()]
    for line in lines:
        verb, number = line.split()[:2]
        states.append(states[-1] | {number} if verb == "taught" else states[-1] - {number})
    return states


def _found(path):
    """The lessons in the store, each of them whole, after its full check."""
    with open_store(path) as store:
        assert store.check() == []
        rows = [row.source for row in store.examples(KEY)]
        assert all(rows.count(source) == 3 for source in rows)
        assert len(store.taught(KEY, 64).get("label", ())) == len(rows)
        return frozenset(rows)


def _needs_strace(log):
    if shutil.which("strace") is None:
        pytest.skip("needs strace")
    if subprocess.call(trace_command(str(log)) + ["true"], stderr=subprocess.DEVNULL) != 0:
        pytest.skip("strace may not trace here")


@pytest.mark.slow
def test_killed_at_random_moments_no_acknowledged_lesson_is_lost_and_no_forgotten_one_leaves_a_byte():
    """A few dozen of the thousand kills that scripts/kill_learning.py makes."""
    script = os.path.join(PROJECT, "scripts", "kill_learning.py")
    out = subprocess.check_output([sys.executable, script, "--runs", "30", "--seed", "7", "--json"], env=_environment())
    found = json.loads(out.decode())
    assert found["kills"] == 30 and found["hit"]["teach"] > 0 and found["hit"]["forget"] > 0
    assert found["acknowledged lessons lost or changed"] == 0
    assert found["corrupt stores"] == 0
    assert found["forgotten lessons with a byte left"] == 0


def _cuts(tmp_path, pragma):
    """After each call of a process that teaches and forgets: (what a power cut leaves, what it may leave)."""
    work = tmp_path / "work"
    work.mkdir()
    log = str(tmp_path / "log")
    out = subprocess.check_output(
        trace_command(log) + _command(str(work / "l.sqlite"), pragma=pragma), env=_environment()
    )
    calls = [call for call in read_trace(log, str(work)) if not call[1].endswith("-shm")]
    said = [call[2].decode() for call in calls if call[0] == "said"]
    assert "".join(said) == out.decode() and len(said) > LESSONS
    states, source, disk, acknowledged = _states(said), random.Random(1), Disk(), 0
    for number, call in enumerate(calls):
        if call[0] == "said":
            acknowledged += 1
        else:
            disk.do(call)
        folder = tmp_path / "cut{}".format(number)
        folder.mkdir()
        for path, content in disk.after_power_cut(source).items():
            (folder / os.path.basename(path)).write_bytes(content)
        yield str(folder / "l.sqlite"), states[acknowledged : acknowledged + 2]
        shutil.rmtree(str(folder))


@pytest.mark.slow
def test_a_power_cut_that_tears_any_unsynchronised_write_loses_nothing_acknowledged(tmp_path):
    """From the making of the store on: after any write, with any of the sectors since the last synchronisation lost."""
    _needs_strace(tmp_path / "log")
    cuts = 0
    for path, allowed in _cuts(tmp_path, "synchronous = FULL"):
        assert _found(path) in allowed, cuts
        cuts += 1
    assert cuts > 200


@pytest.mark.slow
def test_the_same_power_cuts_do_harm_where_nothing_is_synchronised(tmp_path):
    """So the test above would see it."""
    _needs_strace(tmp_path / "log")
    harmed = 0
    for path, allowed in _cuts(tmp_path, "synchronous = OFF"):
        try:
            harmed += _found(path) not in allowed
        except (AssertionError, FormatError, BoardError):
            harmed += 1
    assert harmed > 20


@pytest.mark.slow
@pytest.mark.parametrize(
    "fault, step", [("pwrite64:error=ENOSPC", 23), ("pwrite64:error=EIO", 29), ("fdatasync:error=EIO", 4)]
)
def test_a_disk_that_fails_from_some_call_on_is_one_line_and_loses_nothing_acknowledged(tmp_path, fault, step):
    _needs_strace(tmp_path / "log")
    refused = 0
    for first in range(1, 200, step):
        path = str(tmp_path / "{}".format(first) / "l.sqlite")
        traced = ["-e", "trace=" + fault.split(":")[0], "-e", "inject={}:when={}+".format(fault, first)]
        inject = ["strace", "-f", "--seccomp-bpf", "-qq", "-o", os.devnull] + traced
        done = subprocess.run(
            inject + _command(path, 3), env=_environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
        lines = done.stdout.decode().splitlines()
        assert done.stderr == b"" or b"Traceback" not in done.stderr, done.stderr.decode()
        acknowledged = [line for line in lines if not line.startswith("refused")]
        refused += lines[-1:] != acknowledged[-1:]
        assert (done.returncode == 0) == (lines == acknowledged)
        assert _found(path) in _states(acknowledged)[-1:] + [_next(acknowledged)], (first, lines)
        if done.returncode == 0:
            break
    assert refused > 1


def _next(acknowledged):
    """The lessons after the step that was not acknowledged, but may have reached the disk all the same."""
    steps = ["taught 0", "taught 1", "forgot 0", "taught 2"]
    return _states(steps[: len(acknowledged) + 1])[-1]
