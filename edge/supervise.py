"""`supervise`: what systemd does for the service, on a board without it.

The same contract: the process is told $NOTIFY_SOCKET and $WATCHDOG_USEC and answers by sd_notify(3); one that gives no
sign of life is killed and started anew. Without limits on memory and files, though, and as the user who starts this.
"""

import os
import signal
import socket
import subprocess
import tempfile
import time
from contextlib import contextmanager
from typing import IO, Callable, Dict, Iterator, Mapping, NamedTuple, Optional, Sequence

from edge.notify import ALIVE, READY
from edge.with_parent import signalled_with_parent

LOG = os.path.join("log", "service.log")
MAX_LOG_BYTES = 1 << 20
_TICK_S = 0.25
_LONGEST_ADDRESS = 107  # bytes of a socket's path: unix(7)
_PREFIX, _SOCKET = "edgewise-", "notify"


class Limits(NamedTuple):
    """Times in seconds, as the unit of edge/unit.py has them."""

    start_s: float = 600.0  # to the first sign of life: a Nano's first load of a model takes tens of seconds
    watchdog_s: float = 60.0  # from one to the next
    stop_s: float = 10.0  # from a signal to the end
    restart_s: float = 2.0


def supervise(
    command: Sequence[str],
    environment: Mapping[str, str],
    log_path: str,
    limits: Limits = Limits(),  # noqa: B008  a tuple
    going: Callable[[], bool] = lambda: True,
) -> None:
    """Keeps `command` running while going(), its output in `log_path`. Ends it when this process is interrupted."""
    os.makedirs(os.path.dirname(log_path), exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=_PREFIX, dir=_place()) as folder:  # 0700: nobody else feeds the watchdog
        address = os.path.join(folder, _SOCKET)
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener, open(log_path, "ab", 0) as log:
            listener.bind(address)
            listener.settimeout(_TICK_S)
            told = dict(environment, NOTIFY_SOCKET=address, WATCHDOG_USEC=str(int(limits.watchdog_s * 1e6)))
            while going():
                with _process(command, told, log, limits) as process:
                    _watch(process, listener, log, limits, going)
                    _log(log, "the process {}".format(_how(process.poll())))
                _drain(listener)
                if going():
                    time.sleep(limits.restart_s)


def _place() -> str:
    """Where temporary files go, or /tmp where a socket's address would be too long there."""
    place = tempfile.gettempdir()
    longest = os.path.join(place, _PREFIX + 8 * "x", _SOCKET)
    return place if len(os.fsencode(longest)) <= _LONGEST_ADDRESS else "/tmp"  # noqa: S108  a folder of its own in it


@contextmanager
def _process(command: Sequence[str], environment: Dict[str, str], log: IO[bytes], limits: Limits) -> Iterator:
    """The running process, ended with the `with` block however that ends."""
    process = subprocess.Popen(
        command,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=log,
        stderr=log,
        preexec_fn=signalled_with_parent(signal.SIGTERM),  # it must not go on unwatched
    )
    try:
        yield process
    finally:
        for sign in (signal.SIGTERM, signal.SIGKILL):
            if process.poll() is None:
                process.send_signal(sign)
                _wait(process, limits.stop_s)


def _watch(
    process: subprocess.Popen, listener: socket.socket, log: IO[bytes], limits: Limits, going: Callable[[], bool]
) -> None:
    """Returns when the process has ended, or was killed because it gave no sign of life in time."""
    deadline = time.monotonic() + limits.start_s
    while going() and process.poll() is None:
        said = _receive(listener)
        if READY in said or ALIVE in said:
            deadline = time.monotonic() + limits.watchdog_s
        elif time.monotonic() > deadline:
            _log(log, "no sign of life: killing the process")
            for sign in (signal.SIGABRT, signal.SIGKILL):  # the first makes it say where it hangs, if it still can
                process.send_signal(sign)
                if _wait(process, limits.stop_s):
                    return
        _keep_small(log)


def _receive(listener: socket.socket) -> Sequence[str]:
    try:
        return listener.recv(4096).decode("utf-8", "replace").split("\n")
    except socket.timeout:
        return ()


def _drain(listener: socket.socket) -> None:
    """Throws away what the process that has ended still said."""
    listener.setblocking(False)
    try:
        while True:
            listener.recv(4096)
    except BlockingIOError:
        listener.settimeout(_TICK_S)


def _wait(process: subprocess.Popen, seconds: float) -> bool:
    try:
        process.wait(seconds)
    except subprocess.TimeoutExpired:
        return False
    return True


def _how(code: Optional[int]) -> str:
    if code is None:
        return "is asked to end"
    return "ended by signal {}".format(-code) if code < 0 else "ended with {}".format(code)


def _log(log: IO[bytes], line: str) -> None:
    log.write("supervisor: {}\n".format(line).encode("utf-8"))


def _keep_small(log: IO[bytes]) -> None:
    """Past MAX_LOG_BYTES the log is copied to NAME.1 and emptied: the process goes on writing to the same file."""
    if os.fstat(log.fileno()).st_size > MAX_LOG_BYTES:
        with open(log.name, "rb") as full, open(log.name + ".1", "wb") as old:
            old.write(full.read())
        os.ftruncate(log.fileno(), 0)
