"""What a board runs while a desk talks to it: it answers the requests that come on stdin, and ends when they do.

deploy/board.py sends this file ahead of its requests, so a bare board needs nothing but Python 3.6 and its standard
library. It carries; what may be believed is decided by the runtime that it starts, and at first contact by the desk.

A request is a line of JSON, and for some the bytes of a file after it. An answer is a line of JSON. One with an
`error` is the last: what follows on stdin may be the rest of a file, so nothing more is read.
"""

import fcntl
import hashlib
import json
import os
import platform
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from typing import IO, Any, Callable, Dict, List

HELLO = "edgewise-courier-1"  # the answers' first words: a login shell may have printed something before them
PART = ".part"  # a file that is still on its way; it stays when the link is lost, for `part` to find
IDLE_S = 60  # a desk that is gone without a word must not hold a claimed board for longer
CLAIM_S = 5
_PIECE_BYTES = 1 << 16
_PATH = "/usr/local/bin:/usr/bin:/bin"
_MEMORY = "/dev/shm"  # noqa: S108


def look(root: str) -> Dict[str, Any]:
    """What is there. The runtime is resolved, so that a swap of `current` cannot mix two releases."""
    trust = os.path.join(root, "trust")
    runtime = os.path.join(os.path.realpath(os.path.join(root, "current")), "runtime")
    return {
        "root": root,
        "machine": platform.machine(),
        "board": os.path.isdir(trust),
        "empty": not os.path.lexists(root) or (os.path.isdir(root) and not os.listdir(root)),
        "keys": sorted(n for n in os.listdir(trust) if n.endswith(".pub")) if os.path.isdir(trust) else [],
        "runtime": runtime if os.path.isdir(runtime) else None,
    }


def claim(root: str) -> Dict[str, Any]:
    """Makes the folder and holds it against other desks until this process ends. The lock leaves no file behind."""
    os.makedirs(root, exist_ok=True)
    handle = os.open(root, os.O_RDONLY)
    give_up = time.monotonic() + CLAIM_S  # the courier of a link that was just lost may not know it yet
    while True:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return {}
        except BlockingIOError:
            if time.monotonic() > give_up:
                raise
            time.sleep(0.1)


def put(root: str, name: str, at: int, size: int, durable: bool, stdin: IO[bytes]) -> Dict[str, Any]:
    """`size` bytes of stdin, after the first `at` bytes of what came before. Called `name` once it is whole."""
    path = os.path.join(root, name)
    os.makedirs(os.path.dirname(path), exist_ok=True)
    try:
        with open(path + PART, "r+b" if at else "wb") as file:
            file.truncate(at)
            file.seek(at)
            while size:
                signal.alarm(IDLE_S)
                piece = stdin.read(min(size, _PIECE_BYTES))
                if not piece:
                    raise EOFError  # the link is lost; the part stays
                file.write(piece)
                size -= len(piece)
            file.flush()
            if durable:
                os.fsync(file.fileno())
        os.replace(path + PART, path)
    except OSError:
        _discard(path + PART)  # a full disk must not stay full of it
        raise
    if durable:
        for folder in (os.path.dirname(path), root):
            _sync(folder)
    return {}


def part(root: str, name: str) -> Dict[str, Any]:
    """How much of a file came before the link was lost, its hash, and the room on the disk. Other parts are removed."""
    path = os.path.join(root, name) + PART
    folder = os.path.dirname(path)
    for other in os.listdir(folder) if os.path.isdir(folder) else []:
        if other.endswith(PART) and os.path.join(folder, other) != path:
            os.unlink(os.path.join(folder, other))
    if os.path.isfile(path[: -len(PART)]):  # it was whole, and the link was lost after that
        os.replace(path[: -len(PART)], path)
    digest, size = hashlib.sha256(), 0
    if os.path.isfile(path):
        with open(path, "rb") as file:
            for piece in iter(lambda: file.read(_PIECE_BYTES), b""):
                digest.update(piece)
                size += len(piece)
    return {"size": size, "sha256": digest.hexdigest(), "free": shutil.disk_usage(root).free}


def remove(root: str, name: str) -> Dict[str, Any]:
    shutil.rmtree(os.path.join(root, name), ignore_errors=True)
    return {}


def run(root: str, runtime: str, arguments: Any) -> Dict[str, Any]:
    """The board's own command line, run by `runtime`.

    Nothing of the desk's environment is passed on, and `runtime` is the working folder, which Python's `-m` searches
    first: on a stand-in board the desk's own `edge` package cannot stand in for the board's.
    """
    command = [sys.executable, "-B", "-m", "edge", "--board", root] + arguments + ["--json"]
    return _done(command, runtime, {"PYTHONPATH": runtime})


def run_as_root(root: str, arguments: Any) -> Dict[str, Any]:
    """The board's launcher, by sudo without a password unless the user is root."""
    command = ["env", "EDGEWISE_PYTHON=" + sys.executable, os.path.join(root, "edgewise")] + arguments + ["--json"]
    if os.geteuid() != 0:
        if shutil.which("sudo", path=_PATH) is None:
            return {"code": 1, "stdout": "", "stderr": "sudo: it is not installed"}
        command = ["sudo", "-n", "--"] + command
    return _done(command, root, {})


def examine(root: str, size: int, desk_s: float, stdin: IO[bytes]) -> Dict[str, Any]:
    """Runs the zip of `size` bytes that comes on stdin: the doctor's checks, which no board need have."""
    memory = _MEMORY if os.access(_MEMORY, os.W_OK) else None  # a full disk is what it may have to tell
    with tempfile.NamedTemporaryFile(prefix="edgewise-", suffix=".zip", dir=memory) as file:
        file.write(stdin.read(size))
        file.flush()
        return _done([sys.executable, "-B", file.name, root, str(desk_s)], "/", {})


def _done(command: List[str], folder: str, environment: Dict[str, str]) -> Dict[str, Any]:
    done = subprocess.run(
        command,
        cwd=folder,
        env=dict(environment, PATH=_PATH, LC_ALL="C.UTF-8"),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        check=False,
    )
    last = done.stderr.decode("utf-8", "replace").strip().rpartition("\n")[2]
    return {"code": done.returncode, "stdout": done.stdout.decode("utf-8", "replace"), "stderr": last[:300]}


_VERBS: Dict[str, Callable[..., Dict[str, Any]]] = {
    "look": look,
    "claim": claim,
    "part": part,
    "remove": remove,
    "run": run,
    "run_as_root": run_as_root,
    "put": put,
    "examine": examine,
}
_WITH_BYTES = ("put", "examine")


def serve(root: str, stdin: IO[bytes], stdout: IO[bytes]) -> None:
    """Answers until the desk is done, or until it is lost."""
    _answer(stdout, {"hello": HELLO, "pid": os.getpid()})
    claimed = False
    while True:
        signal.alarm(IDLE_S if claimed else 0)  # before that a person may be thinking whether to go on
        line = stdin.readline()
        signal.alarm(0)
        if not line.endswith(b"\n"):
            return
        request = json.loads(line.decode("ascii"))
        do = request.pop("do")
        try:
            answer = _VERBS[do](root, **request, **({"stdin": stdin} if do in _WITH_BYTES else {}))
        except EOFError:
            return
        except OSError as error:
            answer = {"error": error.strerror, "errno": error.errno, "file": error.filename or root}
        claimed = claimed or do == "claim"
        _answer(stdout, answer)
        if "error" in answer:
            return


def _answer(stdout: IO[bytes], fields: Dict[str, Any]) -> None:
    stdout.write(json.dumps(fields).encode("ascii") + b"\n")
    stdout.flush()


def _discard(path: str) -> None:
    with suppress(OSError):
        os.unlink(path)


def _sync(folder: str) -> None:
    """A name in a folder is durable only when the folder is written too."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


if __name__ == "__main__":
    serve(os.path.realpath(os.path.expanduser(sys.argv[2])), sys.stdin.buffer, sys.stdout.buffer)
