"""A board as the desk sees it: a folder to put files in, and a process of its own to talk to."""

import json
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edge.contract.errors import BoardError, EdgewiseError, UsageError
from edge.contract.files import write_whole

_ERRORS = {kind.__name__: kind for kind in EdgewiseError.__subclasses__()}


@dataclass(frozen=True)
class LocalBoard:
    """local:DIR, a stand-in board in a folder of this machine."""

    root: Path

    def runtime(self) -> Path | None:
        """The runtime of the current release, or None before the first. Resolved: a swap cannot mix two releases."""
        current = self.root / "current"
        return current.resolve() / "runtime" if current.is_symlink() else None

    def keys(self) -> list[str]:
        """The names of the public keys that the board trusts: none before first contact.

        Raises UsageError for a folder that holds something else than a board: nothing must be put or removed there.
        """
        if (self.root / "trust").is_dir():
            return sorted(path.name for path in (self.root / "trust").glob("*.pub"))
        if self.root.exists() and not (self.root.is_dir() and not any(self.root.iterdir())):
            raise UsageError(f"{self.root} holds something else", "a board, or a new or empty folder", "name another")
        return []

    def put(self, name: str, data: bytes) -> None:
        """A file on the board, whole or not there. Raises BoardError where that is not possible."""
        path = self.root / name
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            write_whole(str(path), data)
        except OSError as error:
            raise BoardError(
                f"{path}: {error.strerror}", "a file that can be written", "check the board's disk"
            ) from None

    def remove(self, folder: str) -> None:
        shutil.rmtree(self.root / folder, ignore_errors=True)

    def run(self, runtime: Path, *arguments: str) -> dict[str, Any]:
        """The JSON answer of the board's own command line, run by `runtime`. Raises the error that it reports.

        Nothing of the desk's environment is passed on, and `runtime` is the working folder, which Python's `-m`
        searches first, so the desk's own `edge` package cannot stand in for the board's.
        """
        command = [sys.executable, "-B", "-m", "edge", "--board", str(self.root.resolve()), *arguments, "--json"]
        try:
            done = subprocess.run(
                command,
                cwd=runtime,
                env={"PATH": "/usr/local/bin:/usr/bin:/bin", "PYTHONPATH": str(runtime), "LC_ALL": "C.UTF-8"},
                stdin=subprocess.DEVNULL,
                capture_output=True,
                check=False,
            )
        except OSError as error:
            raise BoardError(f"{runtime}: {error.strerror}", "the board's runtime", "flash to a new folder") from None
        return _answer(done)

    def path(self, name: str) -> Path:
        """A file of the board as the board's own process knows it."""
        return self.root.resolve() / name


def parse_target(text: str) -> LocalBoard:
    """Raises UsageError unless `text` is local:DIR."""
    kind, _, place = text.partition(":")
    if kind != "local" or not place:
        raise UsageError(f"the target {text!r}", "local:DIR", "this version can flash a folder on this machine only")
    return LocalBoard(Path(place).expanduser().absolute())


def _answer(done: "subprocess.CompletedProcess[bytes]") -> dict[str, Any]:
    try:
        answer = json.loads(done.stdout)
        if done.returncode == 0 and isinstance(answer, dict):
            return answer
        raise _reported(answer["error"])
    except (ValueError, KeyError, TypeError):
        last = done.stderr.decode("utf-8", "replace").strip().rpartition("\n")[2]
        raise BoardError(
            f"the board's process ended with {done.returncode}: {last[:300]}",
            "one JSON object",
            "see that its Python has numpy, cv2, onnxruntime and cryptography",
        ) from None


def _reported(fields: dict[str, str]) -> EdgewiseError:
    kind = _ERRORS.get(fields["kind"], BoardError)
    return kind(fields["found"], fields["expected"], fields["remedy"])
