"""Everything above the ports: inputs, feeder meters, contactors, shedding, the queue, and what they do to ports.

After each event the ports that were touched are weighed anew, then protection comes first: what is overloaded is
opened, what is out of control loses its contactor; only then may a start that has waited begin.
"""

from collections.abc import Iterable, Sequence

from chargerd.core.boards.relay import Phase, Signal
from chargerd.core.circuits.circuit import SHED, Circuit
from chargerd.core.circuits.contactor import Contactor
from chargerd.core.circuits.inputs import Inputs
from chargerd.core.circuits.share import Share, drawn, ordered, settled, whole
from chargerd.core.commands import Answer, Code, ReplyStatus
from chargerd.core.events import (
    BoardBack,
    BoardLost,
    CircuitFault,
    CircuitReading,
    DeadlineReached,
    Event,
    InputsNotRead,
    InputsRead,
    MeterReading,
    RelayEvent,
    ResetRequested,
    SupplyEvent,
)
from chargerd.core.facts import (
    CircuitShed,
    CircuitTripped,
    Clearing,
    InputsBack,
    InputsLost,
    InputTripped,
    Latch,
    LatchesCleared,
    RelayUnexpected,
)
from chargerd.core.metering.pickup import earliest, reached
from chargerd.core.moment import Moment
from chargerd.core.outbox import Outbox
from chargerd.core.plan import InputPlan, StationPlan, contactor_of, holder_of
from chargerd.core.port.condition import Intervention, Step, Surroundings
from chargerd.core.port.latching import NOTHING_HELD, clears
from chargerd.core.port.port import Port
from chargerd.core.port.rules import Trigger
from chargerd.core.port.table import react
from chargerd.core.session import StopDetail, StopReason
from chargerd.core.site.voltages import Voltages
from chargerd.core.units import Amps, Instant, PortId, Watts
from chargerd.core.view import CircuitView, PortState

NEEDS_POWER = frozenset({PortState.STARTING, PortState.CHARGING})
"""Once its boards are known: above a relay that nobody has read yet, no contactor closes."""


def needs_power(port: Port) -> bool:
    """Say whether a port's relay is to be closed, or is."""
    return port.state in NEEDS_POWER and port.step is not Step.KNOWN


def share_of(port: Port, now: Instant) -> Share:
    """Return what a port takes of its circuits."""
    seen, closed = port.seen, port.relay.phase is not Phase.OPEN
    if closed and not seen.fresh(now):
        return whole(port.limits)
    current, power = seen.current or Amps(0.0), seen.power or Watts(0.0)
    waits = port.state is PortState.QUEUED or port.step is Step.KNOWN or port.id in port.circuits.waiting()
    if port.charge is None or waits or (port.state is PortState.STOPPING and not closed):
        return drawn(current, power)
    image = port.charge.image
    if image.level.plateau is None or image.shape.plateau is None:
        return ordered(port.limits, current, power)
    return settled(port.limits, current, power, (image.level.plateau, image.shape.plateau))


class Supply:
    """All circuits of a station with what watches and switches them."""

    def __init__(
        self, plan: StationPlan, station: Surroundings, ports: dict[PortId, Port], out: Outbox, now: Moment
    ) -> None:
        self._station = station
        self._circuits = station.circuits
        self._ports = ports
        self._out = out
        self._inputs = Inputs(plan.inputs, now.instant)
        self.contactors = {
            contactor_of(circuit.id): Contactor(circuit)
            for circuit in plan.circuits
            if circuit.contactor is not None
        }
        self._below = {
            circuit.plan.id: tuple(ports[port] for port in self._circuits.below(circuit.plan.id))
            for circuit in self._circuits.all()
        }
        self._rated = tuple(circuit for circuit in self._circuits.all() if circuit.rated)
        self._rated_above = {
            port: tuple(circuit for circuit in self._circuits.place(port).above if circuit.rated) for port in ports
        }
        self.voltages = Voltages(plan, self._circuits, ports, self._below)
        for contactor in self.contactors.values():
            self._circuit_of(contactor).contactor = contactor
        self._guard()

    def _circuit_of(self, contactor: Contactor) -> Circuit:
        circuit = self._circuits.get(contactor.circuit)
        assert circuit is not None
        return circuit

    def _lapses(self, contactor: Contactor) -> bool:
        return self._station.dead_men.lapses(contactor.plan)

    # What comes in

    def begin(self, now: Moment) -> None:
        """Open every contactor, and weigh every port."""
        for contactor in self.contactors.values():
            contactor.open(now.instant, self._out)
        self._weigh(self._ports.values(), now)

    def note(self, event: SupplyEvent, now: Moment) -> list[Port]:
        """Take in what inputs and feeder meters say; what is missing is told by its age, not by the fault."""
        match event:
            case InputsRead():
                return self.inputs_read(event, now)
            case InputsNotRead() if event.board in self._inputs.boards:
                self._inputs.boards[event.board].missed = True
                self._guard()
            case CircuitReading():
                return self.circuit_read(event)
            case CircuitFault() if (circuit := self._circuits.get(event.circuit)) is not None:
                self.voltages.feeder_unheard(circuit)
            case _:
                pass
        return []

    def inputs_read(self, event: InputsRead, now: Moment) -> list[Port]:
        """Take in the contacts of an input board: one reading opens what it guards."""
        board = self._inputs.boards.get(event.board)
        if board is None:
            return []
        was_lost, told = board.lost, board.reported
        touched = [port for plan in board.read(event) for port in self._input_trips(plan, now)]
        if was_lost and not board.lost:
            self._guard()
            if told:
                board.reported = False
                guarded = tuple(dict.fromkeys(plan.circuit for plan in board.plans))
                self._out.tell(InputsBack(board=event.board, circuits=guarded))
        return touched

    def _input_trips(self, plan: InputPlan, now: Moment) -> list[Port]:
        circuit, function = self._circuits.get(plan.circuit), plan.kind.value
        if circuit is None or any(latch.function == function for latch in circuit.latches):
            return []
        detail = StopDetail(function=function)
        latch = Latch(port=holder_of(plan.circuit), function=function, clearing=Clearing.LOCAL, detail=detail)
        circuit.latches.append(latch)
        self._out.tell(InputTripped(input=plan.id, circuit=plan.circuit, function=function, latch=latch))
        return self._trip_below(circuit, StopReason(function), detail, now)

    def circuit_read(self, event: CircuitReading) -> list[Port]:
        """Take in what a feeder meter shows; return the ports below whose voltage is out of its band."""
        circuit = self._circuits.get(event.circuit)
        if circuit is None:
            return []
        circuit.note(event)
        return self.voltages.feeder_read(circuit, event)

    def relay(self, contactor: Contactor, event: RelayEvent, now: Moment) -> list[Port]:
        """Take in what the bus reports of a contactor."""
        return self._signalled(contactor, contactor.relay.note(event, now.instant, self._out), now)

    def board(self, event: BoardLost | BoardBack, now: Moment) -> None:
        """A board is lost or back: its contactors are opened anew, or read back."""
        for contactor in self.contactors.values():
            if contactor.plan.board == event.board:
                contactor.relay.note_board(now.instant, self._out, lost=isinstance(event, BoardLost))

    def reset(self, event: ResetRequested, now: Moment) -> bool:
        """Clear a circuit's latches, those of inputs that still report danger excepted; say whether it is one."""
        circuit = next((each for each in self._circuits.all() if holder_of(each.plan.id) == event.port), None)
        if circuit is None:
            return False
        kept = [latch for latch in circuit.latches if self._keeps(event, latch, circuit)]
        cleared = tuple(latch.function for latch in circuit.latches if latch not in kept)
        circuit.latches = kept
        if cleared:
            self._out.tell(
                LatchesCleared(
                    port=event.port,
                    circuit=circuit.plan.id,
                    functions=cleared,
                    source=event.source,
                    reason=event.reason,
                    kept=tuple(kept),
                )
            )
        if event.command is not None:
            status, code = (ReplyStatus.REJECTED, Code.NOT_ALLOWED) if kept else (ReplyStatus.DONE, Code.OK)
            message = "; ".join(self._why_kept(latch, circuit) for latch in kept)
            message = message if kept or cleared else NOTHING_HELD
            self._out.do(Answer(command=event.command, name="reset", status=status, code=code, message=message))
        for port in self._below[circuit.plan.id]:
            if port.charge is None:
                port.rest(now)
        return True

    def _keeps(self, event: ResetRequested, latch: Latch, circuit: Circuit) -> bool:
        return not clears(event, latch) or bool(self._inputs.danger(circuit.plan.id, latch.function))

    def _why_kept(self, latch: Latch, circuit: Circuit) -> str:
        """Return what has to happen before a latch is cleared."""
        inputs = self._inputs.danger(circuit.plan.id, latch.function)
        if inputs:
            return f"{latch.function}: {', '.join(inputs)} still reports it, or is not read"
        with_reason = " with a reason" if latch.clearing is Clearing.LOCK_OUT else ""
        return f"{latch.function}: to be cleared on site{with_reason}"

    # Time

    def due(self) -> Instant | None:
        """Return when it has to be woken."""
        instants = [self._inputs.due(), *map(Circuit.due, self._rated)]
        instants += [contactor.due(lapses=self._lapses(contactor)) for contactor in self.contactors.values()]
        return earliest(instants)

    def wake(self, now: Moment) -> list[Port]:
        """Do what is due: call boards lost, renew contactors' leases, shed."""
        touched: list[Port] = []
        for name, board in self._inputs.boards.items():
            if board.overdue(now.instant):
                self._guard()
                guarded = tuple(dict.fromkeys(plan.circuit for plan in board.plans))
                self._out.tell(InputsLost(board=name, circuits=guarded))
                for guards in guarded:
                    touched += self._suspend_below(guards, "input_board_lost", now)
        for contactor in self.contactors.values():
            if reached(contactor.due(lapses=self._lapses(contactor)), now.instant):
                touched += self._wake_contactor(contactor, now)
        for circuit in self._rated:
            if reached(circuit.due(), now.instant):
                touched += self._relieve(circuit, now.instant, now)
        return touched

    def _wake_contactor(self, contactor: Contactor, now: Moment) -> list[Port]:
        if reached(contactor.unconfirmed_at(lapses=self._lapses(contactor)), now.instant):
            contactor.tell_unconfirmed(self._out)
        late = contactor.too_slow(now.instant)
        signal = Signal.NOT_CLOSED if late else contactor.relay.wake(now.instant, self._out)
        return self._signalled(contactor, signal, now)

    # After each event

    def attend(self, event: Event | None, touched: Iterable[Port], now: Moment) -> list[Port]:
        """Weigh the ports that were touched, and do what follows for their circuits; return further ones."""
        self._weigh(dict.fromkeys(touched), now)
        further: list[Port] = []
        for circuit, at in self._read(event):
            further += self._relieve(circuit, at, now)
        for contactor in self.contactors.values():
            further += self._settle(contactor, now)
        if further:
            self._weigh(further, now)
        if self._circuits.crowded:
            further += self._next_in_queue(now)
        return further

    def _read(self, event: Event | None) -> Sequence[tuple[Circuit, Instant]]:
        """Return the circuits of which this event says something new, and when it was true."""
        match event:
            case MeterReading():
                rated = self._rated_above.get(event.port, ())
                return [(circuit, event.at) for circuit in rated] if rated else ()
            case CircuitReading():
                circuit = self._circuits.get(event.circuit)
                return [(circuit, event.at)] if circuit is not None and circuit.rated else []
            case _:
                return []

    def _weigh(self, ports: Iterable[Port], now: Moment) -> None:
        for port in ports:
            self._circuits.touch(port.id, share_of(port, now.instant))

    def _relieve(self, circuit: Circuit, at: Instant, now: Moment) -> list[Port]:
        """Open what is too much, of those shed least often the newest sessions first."""
        touched = []
        chosen = self._circuits.relief(circuit, at, now.instant, lambda: self._newest(circuit))
        for port in (self._ports[name] for name in chosen):
            share = circuit.share(circuit.load(now.instant))
            detail = StopDetail(function="circuit_overload", measured=share, limit=SHED)
            session = port.session.order.session
            self._out.tell(CircuitShed(circuit=circuit.plan.id, port=port.id, detail=detail, session=session))
            port.intervention = Intervention(
                reason=StopReason.CIRCUIT_OVERLOAD, detail=detail, code=Code.CIRCUIT_FULL
            )
            react(port, Trigger.CIRCUIT_SUSPEND, DeadlineReached(), now)
            touched.append(port)
        return touched

    def _newest(self, circuit: Circuit) -> list[PortId]:
        closed = [
            port
            for port in self._below[circuit.plan.id]
            if needs_power(port) and port.relay.phase is not Phase.OPEN
        ]
        # By this boot's clock: a session that has come through a reboot was begun on another. Who was shed before
        # comes after who was not, or the newest would be shed again each time it comes back.
        closed.sort(key=lambda port: (port.session.sheds(), -port.session.image.started_at))
        return [port.id for port in closed]

    def _settle(self, contactor: Contactor, now: Moment) -> list[Port]:
        """Let a contactor follow what is below and above it."""
        circuit, below = self._circuit_of(contactor), self._below[contactor.circuit]
        touched: list[Port] = []
        culprit = next((port for port in below if port.out_of_control(now)), None)
        if culprit is not None and not circuit.held:
            circuit.held = True
            self._out.tell(
                CircuitTripped(circuit=contactor.circuit, function="relay_out_of_control", port=culprit.id)
            )
            touched = self._cut_off(circuit, culprit, now)
        elif culprit is None:
            circuit.held = False
        chain = self._circuits.chain(contactor.circuit)
        watched = [until for port in below if (until := port.undecided_until(now)) is not None]
        contactor.watched_until = None if self._station.leaving else max(watched, default=None)
        contactor.settle(
            now.instant,
            self._out,
            wanted=any(needs_power(port) and self._station.lines.steady(port.id) for port in below),
            loaded=contactor.watched_until is not None or any(self._needs_above(port, now) for port in below),
            held=any(above.held or above.latches for above in chain),
        )
        return touched

    def _needs_above(self, port: Port, now: Moment) -> bool:
        """Say whether a port may carry current still, or whose current it is has to be seen first."""
        may_carry = port.relay.phase is not Phase.OPEN and not port.unconfirmed(now)
        return may_carry or (port.id in self._station.suspects and not self._station.leaving)

    def _cut_off(self, circuit: Circuit, culprit: Port, now: Moment) -> list[Port]:
        detail = StopDetail(function="contactor_opened")
        if culprit.latches:
            return self._trip_below(circuit, StopReason.RELAY_FAULT, detail, now)
        return self._suspend_below(circuit.plan.id, detail.function, now)

    def _next_in_queue(self, now: Moment) -> list[Port]:
        """Let those begin that have waited, the longest first, as far as their circuits can take them."""
        begun = []
        for port in (self._ports[name] for name in self._circuits.waiting()):
            ready = port.may_return(now) and self._station.lines.steady(port.id)
            if port.state is not PortState.QUEUED or not ready:
                continue
            react(port, Trigger.ADMITTED, DeadlineReached(), now)
            self._weigh([port], now)
            begun.append(port)
        if begun:
            for contactor in self.contactors.values():
                self._settle(contactor, now)
        return begun

    # What circuits do to ports

    def _signalled(self, contactor: Contactor, signal: Signal | None, now: Moment) -> list[Port]:
        circuit, below = self._circuit_of(contactor), self._below[contactor.circuit]
        match signal:
            case Signal.CLOSED:
                return list(below)  # Their next readings are the first that tell anything of their contacts.
            case Signal.NOT_CLOSED | Signal.LEASE_LOST:
                contactor.open(now.instant, self._out)
                return self._suspend_below(contactor.circuit, "contactor_lost", now)
            case Signal.STAYED_OPEN:
                contactor.open(now.instant, self._out)
                return self._latch_contactor(circuit, "contactor_stuck_open", Clearing.LOCAL, now)
            case Signal.WOULD_NOT_OPEN:
                return self._latch_contactor(circuit, "contactor_will_not_open", Clearing.LOCK_OUT, now)
            case Signal.UNBIDDEN:
                self._out.tell(RelayUnexpected(port=contactor.id))
            case _:
                pass
        return []

    def _latch_contactor(self, circuit: Circuit, function: str, clearing: Clearing, now: Moment) -> list[Port]:
        if any(latch.function == function for latch in circuit.latches):
            return []
        detail = StopDetail(function=function)
        latch = Latch(port=holder_of(circuit.plan.id), function=function, clearing=clearing, detail=detail)
        circuit.latches.append(latch)
        self._out.tell(CircuitTripped(circuit=circuit.plan.id, function=function, latch=latch))
        return self._trip_below(circuit, StopReason.RELAY_FAULT, detail, now)

    def _trip_below(self, circuit: Circuit, reason: StopReason, detail: StopDetail, now: Moment) -> list[Port]:
        """Open every port below and end its session."""
        below = self._below[circuit.plan.id]
        for port in below:
            port.intervention = Intervention(reason=reason, detail=detail, code=Code.LATCHED)
            react(port, Trigger.CIRCUIT_TRIP, DeadlineReached(), now)
        if circuit.contactor is not None and circuit.contactor.relay.phase not in {Phase.OPEN, Phase.OPENING}:
            circuit.contactor.open(now.instant, self._out)
        return list(below)

    def _suspend_below(self, circuit_id: str, function: str, now: Moment) -> list[Port]:
        """Open every port below; sessions wait for the circuit."""
        touched = []
        for circuit in self._circuits.all():
            if circuit.plan.id != circuit_id:
                continue
            for port in self._below[circuit.plan.id]:
                detail = StopDetail(function=function)
                port.intervention = Intervention(reason=StopReason.BOARD_LOST, detail=detail, code=Code.BOARD_LOST)
                react(port, Trigger.CIRCUIT_SUSPEND, DeadlineReached(), now)
                touched.append(port)
        return touched

    def _guard(self) -> None:
        for circuit in self._circuits.all():
            circuits = frozenset({circuit.plan.id})
            circuit.unguarded, circuit.unread = self._inputs.unseen(circuits), self._inputs.unread(circuits)

    # Looking

    def views(self, now: Moment) -> tuple[CircuitView, ...]:
        """Return snapshots of all circuits."""
        return tuple(self._view(circuit, now) for circuit in self._circuits.all())

    def _view(self, circuit: Circuit, now: Moment) -> CircuitView:
        load, contactor = circuit.load(now.instant), circuit.contactor
        below = {port.id for port in self._below[circuit.plan.id]}
        return CircuitView(
            id=circuit.plan.id,
            parent=circuit.plan.parent,
            load_currents=tuple(Amps(current) for current in load.currents),
            load_power=Watts(load.power),
            allocated_currents=tuple(Amps(current) for current in circuit.allocated.currents),
            allocated_power=Watts(circuit.allocated.power),
            rating=circuit.plan.rating,
            rating_power=circuit.plan.power,
            load_share=circuit.share(load),
            measured=circuit.feeder_fresh(now.instant),
            contactor_closed=None if contactor is None else contactor.relay.read_back,
            queue=tuple(port for port in self._circuits.waiting() if port in below),
            latches=tuple(circuit.latches),
            disabled=self._station.availability.of(holder_of(circuit.plan.id)),
        )
