"""An engine that is opened in a thread of its own, while its caller reads what else a first frame needs."""

import threading
from typing import Any, Callable, Optional, Tuple

import numpy as np


class OpeningEngine:
    """Stands for the Engine that `make` opens: whoever runs it first waits for it, and hears of what went wrong.

    A process that ends meanwhile waits, too: onnxruntime is not cut off half-way.
    """

    def __init__(self, make: Callable[[], Any]) -> None:
        self._make = make
        self._engine: Any = None
        self._error: Optional[Exception] = None
        self._thread = threading.Thread(target=self._open, name="opening")
        self._thread.start()

    def run(self, pixels: np.ndarray) -> Tuple[np.ndarray, np.ndarray]:
        """As Engine.run. Raises what `make` raised, too."""
        return self._opened().run(pixels)

    def end_profile(self) -> Tuple[str, int]:
        """As Engine.end_profile. Raises what `make` raised, too."""
        return self._opened().end_profile()

    def _open(self) -> None:
        try:
            self._engine = self._make()
        except Exception as error:  # noqa: BLE001  whatever it is, whoever runs the engine is to hear of it
            self._error = error

    def _opened(self) -> Any:
        self._thread.join()
        if self._error is not None:
            raise self._error
        return self._engine
