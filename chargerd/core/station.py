"""The station: events in, outcome out. The one door to the decisions; it reads no clock and does nothing."""

from collections.abc import Collection, Container, Iterable, Mapping
from dataclasses import replace
from typing import TypeAlias

from chargerd.core.boards.lines import Lines
from chargerd.core.boards.relay import RelayPhase, Signal
from chargerd.core.circuits.availability import Availability
from chargerd.core.circuits.tree import Circuits
from chargerd.core.events import (
    CircuitFault,
    CircuitReading,
    Configured,
    DeadlineReached,
    DrainRequested,
    Event,
    InputsNotRead,
    InputsRead,
    MeterFault,
    MeterReading,
    Persisted,
    PersistFailed,
    ProofNews,
    RelayEvent,
    RelayReadBack,
    Request,
    RequestNews,
    RestartRequested,
    ShutdownRequested,
    StoreChanged,
    TemperatureReading,
)
from chargerd.core.facts import SessionEnded, StoreFailed, StoreRecovered
from chargerd.core.identity import Identity
from chargerd.core.invariants.invariants import Invariants
from chargerd.core.metering.frozen import Frozen
from chargerd.core.metering.pickup import earliest, reached
from chargerd.core.moment import Moment
from chargerd.core.outbox import Outbox, Outcome
from chargerd.core.plan import PortPlan, StationPlan
from chargerd.core.port import readings, starting, suspending
from chargerd.core.port.admission import end_reservation, expire_reservation
from chargerd.core.port.charge import settle_interrupted
from chargerd.core.port.configured import configure
from chargerd.core.port.latching import tell_unconfirmed
from chargerd.core.port.port import Port, StationContext
from chargerd.core.port.rules import Trigger
from chargerd.core.port.suspending import take_up
from chargerd.core.port.table import react
from chargerd.core.session import Disabled, Latch, SessionRecord, ThermalState
from chargerd.core.site.board_events import BoardEvents, BoardNews, of_another_line, take_shown
from chargerd.core.site.explaining import explain_circuit, explain_port
from chargerd.core.site.flapping import Flaps
from chargerd.core.site.proofs import Proofs
from chargerd.core.site.requests import Requests
from chargerd.core.site.rounds import Rounds
from chargerd.core.site.supply import Supply
from chargerd.core.site.wakes import Wakes
from chargerd.core.site.wiring import Wiring
from chargerd.core.units import BoardId, CircuitId, CommandId, Instant, PortId, Seconds, WattHours, between
from chargerd.core.view import CircuitExplained, CircuitView, PortExplained, PortState, PortView

LINGERS = Seconds(30.0)
"""A session still ending after this long waits for something out of order: openings and leases take less."""
SIGNALS = {signal: Trigger(signal.value) for signal in Signal}
PortEvent: TypeAlias = MeterFault | RelayEvent | Persisted | PersistFailed


class Station:
    """All ports of a site.

    Call `begin` once, then `handle` for each event, and with `DeadlineReached` when `next_deadline` has come. What
    is due by then is done with any event, so that a late wake-up delays nothing that other events can carry.
    Commands must be carried out in the order given. Not thread-safe: its owner holds a lock.
    """

    def __init__(
        self,
        plan: StationPlan,
        now: Moment,
        latches: Iterable[Latch] = (),
        seed: int = 0,
        disabled: Iterable[Disabled] = (),
        identities: Iterable[Identity] = (),
    ) -> None:
        """Take latches, what is disabled or locked and who boards are from the journal.

        `seed` orders loads that come back together.
        """
        held, out_of_service = tuple(latches), tuple(disabled)
        self._plan = plan
        self._out = Outbox()
        self._surroundings = StationContext(
            circuits=Circuits(plan, held, seed),
            availability=Availability(out_of_service),
            queue_for=plan.queue_for,
            resume_window=plan.resume_window,
            lines=Lines(plan, identities, self._out),
        )
        self._ports = {
            port.id: Port(
                port, self._surroundings, self._out, now, tuple(latch for latch in held if latch.port == port.id)
            )
            for port in plan.ports
        }
        self._surroundings.ports = self._ports
        self._supply = Supply(plan, self._surroundings, self._ports, self._out, now)
        self._rounds = Rounds(plan, self._ports, self._supply.contactors.by_id, self._out)
        self._requests = Requests(self._surroundings, self._ports, self._supply, self._out)
        self._boards = BoardEvents(self._surroundings, self._ports, self._supply.contactors, self._out)
        self._beside = {port.id: tuple(self._on_board(port)) for port in plan.ports}
        self._neighbours = {port.id: tuple(self._on_circuit(port)) for port in plan.ports}
        self._wiring = Wiring(self._ports, self._surroundings, self._out)
        self._proofs = Proofs(self._surroundings, self._ports, self._wiring)
        self._invariants = Invariants(plan, held, out_of_service)
        self._wakes = Wakes(self._ports)
        self._flaps = Flaps()
        self._deadline: Instant | None = None
        """Reckoned once after each event: it is asked for far more often."""

    def begin(
        self,
        interrupted: Iterable[SessionRecord],
        now: Moment,
        *,
        stopped: Container[PortId] = (),
        unanswered: Container[CommandId] = (),
        warmths: Iterable[ThermalState] = (),
    ) -> Outcome:
        """Open every relay, and take up or settle the sessions that an outage or a crash has interrupted.

        At the ports of `stopped` somebody had asked for the end already; starts of `unanswered` sessions still
        wait for their last word. `warmths` are what the journal has of the wires.
        """
        for warmth in warmths:
            self._warm(warmth, now)
        for record in interrupted:
            self._warm(ThermalState(port=record.order.port, theta=record.theta, at=record.at), now)
            port = self._ports.get(record.order.port)
            if port is not None and port.id not in stopped and suspending.may_go_on(port, record, now):
                take_up(port, record, now, unanswered=record.order.command in unanswered)
                continue
            resolution = self._resolution(record.order.port)
            self._out.tell(SessionEnded(settlement=settle_interrupted(record, resolution)))
        for port in self._ports.values():
            port.relay.open(now.instant, self._out)
        self._supply.begin(now)
        self._rounds.begin(now.instant)
        return self._conclude(None, self._ports.values(), now)

    def handle(self, event: Event, now: Moment) -> Outcome:
        """Take in one event. After `UnlistedTransition` or `InvariantViolated` every relay must be opened."""
        touched = self._route(event, now)
        touched += self._wiring.judge(now)
        touched += self._supply.attend(event, touched, now)
        for port in touched:
            self._wakes.set(port.id, port.due())
        self._deadline = self._first_deadline()
        woken: list[Port] = []
        if reached(self._deadline, now.instant):
            woken = self._wake(now) + self._supply.wake(now)
            woken += self._supply.attend(None, woken, now) if woken else []
        return self._conclude(event, woken, now)

    def next_deadline(self) -> Instant | None:
        """Return when the station wants to be woken with `DeadlineReached`."""
        return self._deadline

    def _first_deadline(self) -> Instant | None:
        own = (self._rounds.due(), self._flaps.due(), self._wiring.due())
        return earliest((*own, self._supply.due(), self._wakes.first()))

    def views(self, now: Moment) -> tuple[PortView, ...]:
        """Return snapshots of all ports."""
        return tuple(port.view(now) for port in self._ports.values())

    def view(self, port: PortId, now: Moment) -> PortView:
        """Return a snapshot of one port. Raises `KeyError`."""
        return self._ports[port].view(now)

    def changed_lines(self) -> Mapping[str, tuple[BoardId, ...]]:
        """Return the lines that have other boards than before, and the boards that show it."""
        return self._surroundings.lines.changed_boards

    def at_rest(self, now: Moment) -> bool:
        """Say whether no session goes on, whatever relays say.

        One that has been ending for long waits for a relay that nobody can confirm, or for a current that nobody
        can switch off: it is left to whoever comes next.
        """
        return all(
            port.charge is None
            or (port.state is PortState.STOPPING and between(port.since.instant, now.instant) >= LINGERS)
            for port in self._ports.values()
        )

    def idle(self) -> bool:
        """Say whether no session is under way, or waits for a restart, and every relay has been read back open."""
        leaving = self._surroundings.leaving
        relays = [port.relay for port in self._ports.values()]
        relays += [contactor.relay for contactor in self._supply.contactors.by_id.values()]
        at_rest = all(
            port.charge is None or (leaving and port.state is PortState.SUSPENDED) for port in self._ports.values()
        )
        return at_rest and all(relay.phase is RelayPhase.OPEN for relay in relays)

    def circuit_views(self, now: Moment) -> tuple[CircuitView, ...]:
        """Return snapshots of all circuits."""
        return self._supply.views(now)

    def explain(self, port: PortId, now: Moment) -> PortExplained:
        """Return a port and all that holds it. Raises `KeyError`."""
        return explain_port(self._ports[port], now)

    def explain_circuit(self, circuit: CircuitId, now: Moment) -> CircuitExplained:
        """Return a circuit, all that holds it, what is kept free on it, and who waits. Raises `KeyError`."""
        views = {view.id: view for view in self._supply.views(now)}
        return explain_circuit(views[circuit], self._surroundings, self._ports, now)

    def explain_all(self, now: Moment) -> tuple[tuple[PortExplained, ...], tuple[CircuitExplained, ...]]:
        """Return all ports and all circuits with what holds them."""
        circuits = (
            explain_circuit(view, self._surroundings, self._ports, now) for view in self._supply.views(now)
        )
        return tuple(explain_port(port, now) for port in self._ports.values()), tuple(circuits)

    # Routing

    def _route(self, event: Event, now: Moment) -> list[Port]:
        if isinstance(event, MeterReading):
            return self._route_reading(event, now)
        if isinstance(event, Request | RequestNews):
            return self._requests.take(event, now)
        if isinstance(event, BoardNews):
            return self._boards.take(event, now)
        touched: list[Port] = []
        match event:
            case DeadlineReached():
                pass
            case InputsRead() | InputsNotRead() | CircuitReading() | CircuitFault():
                touched = self._supply.take_in(event, now)
            case StoreChanged() | DrainRequested():
                self._note(event, now)
            case ShutdownRequested() | RestartRequested() | Configured():
                touched = self._ordered(event, now)
            case _:
                touched = self._route_port(event, now)
        return touched

    def _route_reading(self, event: MeterReading, now: Moment) -> list[Port]:
        port = self._ports.get(event.port)
        if port is None:
            return []
        beside = [] if event.voltage is None else self._supply.voltages.read(port, event)
        if readings.is_known(event):
            self._read(port, event, now)
        else:
            readings.take_in_fault(port, event)
        return [port, *beside]

    def _route_port(self, event: PortEvent | TemperatureReading | ProofNews, now: Moment) -> list[Port]:
        if isinstance(event, ProofNews):
            return self._proofs.take(event, now)
        port = self._ports.get(event.port)
        if isinstance(event, TemperatureReading):
            return [] if port is None else readings.take_in_temperature(port, event)
        if port is None:
            return self._supply.contactors.relay(event, now) if isinstance(event, RelayEvent) else []
        self._to_port(port, event, now)
        return [port]

    def _read(self, port: Port, event: MeterReading, now: Moment) -> None:
        if event.energy is not None and not self._surroundings.lines.steady(port.id):
            event = replace(event, energy=None)  # Another one's meter may have counted it.
        readings.take_in(port, event, self._neighbours[port.id])
        self._wiring.take_in(port, event)
        readings.take_in_contact(port, event, self._beside[port.id], explained=self._wiring.explains(port))
        react(port, Trigger.READING, event, now)

    def _to_port(self, port: Port, event: PortEvent, now: Moment) -> None:
        match event:
            case MeterFault():
                self._supply.voltages.unheard(port)
                readings.take_in_fault(port, event)
            case Persisted() | PersistFailed():
                self._written(port, event, now)
            case _:
                signal = self._signal(port, event, now)
                if signal is not None:
                    react(port, SIGNALS[signal], event, now)
                if signal is Signal.CLOSED:
                    self._wiring.closed(port)

    @staticmethod
    def _written(port: Port, event: Persisted | PersistFailed, now: Moment) -> None:
        trigger = starting.written(port, event)
        if trigger is not None:
            react(port, trigger, event, now)

    def _signal(self, port: Port, event: RelayEvent, now: Moment) -> Signal | None:
        signal = port.relay.take_in(event, now.instant, self._out)
        if isinstance(event, RelayReadBack):
            take_shown(port, event)
        steady = self._surroundings.lines.steady(port.id)
        return signal if steady else of_another_line(signal)

    def _on_board(self, plan: PortPlan) -> Iterable[Port]:
        return (
            self._ports[other.id]
            for other in self._plan.ports
            if other.meter.board == plan.meter.board and other.id != plan.id
        )

    def _on_circuit(self, plan: PortPlan) -> Iterable[Frozen]:
        """Yield the meters that see the same mains as a port's."""
        return (
            self._ports[other.id].frozen
            for other in self._plan.ports
            if other.circuit == plan.circuit and other.id != plan.id
        )

    def _warm(self, warmth: ThermalState, now: Moment) -> None:
        port = self._ports.get(warmth.port)
        if port is not None:
            suspending.take_up_warmth(port, warmth, now)

    def _wake(self, now: Moment) -> list[Port]:
        event = DeadlineReached()
        due = list(map(self._ports.__getitem__, self._wakes.due(now.instant)))
        for port in due:
            # Judged first: a lease is not renewed for a meter that went stale in the same moment.
            react(port, Trigger.WAKE, event, now)
            tell_unconfirmed(port, now)
            signal = port.relay.wake(now.instant, self._out)
            if signal is not None:
                react(port, SIGNALS[signal], event, now)
            expire_reservation(port, now)
        self._rounds.wake(now)
        return due

    def _note(self, event: StoreChanged | DrainRequested, now: Moment) -> None:
        if isinstance(event, DrainRequested):
            self._surroundings.draining = event.begin
        elif event.writable != self._surroundings.store_writable:
            self._surroundings.store_writable, self._surroundings.store_changed = event.writable, now
            self._out.tell(StoreRecovered() if event.writable else StoreFailed())

    def _ordered(self, event: ShutdownRequested | RestartRequested | Configured, now: Moment) -> list[Port]:
        """Do what whoever runs the daemon wants of all ports."""
        return self._configure(event, now) if isinstance(event, Configured) else self._leave(event, now)

    def _configure(self, event: Configured, now: Moment) -> list[Port]:
        self._surroundings.queue_for = event.queue_for
        touched = [self._ports[name] for name in event.limits if name in self._ports]
        for port in touched:
            configure(port, event.limits[port.id], now)
        return touched

    def _leave(self, event: ShutdownRequested | RestartRequested, now: Moment) -> list[Port]:
        self._surroundings.leaving = True
        trigger = Trigger.SHUTDOWN if isinstance(event, ShutdownRequested) else Trigger.RESTART
        for port in self._ports.values():
            react(port, trigger, event, now)
            end_reservation(port, "shutdown", now)
            if port.relay.phase is not RelayPhase.OPEN:
                port.relay.open(now.instant, self._out)
        return list(self._ports.values())

    # Concluding

    def _conclude(self, event: Event | None, touched: Collection[Port], now: Moment) -> Outcome:
        for port in touched:
            self._wakes.set(port.id, port.due())
        if self._out.facts:
            self._requests.see(self._out.facts)
        if self._out.facts or self._flaps.any:
            self._out.facts[:] = [*self._flaps.told(self._out.facts, now.instant), *self._flaps.over(now.instant)]
        if touched or self._out.facts or reached(self._deadline, now.instant):
            self._deadline = self._first_deadline()
        outcome = self._out.empty()
        self._invariants.check(event, outcome, now)
        return outcome

    def _resolution(self, port: PortId) -> WattHours:
        known = self._ports.get(port)
        return known.plan.meter.energy_resolution if known is not None else WattHours(1.0)
