"""Cameras on this machine's own network for the bench: processes that can be killed and started again."""

import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

from edge.contract.errors import InputError

_SYSTEM_PYTHON = "/usr/bin/python3"  # Debian's python3-gi is for this one
_FOLDER = Path(__file__).parent


class Server:
    """A server that listens when it was made; `with` ends it."""

    def __init__(self, python: str, script: str, *words: object) -> None:
        """Raises InputError with the last line of a server that does not start."""
        self.process = subprocess.Popen(
            [python, str(_FOLDER / script), *map(str, words)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        assert self.process.stdout and self.process.stderr  # noqa: S101  for mypy
        if self.process.stdout.readline() != "listening\n":
            said = self.process.stderr.read().strip().splitlines()
            self.close()
            raise InputError(f"{script}: {said[-1] if said else 'no word'}", "a server", "see its docstring")
        self.listening_at = time.monotonic()

    def close(self) -> None:
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()
        for pipe in (self.process.stdout, self.process.stderr):
            if pipe:
                pipe.close()

    def __enter__(self) -> "Server":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def mjpeg_server(port: int, rate: int, size: str, frames: int = 0) -> Server:
    return Server(sys.executable, "mjpeg_server.py", port, rate, size, frames)


def rtsp_server(port: int, size: str, rate: int) -> Server:
    return Server(_SYSTEM_PYTHON, "rtsp_server.py", port, size, rate)


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])
