"""Every transaction of a line, as it was on the wire, for whoever looks on."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

from chargerd import log
from chargerd.core.units import BoardId, Instant


@dataclass(frozen=True, slots=True, kw_only=True)
class Traced:
    """One transaction. `result` is `answer`, `exception`, `timeout`, `corrupt` or `withheld`."""

    bus: str
    board: BoardId | None
    """`None` for a unit that the configuration does not know."""
    request: bytes
    """The frame as it goes over a serial line, with address and CRC."""
    stray: bytes
    """What had come by itself before it."""
    heard: bytes
    """What came after it, as it came: over Modbus TCP with the header of that."""
    result: str
    sent_at: Instant
    at: Instant
    urgent: bool = False
    by_hand: bool = False
    """Whether somebody on site has asked for it."""


Listener: TypeAlias = Callable[[Traced], None]


class Tracers:
    """Those who look on. Added and removed by any thread, told in the bus's."""

    def __init__(self) -> None:
        self._listeners: tuple[Listener, ...] = ()

    def __bool__(self) -> bool:
        """Say whether anybody looks on."""
        return bool(self._listeners)

    def add(self, listener: Listener) -> None:
        """Tell this one from now on."""
        self._listeners = (*self._listeners, listener)

    def remove(self, listener: Listener) -> None:
        """Tell this one no more."""
        self._listeners = tuple(one for one in self._listeners if one is not listener)

    def tell(self, traced: Traced) -> None:
        """Tell everybody. A mistake of theirs costs them the rest, and nobody a reading."""
        for listener in self._listeners:
            try:
                listener(traced)
            except Exception:  # Whatever it is: who looks on must not end the thread that opens relays.
                log.exception("trace_failed", bus=traced.bus)
                self.remove(listener)
