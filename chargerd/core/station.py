"""The station: events in, outcome out. The one door to the decisions; it reads no clock and does nothing."""

from collections.abc import Iterable
from math import isfinite
from typing import TypeAlias

from chargerd.core.charge import settle_interrupted
from chargerd.core.commands import Answer, Checkpoint, Code, ReadEnergy, ReplyStatus
from chargerd.core.events import (
    BoardBack,
    BoardLost,
    CircuitFault,
    CircuitReading,
    DeadlineReached,
    Event,
    InputsNotRead,
    InputsRead,
    MeterFault,
    MeterReading,
    Persisted,
    PersistFailed,
    RelayEvent,
    Request,
    ResetRequested,
    ShutdownRequested,
    StartRequested,
    StopRequested,
    StoreChanged,
)
from chargerd.core.facts import (
    BoardReturned,
    BoardWentSilent,
    Latch,
    RelayNotReconciled,
    SessionEnded,
    SessionUpdated,
    StoreFailed,
    StoreRecovered,
)
from chargerd.core.invariants import Invariants
from chargerd.core.moment import Moment
from chargerd.core.outbox import Outbox, Outcome
from chargerd.core.plan import StationPlan
from chargerd.core.port import Port, Step, Surroundings
from chargerd.core.relay import Phase, Signal
from chargerd.core.session import SessionRecord
from chargerd.core.table import Trigger, react
from chargerd.core.units import Instant, PortId, WattHours, after
from chargerd.core.view import PortView

SIGNALS = {signal: Trigger(signal.value) for signal in Signal}
REQUESTS: dict[type[Request], Trigger] = {
    StartRequested: Trigger.START,
    StopRequested: Trigger.STOP,
    ResetRequested: Trigger.RESET,
}
PortEvent: TypeAlias = MeterReading | MeterFault | RelayEvent | Persisted | PersistFailed | Request


def _is_known(reading: MeterReading) -> bool:
    values = (reading.current, reading.power, reading.voltage, reading.energy)
    return all(value is None or isfinite(value) for value in values)


class Station:
    """All ports of a site.

    Call `begin` once, then `handle` for each event, and with `DeadlineReached` when `next_deadline` has come. What
    is due by then is done with any event, so that a late wake-up delays nothing that other events can carry.
    Commands must be carried out in the order given. Not thread-safe: its owner holds a lock.
    """

    def __init__(self, plan: StationPlan, now: Moment, latches: Iterable[Latch] = ()) -> None:
        held = tuple(latches)
        self._plan = plan
        self._out = Outbox()
        self._surroundings = Surroundings()
        self._ports = {
            port.id: Port(
                port, self._surroundings, self._out, now, tuple(latch for latch in held if latch.port == port.id)
            )
            for port in plan.ports
        }
        self._invariants = Invariants(plan, held)
        self._due: dict[PortId, Instant | None] = {}
        self._checkpoint_at: Instant | None = None
        self._update_at: Instant | None = None
        self._reconciled_by: Instant | None = None

    def begin(self, interrupted: Iterable[SessionRecord], now: Moment) -> Outcome:
        """Open every relay, and close the books of sessions that an outage or a crash has interrupted."""
        for record in interrupted:
            resolution = self._resolution(record.order.port)
            self._out.tell(SessionEnded(settlement=settle_interrupted(record, resolution)))
        for port in self._ports.values():
            port.relay.open(now.instant, self._out)
        self._checkpoint_at = after(now.instant, self._plan.checkpoint_every)
        self._update_at = after(now.instant, self._plan.update_every)
        self._reconciled_by = after(now.instant, self._plan.reconcile_within)
        return self._conclude(None, self._ports.values(), now)

    def handle(self, event: Event, now: Moment) -> Outcome:
        """Take in one event. After `UnlistedTransition` or `InvariantViolated` every relay must be opened."""
        touched = self._route(event, now)
        for port in touched:
            self._due[port.id] = port.due()
        return self._conclude(event, self._wake(now), now)

    def next_deadline(self) -> Instant | None:
        """Return when the station wants to be woken with `DeadlineReached`."""
        own = (self._checkpoint_at, self._update_at, self._reconciled_by)
        instants = [instant for instant in (*self._due.values(), *own) if instant is not None]
        return min(instants, default=None)

    def views(self, now: Moment) -> tuple[PortView, ...]:
        """Return snapshots of all ports."""
        return tuple(port.view(now) for port in self._ports.values())

    def view(self, port: PortId, now: Moment) -> PortView:
        """Return a snapshot of one port. Raises `KeyError`."""
        return self._ports[port].view(now)

    def idle(self) -> bool:
        """Say whether no session is under way and every relay has been read back open."""
        return all(port.charge is None and port.relay.phase is Phase.OPEN for port in self._ports.values())

    # Routing

    def _route(self, event: Event, now: Moment) -> list[Port]:
        match event:
            case DeadlineReached() | InputsRead() | InputsNotRead() | CircuitReading() | CircuitFault():
                return []
            case BoardLost() | BoardBack():
                return self._board(event, now)
            case StoreChanged():
                return self._store(event)
            case ShutdownRequested():
                return self._shut_down(event, now)
            case _:
                pass
        port = self._ports.get(event.port)
        if port is None:
            if isinstance(event, Request):
                self._answer_unknown(event)
            return []
        self._to_port(port, event, now)
        return [port]

    def _to_port(self, port: Port, event: PortEvent, now: Moment) -> None:
        match event:
            case MeterReading() if not _is_known(event):
                pass  # Not a number is above no threshold, and would keep a meter fresh that shows nothing.
            case MeterReading():
                if port.charge is None:
                    port.seen.note(event)
                else:
                    port.charge.image.note(event)
                react(port, Trigger.READING, event, now)
            case MeterFault():
                pass  # A reading that is missing is told by its age, not by the fault.
            case Persisted() | PersistFailed():
                self._journal(port, event, now)
            case StartRequested() | StopRequested() | ResetRequested():
                react(port, REQUESTS[type(event)], event, now)
            case _:
                signal = port.relay.note(event, now.instant, self._out)
                if signal is not None:
                    react(port, SIGNALS[signal], event, now)

    def _journal(self, port: Port, event: Persisted | PersistFailed, now: Moment) -> None:
        if port.step is not Step.PERSIST or port.token != event.token:
            return  # Late news of a start that has been given up meanwhile.
        if isinstance(event, Persisted):
            port.session.durable = True
            react(port, Trigger.PERSISTED, event, now)
        else:
            react(port, Trigger.PERSIST_FAILED, event, now)

    def _wake(self, now: Moment) -> list[Port]:
        event = DeadlineReached()
        due = [self._ports[port] for port, at in self._due.items() if at is not None and at <= now.instant]
        for port in due:
            # Judged first: a lease is not renewed for a meter that went stale in the same moment.
            react(port, Trigger.WAKE, event, now)
            signal = port.relay.wake(now.instant, self._out)
            if signal is not None:
                react(port, SIGNALS[signal], event, now)
        if self._checkpoint_at is not None and now.instant >= self._checkpoint_at:
            self._checkpoint(now)
        if self._update_at is not None and now.instant >= self._update_at:
            self._update(now)
        if self._reconciled_by is not None and now.instant >= self._reconciled_by:
            self._report_unreconciled()
        return due

    def _checkpoint(self, now: Moment) -> None:
        self._checkpoint_at = after(now.instant, self._plan.checkpoint_every)
        records = self._records(now)
        if records:
            self._out.do(Checkpoint(records=records))
        for record in records:
            self._out.do(ReadEnergy(port=record.order.port))

    def _update(self, now: Moment) -> None:
        self._update_at = after(now.instant, self._plan.update_every)
        for record in self._records(now):
            self._out.tell(SessionUpdated(record=record))

    def _report_unreconciled(self) -> None:
        self._reconciled_by = None
        for port in self._ports.values():
            if port.relay.opened_at is None:
                self._out.tell(RelayNotReconciled(port=port.id, board=port.plan.relay.board))

    def _records(self, now: Moment) -> tuple[SessionRecord, ...]:
        return tuple(
            port.record(now) for port in self._ports.values() if port.charge is not None and port.charge.announced
        )

    def _board(self, event: BoardLost | BoardBack, now: Moment) -> list[Port]:
        ports = [port for port in self._ports.values() if port.plan.relay.board == event.board]
        if isinstance(event, BoardLost):
            self._out.tell(BoardWentSilent(board=event.board, kind=event.kind.value))
        else:
            self._out.tell(BoardReturned(board=event.board))
        for port in ports:
            was_lost, port.board_lost = port.board_lost, isinstance(event, BoardLost)
            if was_lost and not port.board_lost:
                port.relay.check(now.instant, self._out)
        return ports

    def _store(self, event: StoreChanged) -> list[Port]:
        if event.writable != self._surroundings.store_writable:
            self._surroundings.store_writable = event.writable
            self._out.tell(StoreRecovered() if event.writable else StoreFailed())
        return []

    def _shut_down(self, event: ShutdownRequested, now: Moment) -> list[Port]:
        self._surroundings.leaving = True
        for port in self._ports.values():
            react(port, Trigger.SHUTDOWN, event, now)
            if port.relay.phase is not Phase.OPEN:
                port.relay.open(now.instant, self._out)
        return list(self._ports.values())

    def _answer_unknown(self, event: Request) -> None:
        command = event.order.command if isinstance(event, StartRequested) else event.command
        if command is not None:
            self._out.do(
                Answer(
                    command=command,
                    name=REQUESTS[type(event)].value,
                    status=ReplyStatus.REJECTED,
                    code=Code.UNKNOWN_PORT,
                    port=event.port,
                )
            )

    # Concluding

    def _conclude(self, event: Event | None, touched: Iterable[Port], now: Moment) -> Outcome:
        for port in touched:
            self._due[port.id] = port.due()
        outcome = self._out.empty()
        self._invariants.check(event, outcome, now)
        return outcome

    def _resolution(self, port: PortId) -> WattHours:
        known = self._ports.get(port)
        return known.plan.meter.energy_resolution if known is not None else WattHours(1.0)
