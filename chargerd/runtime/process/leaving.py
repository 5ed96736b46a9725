"""How a daemon ends in order: open, write down, hand in, say goodbye; each has its share of the time.

Whoever restarts it waits: sockets are dark until the next one runs. So a line without an adapter, a board that is
silent, a disk that stands still or a broker that has gone away cost their share and no more. What is not done
is left to somebody else: relays nobody could read open to `chargerd open-relays` and the next start, rows to the
next connection, sessions that are being ended to the next start's books. Nothing of it is lost.
"""

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from chargerd import log
from chargerd.contract.ledger import Batch
from chargerd.contract.payloads import EventBody
from chargerd.core.clock import Clock
from chargerd.core.events import Event, RestartRequested, ShutdownRequested
from chargerd.core.units import Instant, PortId, Seconds, after
from chargerd.runtime.process.stopping import Stoppable, stop_buses
from chargerd.runtime.reporting import starts

WITHIN = Seconds(2.2)
"""An end that lets sessions wait. The rest of three seconds is for the process, and `open-relays` after it."""
SETTLE_WITHIN = Seconds(8.0)
"""How much longer one takes that ends sessions: opening, read-back and register have 3 s each."""
OPEN_WITHIN = Seconds(0.7)
"""How long relays have to be read back open: 16 of one line at 9600 Bd take 0.4 s."""
OPEN_AGAIN = Seconds(0.3)
"""How much longer those have that were not, told once more."""
BUSES_WITHIN = Seconds(0.2)
"""How long a bus has for the transaction it is in."""
FOR_GOODBYE = Seconds(0.6)
"""What is kept of the time for the broker's goodbye, and for closing the journal."""
FOR_JOURNAL = Seconds(0.3)
"""What is kept of it for closing the journal."""
LOOK_EVERY = Seconds(0.02)


class How(StrEnum):
    """What becomes of the sessions."""

    RESTART = "restart"
    """They wait for the next daemon."""
    SHUTDOWN = "shutdown"
    """They end."""


class Deciding(Protocol):
    """What is needed of the engine."""

    def dispatch(self, event: Event) -> None:
        """Handle an event."""

    def idle(self) -> bool:
        """Say whether nothing is left to be opened or settled."""

    def stop(self) -> None:
        """End its thread."""


class Ending(Protocol):
    """What ends when it is told to."""

    def stop(self) -> None:
        """End it."""


class Linked(Protocol):
    """What is needed of the link to the broker."""

    connected: bool

    @property
    def drained(self) -> bool:
        """Say whether the broker has every row."""

    def stop(self, cause: str, timeout: Seconds, *, waiting: bool) -> None:
        """Say goodbye and end; `waiting`: sessions wait for the next daemon."""


class Written(Protocol):
    """What is needed of the journal."""

    def append(self, batch: Batch, done: Callable[[bool], None] | None = None) -> None:
        """Queue a batch."""

    def close(self, timeout: float) -> bool:
        """Write what waits, and close it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """What a daemon is made of, as far as it has to end."""

    engine: Deciding
    onlookers: Sequence[Ending]
    buses: Sequence[Stoppable]
    link: Linked | None
    control: Ending
    journal: Written
    note: Callable[[EventBody], None]
    parting: Callable[[], None]
    """Tells whoever waits for the end on site that it has come."""


class Leaving:
    """One end. `cut_short` says that whoever stops the process will not wait for sessions to be settled."""

    def __init__(self, how: How, clock: Clock, cut_short: Callable[[], bool]) -> None:
        self._how = how
        self._clock = clock
        self._cut_short = cut_short
        self._deadline = after(clock.now(), WITHIN)
        self._settle_until = after(clock.now(), SETTLE_WITHIN)

    def leave(self, parts: Parts) -> tuple[PortId, ...]:
        """End everything; returns the ports whose relays nobody has read back open."""
        self._open(parts.engine)
        for one in parts.onlookers:
            one.stop()
        parts.engine.stop()
        left = self._end_buses(parts)
        parts.note(starts.stopped(self._how))
        self._hand_in(parts)
        parts.parting()
        if parts.link is not None:
            goodbye = self._left_but(FOR_JOURNAL)
            parts.link.stop("shutdown", goodbye, waiting=self._how is How.RESTART)
        parts.control.stop()
        log.listen(None)  # What is told from here on finds no journal.
        parts.journal.close(max(FOR_JOURNAL, self._left_but(Seconds(0.0))))
        return left

    def _open(self, engine: Deciding) -> None:
        """Have every relay opened; where sessions end, wait until they are settled."""
        ends = self._how is How.SHUTDOWN
        engine.dispatch(ShutdownRequested() if ends else RestartRequested())
        while ends and not engine.idle() and not self._cut_short() and self._clock.now() < self._settle_until:
            self._clock.sleep(LOOK_EVERY)
        if ends:
            self._deadline = after(self._clock.now(), WITHIN)
        self._await(engine.idle, after(self._clock.now(), OPEN_WITHIN))

    def _end_buses(self, parts: Parts) -> tuple[PortId, ...]:
        opened = parts.engine.idle()
        left = stop_buses(parts.buses, OPEN_AGAIN, BUSES_WITHIN, opened=opened)
        if left:
            log.error("relays_not_confirmed_open", ports=left)
        return tuple(left)

    def _hand_in(self, parts: Parts) -> None:
        """Wait for the last rows to be durable and with the broker; the rest goes after the restart."""
        durable = threading.Event()
        parts.journal.append(Batch(), lambda _durable: durable.set())
        until = after(self._clock.now(), self._left_but(FOR_GOODBYE))
        self._await(durable.is_set, until)
        link = parts.link
        if link is not None:
            self._await(lambda: link.drained or not link.connected, until)

    def _await(self, holds: Callable[[], bool], until: Instant) -> None:
        while not holds() and self._clock.now() < until:
            self._clock.sleep(LOOK_EVERY)

    def _left_but(self, kept: Seconds) -> Seconds:
        """Return how much time is left but for what is kept for later steps."""
        return Seconds(max(0.0, self._deadline - self._clock.now() - kept))
