"""Work that other threads hand to the loop's thread, which alone owns the network and what was learnt."""

import queue
import time
from concurrent.futures import CancelledError, Future
from concurrent.futures import TimeoutError as NoAnswer
from typing import Any, Callable, Tuple

from edge.web.request import Refused

_MOST_WAITING = 16
_PATIENCE_S = 10.0  # a camera that is lost keeps the loop for five seconds


class Desk:
    def __init__(self, patience_s: float = _PATIENCE_S) -> None:
        self._tasks: "queue.Queue[Tuple[Future, Callable[[], Any]]]" = queue.Queue(_MOST_WAITING)
        self._patience_s = patience_s
        self._closed = False

    def ask(self, task: Callable[[], Any]) -> Any:
        """What `task` returns or raises in the loop's thread; for any other one. Raises Refused when that is busy."""
        future: Future = Future()
        busy = Refused(503, "the loop has no time for this", "a quieter moment", "try again", {"Retry-After": "2"})
        if self._closed:
            raise busy
        try:
            self._tasks.put_nowait((future, task))
            return future.result(self._patience_s)
        except NoAnswer:
            if future.cancel():
                raise busy from None
            return future.result()  # it is being done right now
        except (queue.Full, CancelledError):
            raise busy from None

    def work(self) -> None:
        """Does what was asked for up to now. In the loop's thread."""
        while not self._tasks.empty():
            self._do(*self._tasks.get())

    def work_for(self, seconds: float) -> None:
        """Does what is asked for until so many seconds have passed. In the loop's thread, while it has no frames."""
        ends = time.monotonic() + seconds
        while True:
            left = ends - time.monotonic()
            if left <= 0:
                return
            try:
                self._do(*self._tasks.get(timeout=left))
            except queue.Empty:
                return

    def close(self) -> None:
        """Nobody works here any more; who waits is told so."""
        self._closed = True
        while not self._tasks.empty():
            self._tasks.get()[0].cancel()

    @staticmethod
    def _do(future: Future, task: Callable[[], Any]) -> None:
        if not future.set_running_or_notify_cancel():
            return
        try:
            future.set_result(task())
        except Exception as error:  # noqa: BLE001  it is the asker's, and must not end the loop
            future.set_exception(error)
