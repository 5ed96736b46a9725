"""Where two threads meet: what has to wait for both is done by whoever comes second."""

import threading
from collections.abc import Callable


class Rendezvous:
    """Calls `then` with the second of two calls of `come`, in that caller's thread."""

    def __init__(self, then: Callable[[], None]) -> None:
        self._then = then
        self._lock = threading.Lock()
        self._waited_for = True

    def come(self) -> None:
        """Say that one of the two is there."""
        with self._lock:
            first, self._waited_for = self._waited_for, False
        if not first:
            self._then()
