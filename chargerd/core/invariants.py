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

from chargerd.core.commands import CloseRelay, Command, RenewLease
from chargerd.core.events import Event, Persisted
from chargerd.core.facts import Fact, PortLockedOut, PortTripped, RelayNotReconciled, SessionEnded
from chargerd.core.moment import Moment
from chargerd.core.outbox import Outcome
from chargerd.core.plan import StationPlan
from chargerd.core.port import Port
from chargerd.core.relay import Phase
from chargerd.core.units import Instant, PortId, Seconds, SessionId, after
from chargerd.core.view import PortState

GRACE = Seconds(1.0)
"""How much later than its deadline the station may be woken before that counts as not having acted."""


class InvariantViolated(Exception):  # noqa: N818 - named for what it says
    """Something that must never happen has happened."""


class Invariants:
    """Books kept beside the station."""

    def __init__(self, plan: StationPlan) -> None:
        self._reconcile_within = plan.reconcile_within
        self._began: Instant | None = None
        self._pending: dict[int, SessionId] = {}
        self._durable: dict[PortId, SessionId] = {}
        self._barred: dict[PortId, SessionId | None] = {}
        self._unreconciled = {port.id for port in plan.ports}

    def check(self, event: Event | None, outcome: Outcome, ports: Iterable[Port], now: Moment) -> None:
        """Compare an event and its outcome with the books. Raises `InvariantViolated`."""
        if self._began is None:
            self._began = now.instant
        if isinstance(event, Persisted) and event.token in self._pending:
            self._durable[event.port] = self._pending.pop(event.token)
        by_id = {port.id: port for port in ports}
        for command in outcome.commands:
            self._check_command(command, by_id, now)
        for fact in outcome.facts:
            self._note_fact(fact)
        for port in by_id.values():
            self._check_port(port, now)

    def expect(self, token: int, session: SessionId) -> None:
        """Note which session a token stands for."""
        self._pending[token] = session

    def _check_command(self, command: Command, ports: dict[PortId, Port], now: Moment) -> None:
        if not isinstance(command, CloseRelay | RenewLease):
            return
        port = ports[command.port]
        charge = port.charge
        if charge is None or self._durable.get(port.id) != charge.order.session:
            raise InvariantViolated(f"S1: {type(command).__name__} for {port.id} without a durable session")
        if port.latches:
            raise InvariantViolated(f"S6: {type(command).__name__} for {port.id} while it is latched")
        if port.id in self._barred and self._barred[port.id] == charge.order.session:
            raise InvariantViolated(f"S5: {type(command).__name__} for {port.id} after a trip of the same session")
        if not port.seen.fresh(now.instant):
            raise InvariantViolated(f"S6: {type(command).__name__} for {port.id} while its meter is stale")
        if isinstance(command, CloseRelay) and not port.station.store_writable:
            raise InvariantViolated(f"S6: {port.id} closes while the store cannot be written")

    def _note_fact(self, fact: Fact) -> None:
        match fact:
            case PortTripped() | PortLockedOut():
                self._barred[fact.port] = fact.session
            case SessionEnded():
                self._durable.pop(fact.settlement.record.order.port, None)
            case RelayNotReconciled():
                self._unreconciled.discard(fact.port)
            case _:
                pass

    def _check_port(self, port: Port, now: Moment) -> None:
        if port.relay.phase is Phase.CLOSED:
            if port.charge is None or self._durable.get(port.id) != port.charge.order.session:
                raise InvariantViolated(f"S1: the relay of {port.id} is closed without a durable session")
            until = port.seen.fresh_until()
            if until is None or now.instant > after(until, GRACE):
                raise InvariantViolated(f"S3: {port.id} is closed and stale, and nothing opens it")
        if port.id in self._unreconciled and self._began is not None:
            if port.relay.phase is Phase.OPEN or port.state in {PortState.LOCKED_OUT, PortState.TRIPPED}:
                self._unreconciled.discard(port.id)
            elif now.instant > after(self._began, Seconds(self._reconcile_within + GRACE)):
                raise InvariantViolated(f"S9: the relay of {port.id} was neither opened nor reported in time")
