"""Something made in a thread of its own while the caller does something else."""

import threading
from typing import Any, Callable, Optional


class Beside(threading.Thread):
    """Calls `make` at once. Whoever leaves without the result still waits for it: a library is not cut off half-way."""

    def __init__(self, make: Callable[[], Any]) -> None:
        super(Beside, self).__init__(name="beside")
        self._make = make
        self._made: Any = None
        self._error: Optional[Exception] = None
        self.start()

    def run(self) -> None:
        try:
            self._made = self._make()
        except Exception as error:  # noqa: BLE001  whatever it is, result() raises it
            self._error = error

    def result(self) -> Any:
        """What `make` returned, or raised."""
        self.join()
        if self._error is not None:
            raise self._error
        return self._made
