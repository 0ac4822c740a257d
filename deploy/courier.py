"""What a board runs while a desk talks to it: it answers the requests that come on stdin, and ends when they do.

deploy/board.py sends this file ahead of its requests, so a bare board needs nothing but Python 3.6 and its standard
library. It carries; what may be believed is decided by the runtime that it starts, and at first contact by the desk.

A request is a line of JSON, and for some the bytes of a file after it. An answer is a line of JSON. One with an
`error` is the last: what follows on stdin may be the rest of a file, so nothing more is read. `put` has no other.
"""

import fcntl
import json
import os
import shutil
import signal
import subprocess
import sys
import time
import zlib
from contextlib import suppress
from typing import IO, Any, Callable, Dict, Iterator, List, Optional, Union

HELLO = "edgewise-courier-1"  # the answers' first words: a login shell may have printed something before them
PART = ".part"  # a file that is still on its way; it stays when the link is lost, for `arrived` to find
IDLE_S = 60  # a desk that is gone without a word must not hold a claimed board for longer
CLAIM_S = 5
_PIECE_BYTES = 1 << 20
_SET_PIPE_SIZE = 1031  # fcntl.F_SETPIPE_SZ, which Python names since 3.10
_PIPE_BYTES = 1 << 20  # the most that a user may ask for; sshd fills Linux's 64 KiB and waits
_INFLATED_BYTES = 1 << 20
_PATH = "/usr/local/bin:/usr/bin:/bin"
_PACKAGES = ("packages", "packages.new", "packages.old")
_MEMORY = "/dev/shm"  # noqa: S108


def look(root: str) -> Dict[str, Any]:
    """What is there. The runtime is resolved, so that a swap of `current` cannot mix two releases.

    `empty` may hold packages: they are put there before the first release.
    """
    trust = os.path.join(root, "trust")
    runtime = os.path.join(os.path.realpath(os.path.join(root, "current")), "runtime")
    return {
        "root": root,
        "machine": os.uname().machine,
        "board": os.path.isdir(trust),
        "empty": not os.path.lexists(root) or (os.path.isdir(root) and set(os.listdir(root)) <= set(_PACKAGES)),
        "keys": sorted(n for n in os.listdir(trust) if n.endswith(".pub")) if os.path.isdir(trust) else [],
        "runtime": runtime if os.path.isdir(runtime) else None,
    }


class Session:
    """What lasts from one request to the next."""

    def __init__(self) -> None:
        self.claim: Optional[int] = None  # the folder, locked
        self.receiver: Any = None  # the runtime's process, while it takes a release


def claim(root: str, session: Session) -> Dict[str, Any]:
    """Makes the folder, holds it against other desks until this process ends, and looks. The lock leaves no file."""
    if session.claim is not None:
        return look(root)
    os.makedirs(root, exist_ok=True)
    handle = os.open(root, os.O_RDONLY)
    give_up = time.monotonic() + CLAIM_S  # the courier of a link that was just lost may not know it yet
    while True:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            session.claim = handle
            return look(root)
        except BlockingIOError:
            if time.monotonic() > give_up:
                raise
            time.sleep(0.1)


def put(
    root: str,
    name: str,
    at: int,
    size: int,
    stdin: IO[bytes],
    session: Session,
    inflated: Optional[int] = None,
    durable: bool = False,
    tell: bool = False,
) -> Dict[str, Any]:
    """`size` bytes of stdin, after the first `at` bytes of what came before. Called `name` once it is whole.

    inflated: they are deflated, and at most so many bytes of what they hold are written. tell: the receiver is told.
    """
    path = os.path.join(root, name)
    os.makedirs(os.path.dirname(path), exist_ok=True)
    pieces = _read(stdin, size)
    try:
        with open(path + PART, "r+b" if at else "wb") as file:
            file.truncate(at)
            file.seek(at)
            for piece in pieces if inflated is None else _inflate(pieces, inflated):
                file.write(piece)
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
    if tell:
        with suppress(BrokenPipeError):  # it has refused the release; `finish` brings its word
            # Past the pipe's buffer: what stayed in that would break finish(), which flushes it
            os.write(session.receiver.stdin.fileno(), os.path.basename(name).encode("ascii") + b"\n")
    return {}


def _read(stdin: IO[bytes], size: int) -> Iterator[memoryview]:
    """`size` bytes, as they come. A piece holds until the next is asked for."""
    room = memoryview(bytearray(min(size, _PIECE_BYTES)))
    while size:
        signal.alarm(IDLE_S)
        count = stdin.readinto1(room[:size])  # type: ignore[attr-defined]  # of any binary stream with a buffer
        if not count:
            raise EOFError  # the link is lost; the part stays
        yield room[:count]
        size -= count


def _inflate(pieces: Iterator[Union[bytes, memoryview]], most: int) -> Iterator[bytes]:
    """Reads all of `pieces`. What does not inflate, or holds more than `most` bytes, ends early: its hash will tell."""
    decoder = zlib.decompressobj(-zlib.MAX_WBITS)
    for piece in pieces:
        while most > 0:
            room = min(most, _INFLATED_BYTES)
            try:
                data = decoder.decompress(piece, room)
            except zlib.error:
                most = 0
                break
            most -= len(data)
            yield data
            if len(data) < room:  # else there may be more, also of a piece that was taken whole
                break
            piece = decoder.unconsumed_tail


def arrived(root: str, folder: str, names: List[str]) -> Dict[str, Any]:
    """How much of each of these files came before the link was lost, and its hash. Everything else there is removed.

    What is whole becomes a part again, for the next `put` to go on from and to tell the receiver of. Says what room the
    disk has, too.
    """
    place = os.path.join(root, folder)
    parts = {}
    for name in os.listdir(place) if os.path.isdir(place) else []:
        path = os.path.join(place, name)
        wanted = name[: -len(PART)] if name.endswith(PART) else name
        if wanted not in names:
            os.unlink(path)
            continue
        if wanted == name:
            os.replace(path, path + PART)
        parts[wanted] = _measure(os.path.join(place, wanted + PART))
    return {"parts": parts, "free_bytes": shutil.disk_usage(root).free}


def _measure(path: str) -> List[Any]:
    import hashlib  # slow to load, and only a link that was lost needs it

    digest, size = hashlib.sha256(), 0
    with open(path, "rb") as file:
        for piece in iter(lambda: file.read(_PIECE_BYTES), b""):
            digest.update(piece)
            size += len(piece)
    return [size, digest.hexdigest()]


def receive(root: str, runtime: str, arguments: List[str], session: Session) -> Dict[str, Any]:
    """Starts `runtime`, a folder or a zip, to take a release, as run() does. `missing` waits for it.

    It has the claim, too, so that no other desk comes in before it has seen that this one is gone.
    """
    session.receiver = subprocess.Popen(
        _runtime_command(root, arguments),
        cwd=os.path.dirname(runtime),
        env=_environment({"PYTHONPATH": runtime}),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        pass_fds=() if session.claim is None else (session.claim,),
    )
    return {}


def missing(root: str, session: Session) -> Dict[str, Any]:
    """The receiver's first line: what it lacks, or why it takes nothing."""
    line = session.receiver.stdout.readline()
    if line.startswith(b'{"missing"'):
        return {"code": 0, "stdout": line.decode("utf-8", "replace"), "stderr": ""}
    return outcome(root, session, line)


def finish(root: str, session: Session) -> Dict[str, Any]:
    """All has been sent. Only this word lets the receiver install, so a lost link does not.

    Answers once the release is staged: nothing then, and `outcome` has the rest; else what came of it.
    """
    with suppress(BrokenPipeError):  # it has refused the release
        os.write(session.receiver.stdin.fileno(), b"done\n")
    line = session.receiver.stdout.readline()
    if line.startswith(b'{"staged"'):
        return {}
    return outcome(root, session, line)


def outcome(root: str, session: Session, line: bytes = b"") -> Dict[str, Any]:
    """What the receiver said after `line`, its last word."""
    out, said = session.receiver.communicate()
    return _ended(session.receiver.returncode, line + out, said)


def remove(root: str, name: str) -> Dict[str, Any]:
    shutil.rmtree(os.path.join(root, name), ignore_errors=True)
    return {}


def run(root: str, runtime: str, arguments: Any) -> Dict[str, Any]:
    """The board's own command line, run by `runtime`.

    Nothing of the desk's environment is passed on, and `runtime` is the working folder, which Python's `-m` searches
    first: on a stand-in board the desk's own `edge` package cannot stand in for the board's.
    """
    return _done(_runtime_command(root, arguments), runtime, {"PYTHONPATH": runtime})


def run_as_root(root: str, arguments: Any) -> Dict[str, Any]:
    """The board's launcher, by sudo without a password unless the user is root."""
    command = ["env", "EDGEWISE_PYTHON=" + sys.executable, os.path.join(root, "edgewise")] + arguments + ["--json"]
    if os.geteuid() != 0:
        if shutil.which("sudo", path=_PATH) is None:
            return {"code": 1, "stdout": "", "stderr": "sudo: it is not installed"}
        command = ["sudo", "-n", "--"] + command
    return _done(command, root, {})


def examine(root: str, size: int, words: List[str], stdin: IO[bytes]) -> Dict[str, Any]:
    """Runs the zip of `size` bytes that comes on stdin, such as the doctor's checks, which no board need have."""
    import tempfile  # slow to load, and only this needs it

    memory = _MEMORY if os.access(_MEMORY, os.W_OK) else None  # a full disk is what it may have to tell
    with tempfile.NamedTemporaryFile(prefix="edgewise-", suffix=".zip", dir=memory) as file:
        file.write(stdin.read(size))
        file.flush()
        return _done([sys.executable, "-B", file.name, root] + words, "/", {})


def _runtime_command(root: str, arguments: List[str]) -> List[str]:
    return [sys.executable, "-B", "-m", "edge", "--board", root] + arguments + ["--json"]


def _environment(more: Dict[str, str]) -> Dict[str, str]:
    return dict(more, PATH=_PATH, LC_ALL="C.UTF-8")


def _done(command: List[str], folder: str, environment: Dict[str, str]) -> Dict[str, Any]:
    done = subprocess.run(
        command,
        cwd=folder,
        env=_environment(environment),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        check=False,
    )
    return _ended(done.returncode, done.stdout, done.stderr)


def _ended(code: int, out: bytes, said: bytes) -> Dict[str, Any]:
    last = said.decode("utf-8", "replace").strip().rpartition("\n")[2]
    return {"code": code, "stdout": out.decode("utf-8", "replace"), "stderr": last[:300]}


_VERBS: Dict[str, Callable[..., Dict[str, Any]]] = {
    "look": look,
    "claim": claim,
    "arrived": arrived,
    "receive": receive,
    "missing": missing,
    "finish": finish,
    "outcome": outcome,
    "remove": remove,
    "run": run,
    "run_as_root": run_as_root,
    "put": put,
    "examine": examine,
}
_WITH_BYTES = ("put", "examine")
_WITH_SESSION = ("claim", "put", "receive", "missing", "finish", "outcome")


def serve(root: str, stdin: IO[bytes], stdout: IO[bytes]) -> None:
    """Answers until the desk is done, or until it is lost."""
    with suppress(OSError):  # it may be no pipe
        fcntl.fcntl(stdin.fileno(), _SET_PIPE_SIZE, _PIPE_BYTES)
    _answer(stdout, {"hello": HELLO, "pid": os.getpid()})
    session = Session()
    while True:
        signal.alarm(IDLE_S if session.claim is not None else 0)  # before that a person may be thinking
        line = stdin.readline()
        signal.alarm(0)
        if not line.endswith(b"\n"):
            return
        request = json.loads(line.decode("ascii"))
        do = request.pop("do")
        if do in _WITH_BYTES:
            request["stdin"] = stdin
        if do in _WITH_SESSION:
            request["session"] = session
        try:
            answer = _VERBS[do](root, **request)
        except EOFError:
            return
        except OSError as error:
            _answer(stdout, {"error": error.strerror, "errno": error.errno, "file": error.filename or root})
            return
        if do != "put":
            _answer(stdout, answer)


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
