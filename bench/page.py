"""What the page costs: memory without and with a viewer, and the loop's speed while fifty watch."""

import json
import math
import os
import re
import selectors
import signal
import socket
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import IO, Any

from bench.process import children, resident_mb
from bench.rows import Row, at_most
from edge.contract.errors import BoardError

VIEWERS = 50
_CAMERA = "test:640x480@1000"  # faster than the network, so that the loop is as fast as it can be
_SETTLE_S = 4.0
_BACK_S = 0.25  # left out of each turn: viewers that were held up come back all at once
_MOST_MB = 160.0
_MOST_SLOWER_PERCENT = 5.0

Progress = Callable[[str, int, int], None]


@dataclass(frozen=True)
class PageTimes:
    rounds: int  # of a time with viewers and one without
    seconds: float  # of each


def page_rows(root: Path, times: PageTimes, command: str, progress: Progress) -> list[Row]:
    """Every row, with the board in the folder `root`."""
    return [*memory_rows(root, command), viewers_row(root, times, command, progress)]


def memory_rows(root: Path, command: str) -> list[Row]:
    """The resident memory after some seconds, unwatched and watched."""
    with started(root, "--web", "127.0.0.1:0") as running:
        running.count(_SETTLE_S)
        alone_mb = running.resident_mb()
        with watched(running.port, 1):
            running.count(_SETTLE_S)
            watched_mb = running.resident_mb()
    must, holds = at_most(_MOST_MB, watched_mb)
    return [
        Row("memory of `edgewise run --web`, no viewer", alone_mb, "MB RSS", "", None, command),
        Row("memory of `edgewise run --web`, one viewer", watched_mb, "MB RSS", must, holds, command),
    ]


def viewers_row(root: Path, times: PageTimes, command: str, progress: Progress) -> Row:
    """How much fewer frames the loop classifies while VIEWERS watch, in turn with viewers that are held up.

    Turns are short, since a shared machine's speed drifts by more than viewers cost; who is held up asks for nothing.
    """
    rates: dict[bool, list[float]] = {False: [], True: []}  # by whether the viewers look
    with started(root, "--web", "127.0.0.1:0") as running, watched(running.port, VIEWERS) as viewers:
        running.count(_SETTLE_S)
        pictures = 0
        for turn in range(times.rounds):
            for looking in (turn % 2 == 0, turn % 2 == 1):
                viewers.look(looking)
                time.sleep(_BACK_S)
                before = viewers.pictures()
                rates[looking].append(running.count(times.seconds) / times.seconds)
                pictures += viewers.pictures() - before
            progress("page", turn + 1, times.rounds)
    slowed = [100 * (1 - two / one) for one, two in zip(rates[False], rates[True], strict=True)]
    slower = statistics.median(slowed)
    must, holds = at_most(_MOST_SLOWER_PERCENT, slower)
    low, high = median_interval(slowed)
    about: dict[str, float | str] = {
        "95 % interval": f"{low:.1f} to {high:.1f}",
        "frames a second without": statistics.median(rates[False]),
        "with": statistics.median(rates[True]),
        "pictures a second for each viewer": pictures / (times.rounds * times.seconds) / VIEWERS,
        "viewers on": "the same machine",
    }
    return Row(f"the loop, slowed by {VIEWERS} viewers", slower, "%", must, holds, command, about)


class Running:
    """A `run --json` process, whose lines are counted as they come."""

    def __init__(self, process: "subprocess.Popen[bytes]", port: int) -> None:
        self.port = port
        self._process = process
        self._lines = 0
        threading.Thread(target=self._read, args=(process.stdout,), daemon=True).start()

    def _read(self, out: IO[bytes]) -> None:
        for _ in out:
            self._lines += 1

    def count(self, seconds: float) -> int:
        """Frames that were classified in so many seconds from now."""
        before = self._lines
        time.sleep(seconds)
        return self._lines - before

    def resident_mb(self) -> float:
        """Of the process itself and of those that it started."""
        return sum(resident_mb(pid) for pid in (self._process.pid, *children(self._process.pid)))


@contextmanager
def started(root: Path, *more: str, camera: str = _CAMERA) -> Iterator[Running]:
    """`run` over the test pattern or another camera. Raises BoardError if it does not start."""
    words = [str(root / "edgewise"), "run", camera, "--json", *more]
    environment = {**os.environ, "EDGEWISE_PYTHON": sys.executable}
    process = subprocess.Popen(words, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    try:
        assert process.stdout is not None and process.stderr is not None  # noqa: S101  for mypy: they are pipes
        first = process.stdout.readline().decode()
        if not first:
            raise BoardError(process.stderr.read().decode()[-300:], "a run that starts", "see what it says")
        port = re.search(r":(\d+)/", json.loads(first).get("said", ""))
        yield Running(process, int(port.group(1)) if port else 0)
    finally:
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=30)


def median_interval(values: list[float]) -> tuple[float, float]:
    """A 95 % interval of the median of what the values were drawn from: two of them, by the binomial's deviation."""
    middle, half = len(values) / 2, 0.98 * math.sqrt(len(values))
    ordered = sorted(values)
    return ordered[max(0, math.floor(middle - half))], ordered[min(len(values), math.ceil(middle + half)) - 1]


class Viewers:
    """A process of so many viewers."""

    def __init__(self, process: Any, count: Any) -> None:
        self._process = process
        self._count = count

    def pictures(self) -> int:
        """That came to them so far."""
        return int(self._count.value)

    def look(self, looking: bool) -> None:
        """Holds them all up, or lets them go on. Raises BoardError where the page has closed one."""
        if not self._process.is_alive():
            raise BoardError("a viewer that the page closed", f"{VIEWERS} that watch", "see what the page says")
        os.kill(self._process.pid, signal.SIGCONT if looking else signal.SIGSTOP)


@contextmanager
def watched(port: int, viewers: int) -> Iterator[Viewers]:
    """So many viewers, in a process of their own."""
    context = get_context("fork")
    count = context.Value("q", 0)
    with ExitStack() as stack:
        process = context.Process(target=_watch, args=(port, viewers, count), daemon=True)
        process.start()
        stack.callback(process.join)
        stack.callback(process.kill)
        time.sleep(1.0)
        yield Viewers(process, count)


def _watch(port: int, viewers: int, count: Any) -> None:
    """Reads what the page sends, as cheaply as it can be read, and asks for the next picture after each."""
    selector = selectors.DefaultSelector()
    for _ in range(viewers):
        selector.register(_opened(port), selectors.EVENT_READ, bytearray())
    while True:
        for key, _ in selector.select():
            one: Any = key.fileobj
            got = one.recv(1 << 16)
            if not got:
                raise ConnectionError("the page closed a viewer")
            key.data.extend(got)
            while length := _message_length(key.data):
                if key.data[0] & 15 == 2:  # a picture
                    one.sendall(b"\x81\x84\0\0\0\0next")
                    count.value += 1
                elif key.data[0] & 15 == 9:  # a ping, which the page closes a viewer for if nothing comes back
                    one.sendall(b"\x8a\x80\0\0\0\0")
                del key.data[:length]


def _opened(port: int) -> socket.socket:
    one = socket.create_connection(("127.0.0.1", port))
    one.sendall(
        f"GET /api/live HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Version: 13\r\n\r\n".encode()
    )
    got = b""
    while not got.endswith(b"\r\n\r\n"):
        got += one.recv(1)
    return one


def _message_length(data: bytearray) -> int:
    """Bytes of the whole WebSocket message (RFC 6455) at the start of `data`; 0 while it is not all there."""
    if len(data) < 10 and (len(data) < 2 or len(data) < 2 + (data[1] if data[1] < 126 else 8)):
        return 0
    length, head = data[1], 2
    if length == 126:
        length, head = int.from_bytes(data[2:4], "big"), 4
    elif length == 127:
        length, head = int.from_bytes(data[2:10], "big"), 10
    return head + length if len(data) >= head + length else 0
