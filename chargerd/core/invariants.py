"""What must hold at all times, whatever the table says: checked after every event, in production too.

The checks keep books of their own and look only at what went in and what came out, so that a mistake in the state
table cannot hide itself. A violation raises `InvariantViolated`; the runtime then opens every relay and ends the
process.

S1  no relay is told to close, or kept closed, without a durable open session
S3  a port whose relay is closed and whose meter is stale is being opened
S5  nothing re-closes after a trip without a new start
S6  no closing edge unless the meter is fresh, no latch holds, and the store is writable
S9  every relay is shown open, or its board reported, within 5 s of the start
"""

from collections.abc import Iterable

from chargerd.core.commands import CloseRelay, Command, OpenRelay, Persist, RenewLease
from chargerd.core.events import Event, MeterReading, Persisted, PersistFailed, RelayReadBack, StoreChanged
from chargerd.core.facts import (
    Fact,
    Latch,
    LatchesCleared,
    PortLockedOut,
    PortTripped,
    RelayNotReconciled,
    SessionEnded,
)
from chargerd.core.moment import Moment
from chargerd.core.outbox import Outcome
from chargerd.core.plan import StationPlan
from chargerd.core.units import Instant, PortId, Seconds, SessionId, after

GRACE = Seconds(1.0)
"""How much later than its deadline the station may be woken before that counts as not having acted."""


class InvariantViolated(Exception):  # noqa: N818 - named for what it says
    """Something that must never happen has happened."""


class Invariants:
    """Books kept beside the station."""

    def __init__(self, plan: StationPlan, latches: Iterable[Latch]) -> None:
        self._report_within = Seconds(plan.reconcile_within + GRACE)
        self._report_by: Instant | None = None
        self._blind_after = {
            port.id: max(port.protection.stale_after, 3 * port.meter.refresh) for port in plan.ports
        }
        self._unreconciled = {port.id for port in plan.ports}
        self._pending: dict[int, tuple[PortId, SessionId]] = {}
        self._durable: dict[PortId, SessionId] = {}
        self._barred: dict[PortId, SessionId | None] = {}
        self._closed: set[PortId] = set()
        """Ports whose relay was told to close and has not been told to open since."""
        self._heard: dict[PortId, Instant] = {}
        """When the current of a port was last measured."""
        self._latched = {(latch.port, latch.function) for latch in latches}
        self._writable = True

    def check(self, event: Event | None, outcome: Outcome, now: Moment) -> None:
        """Compare an event and its outcome with the books. Raises `InvariantViolated`."""
        if event is not None:
            self._note_event(event)
        if self._report_by is None:
            self._report_by = after(now.instant, self._report_within)
        for command in outcome.commands:
            self._check_command(command, now)
        for fact in outcome.facts:
            self._note_fact(fact)
        for port in self._closed:
            if self._blind(port, now, GRACE):
                raise InvariantViolated(f"S3: {port} is closed and stale, and nothing opens it")
        if self._unreconciled and now.instant > self._report_by:
            raise InvariantViolated(f"S9: neither opened nor reported in time: {sorted(self._unreconciled)}")

    def _note_event(self, event: Event) -> None:
        match event:
            case MeterReading() if event.current is not None:
                self._heard[event.port] = event.at
            case RelayReadBack() if not event.closed:
                self._unreconciled.discard(event.port)
            case Persisted() if event.token in self._pending:
                port, session = self._pending.pop(event.token)
                self._durable[port] = session
            case PersistFailed():
                self._pending.pop(event.token, None)
            case StoreChanged():
                self._writable = event.writable
            case _:
                pass

    def _check_command(self, command: Command, now: Moment) -> None:
        match command:
            case OpenRelay():
                self._closed.discard(command.port)
            case Persist():
                self._durable.pop(command.port, None)
                self._pending[command.token] = (command.port, command.record.order.session)
            case CloseRelay():
                self._check_closing(command, now)
                if not self._writable:
                    raise InvariantViolated(f"S6: {command.port} closes while the store cannot be written")
                self._closed.add(command.port)
            case RenewLease():
                self._check_closing(command, now)
            case _:
                pass

    def _check_closing(self, command: CloseRelay | RenewLease, now: Moment) -> None:
        port, what = command.port, f"{type(command).__name__} for {command.port}"
        session = self._durable.get(port)
        if session is None:
            raise InvariantViolated(f"S1: {what} without a durable session")
        if self._barred.get(port) == session:
            raise InvariantViolated(f"S5: {what} after a trip of the same session")
        if any(latched == port for latched, _ in self._latched):
            raise InvariantViolated(f"S6: {what} while it is latched")
        if self._blind(port, now, Seconds(0.0)):
            raise InvariantViolated(f"S6: {what} while its meter is stale")

    def _note_fact(self, fact: Fact) -> None:
        match fact:
            case PortTripped() | PortLockedOut():
                self._barred[fact.port] = fact.session
                if fact.latch is not None:
                    self._latched.add((fact.port, fact.latch.function))
            case LatchesCleared():
                self._latched -= {(fact.port, function) for function in fact.functions}
            case SessionEnded():
                self._note_end(fact.settlement.record.order.port)
            case RelayNotReconciled():
                self._unreconciled.discard(fact.port)
            case _:
                pass

    def _note_end(self, port: PortId) -> None:
        self._durable.pop(port, None)
        if port in self._closed:
            raise InvariantViolated(f"S1: the session of {port} has ended, and nothing opens its relay")

    def _blind(self, port: PortId, now: Moment, grace: Seconds) -> bool:
        heard = self._heard.get(port)
        return heard is None or now.instant > after(heard, Seconds(self._blind_after[port] + grace))
