"""Books about relays that were told to open, kept beside the station: no contactor feeds one that calls for it.

They know only what went in and what came out, and answer with what is wrong, or nothing.

S6  no contactor is closed, or kept closed, above a relay that was told to open and not read back open in time, if
    current flows through it; nor, where nothing but a command opens it, if its meter is silent
"""

from math import isfinite

from chargerd.core.boards.relay import UNCONFIRMED_AFTER
from chargerd.core.commands import CloseRelay, Command, OpenRelay, RenewLease
from chargerd.core.events import (
    BoardBack,
    BoardLost,
    BoardPrepared,
    Event,
    MeterReading,
    PreparationFailed,
    RelayReadBack,
)
from chargerd.core.facts import MeterFrozen
from chargerd.core.invariants.load_books import chains
from chargerd.core.metering.seen import IDLE_STALE_AFTER
from chargerd.core.outbox import Outcome
from chargerd.core.plan import DeadMan, LeaseScope, PortPlan, RelayPlan, StationPlan, contactor_of
from chargerd.core.units import Amps, BoardId, Instant, PortId, Seconds, after, between

GRACE = Seconds(2.0)
"""How much later than the station a relay counts as unconfirmed here: a write may still have been under way."""
NOW = Seconds(3.0)
"""A current measured longer ago is not one of now."""


class RelayBooks:
    """Which relays are being opened, and what their meters show."""

    def __init__(self, plan: StationPlan) -> None:
        self._ports = {port.id: port for port in plan.ports}
        above = chains(plan)
        self._below = {
            contactor_of(circuit.id): tuple(port for port, chain in above.items() if circuit in chain)
            for circuit in plan.circuits
            if circuit.contactor is not None
        }
        self._prepared: set[BoardId] = set()
        """Boards that were set and read back right since they were there anew: only these let a lease run out."""
        self._lost: set[BoardId] = set()
        """Boards that do not answer; nothing renews them."""
        self._opening: dict[PortId, Instant] = {}
        self._amps: dict[PortId, tuple[Instant, Amps]] = {}
        self._frozen: set[PortId] = set()
        """Meters that were found not to measure: what they show is left to the station."""

    def wrong(self, event: Event | None, outcome: Outcome, now: Instant) -> str | None:
        """Take in one turn of the station; return what is wrong with it."""
        match event:
            case MeterReading() if event.current is not None and isfinite(event.current):
                self._amps[event.port] = (event.at, Amps(abs(event.current)))
            case RelayReadBack() if not event.closed:
                self._opening.pop(event.port, None)
            case BoardPrepared():
                self._prepared.add(event.board)
            case BoardBack() | PreparationFailed():
                self._prepared.discard(event.board)
                if isinstance(event, BoardBack):
                    self._lost.discard(event.board)
            case BoardLost():
                self._lost.add(event.board)
            case _:
                pass
        if not outcome.commands and not outcome.facts:
            return None
        self._frozen |= {fact.port for fact in outcome.facts if isinstance(fact, MeterFrozen)}
        told = (self._told(command, now) for command in outcome.commands)
        return next((wrong for wrong in told if wrong is not None), None)

    def _told(self, command: Command, now: Instant) -> str | None:
        match command:
            case OpenRelay():
                self._opening.setdefault(command.port, now)
            case CloseRelay() | RenewLease() if command.port in self._below:
                for port in self._below[command.port]:
                    if self._calls(self._ports[port], now):
                        return f"S6: {command.port} is fed above {port}, which nobody has shown to be open"
            case CloseRelay():
                self._opening.pop(command.port, None)
            case _:
                pass
        return None

    def _calls(self, port: PortPlan, now: Instant) -> bool:
        """Say whether a port's relay wants the contactors above it open."""
        since = self._opening.get(port.id)
        if since is None:
            return False
        lease = port.relay.lease if self._lapses(port.relay) else None
        lapse = UNCONFIRMED_AFTER if lease is None else lease
        from_then = after(since, Seconds(lapse + 2 * port.meter.refresh + GRACE))
        seen = self._amps.get(port.id)
        if now < from_then:
            return False
        if seen is None or between(seen[0], now) > IDLE_STALE_AFTER + GRACE:
            return lease is None
        at, amps = seen
        fresh = at >= from_then and between(at, now) < NOW
        return fresh and port.id not in self._frozen and amps >= port.protection.weld_current

    def _lapses(self, relay: RelayPlan) -> bool:
        """Say whether a relay is known to open by itself when its lease ends."""
        known = relay.prepared or relay.board in self._prepared
        lapses = relay.scope is LeaseScope.RELAY or relay.board in self._lost
        return known and lapses and relay.lease is not None and relay.dead_man is not DeadMan.NONE
