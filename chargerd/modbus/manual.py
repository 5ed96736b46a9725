"""What somebody on site asks of a line: one transaction, slotted between the bus's own.

It may be for any unit, known to the configuration or not. Nothing that comes of it counts for or against a board:
a technician who reads a register that is not there must not make the daemon believe that the board is lost.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from chargerd.core.units import BoardId, Instant, Seconds
from chargerd.modbus.frames import Request


class LineRate(Protocol):
    """How fast a line is and how its characters look, as the configuration's buses say."""

    @property
    def baudrate(self) -> int:
        """Bits a second."""

    @property
    def parity(self) -> str:
        """`none`, `even` or `odd`."""

    @property
    def stopbits(self) -> int:
        """1 or 2."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rate:
    """Another rate than the line's own."""

    baudrate: int
    parity: str = "none"
    stopbits: int = 1


def character_bits(rate: LineRate) -> int:
    """Return how many bits a character takes: start bit, eight data bits, parity and stop bits."""
    return 9 + rate.stopbits + (rate.parity != "none")


class CannotTune(Exception):  # noqa: N818 - named for what it says
    """The line cannot be driven at that rate; the message says why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What came of one manual request.

    `pdu` is the answer, `code` the exception the unit gave; `stray` and `heard` are all bytes that came before the
    request and after it, as they came. `why_not` says why it was not sent, or not waited for.
    """

    request: Request
    sent_at: Instant
    at: Instant
    pdu: bytes | None = None
    code: int | None = None
    stray: bytes = b""
    heard: bytes = b""
    why_not: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Manual:
    """One transaction asked for by hand."""

    request: Request
    timeout: Seconds
    """How long the answer may take to begin."""
    done: Callable[[Outcome], None]
    """Told what came of it, in the bus's thread."""
    board: BoardId | None = None
    """The board of that unit, if the configuration knows one."""
    whole: bool = False
    """Whether all is taken that comes within the timeout, whoever sends it, instead of the one answer."""
    rate: Rate | None = None
    """Another rate than the line's own, for this one transaction; never while a port of the line is in use."""
    guard: Callable[[], str | None] = lambda: None
    """Asked right before it is sent: why it must not be; `None` if it may."""
