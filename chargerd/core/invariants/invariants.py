"""What must hold at all times, whatever the table says: checked after every event, in production too.

The checks keep books of their own and look only at what went in and what came out, so that a mistake in the state
table cannot hide itself. A violation raises `InvariantViolated`; the runtime then opens every relay and ends the
process.

S1  no relay is told to close, or kept closed, without a durable open session; only what was closed is kept so
S3  a port whose relay is closed and whose meter is stale is being opened
S5  nothing re-closes after a trip without a new start
S6  no closing edge unless the meter is fresh, no latch holds, and the store is writable
S9  every relay is shown open, or its board reported, within 5 s of the start

S2 and S12 stand in `load_books`, what S6 asks of contactors above unconfirmed relays in `relay_books`, S4, S7 and
S8 and S12 in `order_books`. The rest is kept elsewhere: an opening that is passed over by other jobs ends the bus
(`chargerd.modbus.schedule`, S2), no row leaves the journal that was not acknowledged (S7), nothing that blocks is
called under the lock of the engine (S10), a thread that stands still ends the process: its relays open by lease,
and by the last command of the unit (S11).
"""

import math
from collections.abc import Iterable

from chargerd.core.commands import CloseRelay, Command, OpenRelay, Persist, RenewLease
from chargerd.core.events import Event, MeterReading, Persisted, PersistFailed, RelayReadBack, StoreChanged
from chargerd.core.facts import (
    CircuitTripped,
    Fact,
    InputTripped,
    LatchesCleared,
    PortLockedOut,
    PortTripped,
    RelayNotReconciled,
    SessionEnded,
)
from chargerd.core.invariants.load_books import LoadBooks
from chargerd.core.invariants.order_books import OrderBooks
from chargerd.core.invariants.relay_books import RelayBooks
from chargerd.core.moment import Moment
from chargerd.core.outbox import Outcome
from chargerd.core.plan import StationPlan, contactor_of, holder_of
from chargerd.core.session import Disabled, Latch
from chargerd.core.units import CircuitId, Instant, PortId, Seconds, SessionId, after

NEVER = Instant(math.inf)
GRACE = Seconds(1.0)
"""How much later than its deadline the station may be woken before that counts as not having acted."""


class InvariantViolated(Exception):  # noqa: N818 - named for what it says
    """Something that must never happen has happened."""


def holders_above(plan: StationPlan) -> dict[CircuitId, tuple[PortId, ...]]:
    """Return for each circuit the ids under which it and those that feed it are latched."""
    parents = {circuit.id: circuit.parent for circuit in plan.circuits}
    found = {}
    for circuit, parent in parents.items():
        chain, at = [], parent
        while at is not None:
            chain.append(holder_of(at))
            at = parents[at]
        found[circuit] = (holder_of(circuit), *chain)
    return found


class Invariants:
    """Books kept beside the station."""

    def __init__(
        self, plan: StationPlan, latches: Iterable[Latch], out_of_service: Iterable[Disabled] = ()
    ) -> None:
        self._report_within = Seconds(plan.reconcile_within + GRACE)
        self._report_by: Instant | None = None
        self._blind_after = {
            port.id: max(port.protection.stale_after, 3 * port.meter.refresh) for port in plan.ports
        }
        above = holders_above(plan)
        self._above = {port.id: above.get(port.circuit, ()) for port in plan.ports}
        self._contactors = {contactor_of(it.id): above[it.id] for it in plan.circuits if it.contactor is not None}
        self._unreconciled = {*(port.id for port in plan.ports), *self._contactors}
        self._pending: dict[int, tuple[PortId, SessionId]] = {}
        self._durable: dict[PortId, SessionId] = {}
        self._barred: dict[PortId, SessionId | None] = {}
        self._closed: set[PortId] = set()
        """Ports whose relay was told to close and has not been told to open since."""
        self._blind_from = NEVER
        """No closed port can have gone blind before."""
        self._heard: dict[PortId, Instant] = {}
        """When the current of a port was last measured."""
        held = tuple(latches)
        self._latched = {(latch.port, latch.function) for latch in held}
        self._writable = True
        self._loads = LoadBooks(plan)
        self._relays = RelayBooks(plan)
        self._orders = OrderBooks(held, self._above, out_of_service)

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
        if now.instant > self._blind_from:
            self._check_sight(now)
        wrong = (
            self._loads.wrong(event, outcome, now.instant)
            or self._relays.wrong(event, outcome, now.instant)
            or self._orders.wrong(event, outcome, now.instant)
        )
        if wrong is not None:
            raise InvariantViolated(wrong)
        if self._unreconciled and now.instant > self._report_by:
            raise InvariantViolated(f"S9: neither opened nor reported in time: {sorted(self._unreconciled)}")

    def _check_sight(self, now: Moment) -> None:
        """Look at all closed ports, and find out until when none of them can have gone blind."""
        for port in self._closed:
            if self._blind(port, now, GRACE):
                raise InvariantViolated(f"S3: {port} is closed and stale, and nothing opens it")
        self._blind_from = min((self._blind_at(port) for port in self._closed), default=NEVER)

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
            case CloseRelay() | RenewLease() if command.port in self._contactors:
                self._check_contactor(command)
            case CloseRelay():
                self._check_closing(command, now)
                if not self._writable:
                    raise InvariantViolated(f"S6: {command.port} closes while the store cannot be written")
                self._closed.add(command.port)
                self._blind_from = min(self._blind_from, self._blind_at(command.port))
            case RenewLease():
                self._check_renewal(command, now)
            case _:
                pass

    def _check_renewal(self, command: RenewLease, now: Moment) -> None:
        self._check_closing(command, now)
        if command.port not in self._closed:
            raise InvariantViolated(f"S1: {command.port} is renewed, and nothing has closed it")

    def _check_closing(self, command: CloseRelay | RenewLease, now: Moment) -> None:
        port, what = command.port, f"{type(command).__name__} for {command.port}"
        session = self._durable.get(port)
        if session is None:
            raise InvariantViolated(f"S1: {what} without a durable session")
        if self._barred.get(port) == session:
            raise InvariantViolated(f"S5: {what} after a trip of the same session")
        if self._held((port, *self._above[port])):
            raise InvariantViolated(f"S6: {what} while it is latched")
        if self._blind(port, now, Seconds(0.0)):
            raise InvariantViolated(f"S6: {what} while its meter is stale")

    def _check_contactor(self, command: CloseRelay | RenewLease) -> None:
        if self._held(self._contactors[command.port]):
            raise InvariantViolated(
                f"S6: {type(command).__name__} for {command.port} while its circuit is latched"
            )

    def _held(self, circuits: tuple[PortId, ...]) -> bool:
        return any(latched in circuits for latched, _ in self._latched)

    def _note_fact(self, fact: Fact) -> None:
        match fact:
            case PortTripped() | PortLockedOut():
                self._barred[fact.port] = fact.session
                if fact.latch is not None:
                    self._latched.add((fact.port, fact.latch.function))
            case InputTripped() | CircuitTripped():
                if fact.latch is not None:
                    self._note_circuit_latch(fact.latch)
            case LatchesCleared():
                self._latched -= {(fact.port, function) for function in fact.functions}
            case SessionEnded():
                self._note_end(fact.settlement.record.order.port)
            case RelayNotReconciled():
                self._unreconciled.discard(fact.port)
            case _:
                pass

    def _note_circuit_latch(self, latch: Latch) -> None:
        self._latched.add((latch.port, latch.function))
        for port, above in self._above.items():
            if latch.port in above:
                self._barred[port] = self._durable.get(port)

    def _note_end(self, port: PortId) -> None:
        self._durable.pop(port, None)
        if port in self._closed:
            raise InvariantViolated(f"S1: the session of {port} has ended, and nothing opens its relay")

    def _blind_at(self, port: PortId) -> Instant:
        """Return when a port that is not heard of any more will count as blind; each reading moves it on."""
        return after(self._heard[port], Seconds(self._blind_after[port] + GRACE))

    def _blind(self, port: PortId, now: Moment, grace: Seconds) -> bool:
        heard = self._heard.get(port)
        return heard is None or now.instant > after(heard, Seconds(self._blind_after[port] + grace))
