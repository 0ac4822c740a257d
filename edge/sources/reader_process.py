"""This side of a reader: starts it, takes its frames out of memory that both share, and kills it when it hangs.

The reader keeps the newest frame until it is asked for the next, so one frame's memory is enough for both and no
frame is overwritten while it is copied.
"""

import json
import mmap
import os
import select
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from typing import Any, Dict, Iterator, List, Optional

import numpy as np

import edge
from edge.contract.errors import SourceError
from edge.sources.source import Frame, Source

OPEN_S = 15.0  # for a first frame; a USB camera may take seconds to start
READ_S = 5.0  # for each frame after it
_MEMORY = "/dev/shm"  # noqa: S108  a file in memory, without a name
_PACKAGE = os.path.dirname(os.path.dirname(os.path.abspath(edge.__file__)))


def read_apart(request: Dict[str, str], name: str, open_s: float = OPEN_S, read_s: float = READ_S) -> Source:
    """The camera or stream that `request` names to edge/sources/reader.py, as a source that is already being opened.

    Its read raises SourceError when nothing came for `open_s`, or `read_s` after a first frame, and when the reader
    ends. `name` is what may be shown of it.
    """
    reader = ReaderProcess(dict(request, name=name), name)
    frames = reader.frames(open_s, read_s)
    return Source(frames, reader.close, live=True, interrupt=reader.kill)


class ReaderProcess:
    """A reader that runs, and the memory shared with it."""

    def __init__(self, request: Dict[str, str], name: str) -> None:
        self._name = name
        folder = _MEMORY if os.path.isdir(_MEMORY) else None
        self._memory = tempfile.TemporaryFile(dir=folder)  # noqa: SIM115  closed in close()
        descriptor = self._memory.fileno()
        self._process = subprocess.Popen(
            [sys.executable, "-B", "-m", "edge.sources.reader", str(descriptor)],
            cwd=_PACKAGE,
            bufsize=0,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,  # FFmpeg's lines hold addresses with their passwords
            pass_fds=[descriptor],
            start_new_session=True,  # Ctrl-C is for whoever started it
        )
        self._poll = select.poll()
        self._poll.register(self._process.stdout.fileno(), select.POLLIN)
        self._said = b""  # of its lines that are not yet whole
        self._map: Optional[mmap.mmap] = None
        self._write(json.dumps(request).encode("ascii") + b"\n")

    def frames(self, open_s: float, read_s: float) -> Iterator[Frame]:
        """As read_apart(). Each frame's image is its own."""
        self._line(open_s)  # what was opened
        wait_s = open_s
        while True:
            self._write(b".")
            said = self._line(wait_s)
            wait_s = read_s
            yield Frame(said["sequence"], said["captured_ns"], self._copied(said["shape"]), self._name)

    def kill(self) -> None:
        """Ends the process, whatever it does; a read of its frames in another thread then raises SourceError."""
        self._process.kill()

    def close(self) -> None:
        """Ends the process and lets the memory go."""
        self.kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout, self._memory):
            pipe.close()
        if self._map is not None:
            self._map.close()
            self._map = None

    def _copied(self, shape: List[int]) -> np.ndarray:
        size = int(np.prod(shape))
        if self._map is None or len(self._map) < size:
            self._map = mmap.mmap(self._memory.fileno(), 0, mmap.MAP_SHARED, mmap.PROT_READ)
        return np.frombuffer(self._map, np.uint8, size).reshape(shape).copy()

    def _write(self, data: bytes) -> None:
        with suppress(BrokenPipeError):  # it ended, and its last line says why
            self._process.stdin.write(data)

    def _line(self, timeout_s: float) -> Dict[str, Any]:
        """The next line that it says. Raises SourceError: the reader's own, for silence, for its end."""
        until = time.monotonic() + timeout_s
        while b"\n" not in self._said:
            if not self._poll.poll(max(0.0, until - time.monotonic()) * 1e3):
                raise SourceError(
                    "{} has delivered nothing for {:g} s".format(self._name, timeout_s),
                    "a frame",
                    "check its cable and power",
                )
            came = os.read(self._process.stdout.fileno(), 65536)
            if not came:
                raise SourceError(
                    "the reader of {} ended with {}".format(self._name, self._process.wait()),
                    "frames",
                    "it is started again",
                )
            self._said += came
        line, _, self._said = self._said.partition(b"\n")
        said = json.loads(line.decode("ascii"))
        if "found" in said:
            raise SourceError(said["found"], said["expected"], said["remedy"])
        return said
