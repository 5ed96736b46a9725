"""The log book of a world: what was decided and what the contacts did, line by line, in words."""

from collections.abc import Mapping
from dataclasses import dataclass

from chargerd.core.commands import (
    Answer,
    CloseRelay,
    OpenRelay,
    ReadRelay,
    RenewLease,
    SetPace,
)
from chargerd.core.facts import (
    CircuitTripped,
    EnergyEstimated,
    InputTripped,
    PortLockedOut,
    PortTripped,
    SessionEnded,
    SessionResumed,
    SessionStarted,
    SessionSuspended,
    SessionUpdated,
)
from chargerd.core.session import SessionRecord


@dataclass(frozen=True, slots=True)
class Line:
    """One line of the log book."""

    at: float
    port: str
    text: str

    def __str__(self) -> str:
        return f"{self.at:9.3f} {self.port:4} {self.text}"


class LogBook:
    """Keeps the lines and answers questions about them."""

    def __init__(self) -> None:
        self.book: list[Line] = []

    def print(self) -> str:
        """Return the log book."""
        return "\n".join(str(line) for line in self.book if not line.text.startswith(("read", "pace")))

    def lines(self, port: str = "A01") -> list[str]:
        """Return what the log book says of a port, without times."""
        return [line.text for line in self.book if line.port == port]

    def tells(self, *texts: str, port: str = "A01") -> None:
        """Assert that the log book holds these lines of a port in this order, others may lie between."""
        rest = iter(self.lines(port))
        for text in texts:
            assert text in rest, f"'{text}' missing after what precedes it in {texts}:\n{self.print()}"

    def tells_not(self, *texts: str, port: str = "A01") -> None:
        """Assert that none of these lines is in the log book."""
        for text in texts:
            assert text not in self.lines(port), f"'{text}' is in the log book:\n{self.print()}"

    def when(self, text: str, port: str = "A01", nth: int = 1) -> float:
        """Return when the log book got this line, in seconds since the world began."""
        times = [line.at for line in self.book if line.port == port and line.text == text]
        assert len(times) >= nth, f"'{text}' only {len(times)} times:\n{self.print()}"
        return times[nth - 1]

    def count(self, text: str, port: str = "A01") -> int:
        return self.lines(port).count(text)


_WORDING: Mapping[type, str] = {
    OpenRelay: "open",
    CloseRelay: "close",
    RenewLease: "renew",
    ReadRelay: "read relay",
    SetPace: "pace {it.pace}",
    Answer: "answer {it.name} {it.status} {it.code}",
    SessionStarted: "started",
    SessionUpdated: "updated",
    SessionResumed: "resumed",
    SessionSuspended: "suspended {it.reason}",
    SessionEnded: "ended {it.settlement.reason}",
    PortTripped: "tripped {it.function}",
    EnergyEstimated: "estimated {it.kind}",
    PortLockedOut: "locked out {it.latch.function}",
    InputTripped: "input {it.input} tripped {it.function}",
    CircuitTripped: "tripped {it.function}",
}


def port_of(what: object) -> str:
    if isinstance(what, SessionEnded):
        return what.settlement.record.order.port
    record = getattr(what, "record", None)
    if isinstance(record, SessionRecord):
        return record.order.port
    return str(getattr(what, "port", None) or getattr(what, "circuit", None) or "")


def word(what: object) -> str:
    """Put a command or a fact in the words of the log book."""
    wording = _WORDING.get(type(what))
    return wording.format(it=what) if wording is not None else _spaced(type(what).__name__)


def _spaced(name: str) -> str:
    return "".join(f" {letter.lower()}" if letter.isupper() else letter for letter in name).strip()
