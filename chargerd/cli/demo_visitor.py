"""The scripted rider of a demo that nobody watches: through the pages, as a phone without script goes."""

import queue
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from chargerd.cli.demo_rider import Page, Phone

LOOK_EVERY_S = 0.2
CHARGES_FOR_S = 6.0
ENOUGH_S = 90.0
"""How long a page may stay as it is before the rider gives up."""


@dataclass(frozen=True, slots=True)
class Told:
    """What the rider has seen: `kind` and a line for people."""

    kind: str
    text: str
    data: dict[str, Any] = field(default_factory=dict)


class GaveUpError(Exception):
    """The page never came to what the rider waited for."""


class Visitor:
    """A thread that opens a socket's page, starts, watches, stops, and reads the receipt."""

    def __init__(self, url: str, path: str) -> None:
        self.told: queue.SimpleQueue[Told] = queue.SimpleQueue()
        self.port = path.rpartition("/")[2]
        """The socket whose page it is: the last part of the path."""
        self._phone = Phone(url)
        self._path = path
        self._leave = threading.Event()
        self._thread = threading.Thread(target=self._run, name="visitor", daemon=True)

    def start(self) -> None:
        """Go."""
        self._thread.start()

    @property
    def through(self) -> bool:
        """Whether it has its receipt, or has given up."""
        return not self._thread.is_alive()

    def stop(self) -> None:
        """Go home, wherever it has come to."""
        self._leave.set()
        self._thread.join()

    def _run(self) -> None:
        try:
            self._charge()
        except GaveUpError as error:
            if not self._leave.is_set():
                self._say("page_gave_up", str(error))

    def _charge(self) -> None:
        page = self._wait(lambda page: page.kind == "free", "free")
        self._say("page_free", "a visitor opens the page: free")
        self._say("page_start", "the visitor presses Start")
        pressed = time.monotonic()
        self._phone.press(page, "start")
        self._wait(lambda page: page.kind in {"plug_in", "charging"}, "switched on")
        shown_ms = round((time.monotonic() - pressed) * 1000)
        self._say("page_on", f"the page says that it is on, {shown_ms} ms after Start", shown_after_ms=shown_ms)
        self._wait(lambda page: page.kind == "charging", "charging")
        self._leave.wait(CHARGES_FOR_S)
        page = self._wait(lambda page: page.kind == "charging", "charging")
        self._say("page_charging", "the page shows: " + " ".join(page.text.split())[:120])
        self._phone.press(page, "stop")
        page = self._wait(lambda page: page.kind == "ended", "ended")
        receipt = next(link for link in page.links if link.startswith("/r/"))
        text = " ".join(self._phone.open(receipt).text.split())
        self._say("page_receipt", f"the receipt: {text}", receipt=receipt)

    def _wait(self, holds: Callable[[Page], bool], what: str) -> Page:
        deadline = time.monotonic() + ENOUGH_S
        while not self._leave.is_set() and time.monotonic() < deadline:
            try:
                page = self._phone.open(self._path)
            except OSError:
                page = Page("")
            if holds(page):
                return page
            self._leave.wait(LOOK_EVERY_S)
        raise GaveUpError(f"the page is never {what}")

    def _say(self, kind: str, text: str, **data: Any) -> None:
        self.told.put(Told(kind, text, data))
