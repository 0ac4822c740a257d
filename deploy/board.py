"""A board as the desk sees it: one courier process, on this machine or at the end of an SSH connection."""

import errno
import json
import shlex
import subprocess
import tempfile
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, cast

from deploy import courier
from deploy.ssh import explain, ssh_command
from deploy.target import Target
from edge.contract.errors import BoardError, EdgewiseError, UsageError

# The first thing that runs on a board. The words fit every login shell; the courier itself comes on stdin.
_START = (
    "import sys; sys.version_info >= (3, 6) or sys.exit('edgewise: Python %d.%d' % sys.version_info[:2]); "
    "exec(sys.stdin.buffer.read(int(sys.argv[1])))"
)
_MAX_GREETING_LINES = 1000
_END_S = 5
_NEEDS = "see that its Python has numpy, cv2, onnxruntime and cryptography"
_ERRORS = {kind.__name__: kind for kind in EdgewiseError.__subclasses__()}

Sent = Callable[[int], None]  # bytes of the file that are on the board or on their way there


class LinkLost(BoardError):
    """The connection, or the board's process, ended in the middle. What had arrived stays on the board."""


class SudoAsks(BoardError):
    """Root is wanted on the board, and sudo there gives it to nobody who does not type a password."""

    def __init__(self, found: str, expected: str, remedy: str, command: list[str]) -> None:
        super().__init__(found, expected, remedy)
        self.command = command  # lets sudo ask on this terminal; nothing of edgewise reads what is typed


@dataclass(frozen=True)
class Look:
    """What is on the board."""

    root: str
    machine: str  # as `uname -m` says
    keys: list[str]  # names of the public keys that it trusts: none before first contact
    runtime: str | None  # of the current release; None before the first
    is_board: bool
    empty: bool


@dataclass(frozen=True)
class Part:
    """How much of a file has come already."""

    size_bytes: int
    sha256: str


@dataclass(frozen=True)
class Wire:
    """A file on its way."""

    name: str
    at: int  # so much of it is there
    size_bytes: int  # of `pieces` together
    pieces: Iterable[bytes]
    inflated_bytes: int | None  # they are deflated, and hold so many; None: they are the file's own


class Board:
    """An open board. Use it with `with`: that ends the process, and with it the SSH connection."""

    def __init__(self, target: Target, meanwhile: Callable[[], object] = lambda: None) -> None:
        """Raises BoardError with ssh's own words for a board that cannot be reached.

        meanwhile: called while it connects.
        """
        source = Path(courier.__file__).read_bytes()
        command = target.command(["-IS", "-B", "-c", _START, str(len(source)), target.root])
        self.target = target
        self.sent_bytes = 0
        self._said = tempfile.TemporaryFile()  # noqa: SIM115  closed by __exit__
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._said)
        self._stdin = cast("IO[bytes]", self._process.stdin)
        self._stdout = cast("IO[bytes]", self._process.stdout)
        self._open = True
        try:
            meanwhile()
            self._greet(source)
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> "Board":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self._end()
        self._said.close()

    def look(self) -> Look:
        """Raises UsageError for a folder that holds something else: nothing must be put or removed there."""
        return self._seen(self._ask({"do": "look"}))

    def claim(self) -> Look:
        """Holds the board against other desks until the end of this connection, and looks at it as look() does.

        Raises as that, and BoardError if another desk has it.
        """
        return self._seen(self._ask({"do": "claim"}))

    def _seen(self, found: dict[str, Any]) -> Look:
        if not found["board"] and not found["empty"]:
            raise UsageError(f"{found['root']} holds something else", "a board, or a new or empty folder", "move it")
        return Look(found["root"], found["machine"], found["keys"], found["runtime"], found["board"], found["empty"])

    def put(self, files: Iterable[tuple[str, bytes]], durable: bool = False) -> None:
        """Small files, each whole or not there. What goes wrong with one is raised by the next request's answer."""
        for name, data in files:
            self._send({"do": "put", "name": name, "at": 0, "size": len(data), "durable": durable}, data)

    def arrived(self, folder: str, names: list[str]) -> tuple[dict[str, Part], int]:
        """What a lost link left of these files in `folder`, and how many bytes are free. All else there is removed."""
        found = self._ask({"do": "arrived", "folder": folder, "names": names})
        return {name: Part(*part) for name, part in found["parts"].items()}, found["free_bytes"]

    def receive(self, runtime: str, *arguments: str) -> None:
        """Starts the board's own command line to take a release."""
        self._ask({"do": "receive", "runtime": runtime, "arguments": list(arguments)})

    def missing(self) -> list[str]:
        """What receive() started lacks, by its sha256, once it has verified the manifest. Raises what it reports."""
        absent: list[str] = _answered(self._ask({"do": "missing"}), _NEEDS)["missing"]
        return absent

    def bring(self, files: Iterable[Wire], sent: Sent, tell: bool = True) -> None:
        """Sends files; as put(). tell: what receive() started is told of each."""
        done = 0
        for file in files:
            request = {"do": "put", "name": file.name, "at": file.at, "size": file.size_bytes, "tell": tell}
            pieces = iter(file.pieces)
            first = next(pieces, b"")
            self._send({**request, "inflated": file.inflated_bytes}, first)
            sent(done := done + len(first))
            for piece in pieces:
                self._send_piece(piece)
                sent(done := done + len(piece))

    def finish(self, staged: Callable[[], object]) -> dict[str, Any]:
        """What came of receive(), now that all is sent. Raises the error that it reports.

        staged: called when all is in its place and only the trial is left; a runtime from before does not say that.
        """
        done = self._ask({"do": "finish"})
        if not done:
            staged()
            done = self._ask({"do": "outcome"})
        return _answered(done, _NEEDS)

    def remove(self, folder: str) -> None:
        """Does nothing on a board whose connection has ended."""
        if self._open:
            self._ask({"do": "remove", "name": folder})

    def run(self, runtime: str, *arguments: str) -> dict[str, Any]:
        """The JSON answer of the board's own command line, run by `runtime`. Raises the error that it reports."""
        done = self._ask({"do": "run", "runtime": runtime, "arguments": list(arguments)})
        return _answered(done, _NEEDS)

    def run_as_root(self, root: str, *arguments: str) -> dict[str, Any]:
        """As run(), by the launcher of the board in `root`, as root. Raises SudoAsks where sudo wants a password."""
        done = self._ask({"do": "run_as_root", "arguments": list(arguments)})
        words = shlex.join(["sudo", f"{root}/edgewise", *arguments])
        address = self.target.address
        by_hand = words if address is None else f"ssh -t {address.name} {words}"
        if done["stderr"].startswith("sudo:"):
            raise SudoAsks(
                f"sudo on {self.target.name} says: {done['stderr'][6:]}",
                "root, or sudo without a password",
                f"run `{by_hand}`",
                shlex.split(words) if address is None else ssh_command(address, words, terminal=True),
            )
        return _answered(done, f"try `{by_hand}`")

    def examine(self, program: bytes, *words: str) -> dict[str, Any]:
        """The JSON answer of the zip `program`, run by the board's Python; nothing of it stays there."""
        self._send({"do": "examine", "size": len(program), "words": list(words)}, program)
        return _answered(self._answer(), "report it")

    def _greet(self, source: bytes) -> None:
        """Sends the courier and skips what the board's login shell may print before it starts."""
        try:
            self._write(source)
            for _ in range(_MAX_GREETING_LINES):
                line = self._stdout.readline()
                if not line:
                    break
                if courier.HELLO.encode() in line:
                    return
        except BrokenPipeError:
            pass
        code, said = self._end()
        if self.target.address is not None:
            raise explain(self.target.address, code, said)
        raise BoardError(f"{self.target.name}: {said.strip()[-300:]}", "a Python that starts", "check this machine")

    def _ask(self, request: dict[str, Any]) -> dict[str, Any]:
        self._send(request)
        return self._answer()

    def _send(self, request: dict[str, Any], data: bytes = b"") -> None:
        self._send_piece(json.dumps(request).encode("ascii") + b"\n" + data)

    def _send_piece(self, data: bytes) -> None:
        try:
            self._write(data)
        except BrokenPipeError:
            while True:  # the courier may have said why it stopped; else this finds that the link is lost
                self._answer()

    def _answer(self) -> dict[str, Any]:
        """To the request that was sent last. Raises what went wrong with it, or with a file that was sent before."""
        line = self._stdout.readline()
        if not line.endswith(b"\n"):
            raise self._lost()
        answer: dict[str, Any] = json.loads(line)
        if "error" in answer:
            self._end()
            raise _refused(answer, self.target.name)
        return answer

    def _lost(self) -> LinkLost:
        code, said = self._end()
        why = said.strip().rpartition("\n")[2][:300] or f"the process ended with {code}"
        return LinkLost(
            f"the link to {self.target.name} was lost: {why}", "one that holds", "flash again: what arrived is kept"
        )

    def _write(self, data: bytes) -> None:
        self._stdin.write(data)
        self._stdin.flush()
        self.sent_bytes += len(data)

    def _end(self) -> tuple[int, str]:
        """Lets the courier end, and ssh with it. Returns its exit code and what was written on stderr."""
        self._open = False
        for pipe in (self._stdin, self._stdout):
            with suppress(OSError):  # what was left to send goes nowhere
                pipe.close()
        try:
            code = self._process.wait(_END_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            code = self._process.wait()
        self._said.seek(0)
        return code, self._said.read().decode("utf-8", "replace")


def _answered(done: dict[str, Any], remedy: str) -> dict[str, Any]:
    try:
        answer = json.loads(done["stdout"])
        if done["code"] == 0 and isinstance(answer, dict):
            return answer
        raise _reported(answer["error"])
    except (ValueError, KeyError, TypeError):
        found = f"the board's process ended with {done['code']}: {done['stderr']}"
        raise BoardError(found, "one JSON object", remedy) from None


def _refused(answer: dict[str, Any], board: str) -> BoardError:
    """What the board's system said of a file, in one line."""
    code, place = answer["errno"], f"{board}: {answer['file']}"
    if code == errno.EWOULDBLOCK:
        return BoardError(f"{board} is being flashed by another desk", "one at a time", "wait for it to end")
    if code in (errno.ENOSPC, errno.EDQUOT):
        return BoardError(f"the disk is full at {place}", "room for the release", "free some space and flash again")
    if code in (errno.EACCES, errno.EPERM, errno.EROFS):
        return BoardError(
            f"{place}: {answer['error']}",
            "a folder that can be written",
            "see whose it is; is the disk read-only?",
        )
    return BoardError(f"{place}: {answer['error']}", "the board's files", "check the board's disk")


def _reported(fields: dict[str, str]) -> EdgewiseError:
    kind = _ERRORS.get(fields["kind"], BoardError)
    return kind(fields["found"], fields["expected"], fields["remedy"])
