"""The contactors of all circuits: closed for what is below, opened for what is out of control or held above.

A contactor that is lost, stuck or will not open is a fault of its circuit: the ports below wait, or are held
with it.
"""

from collections.abc import Mapping

from chargerd.core.boards.relay import RelayPhase, Signal
from chargerd.core.circuits.circuit import Circuit
from chargerd.core.circuits.contactor import Contactor
from chargerd.core.events import BoardBack, BoardLost, RelayEvent
from chargerd.core.facts import CircuitTripped, RelayUnexpected
from chargerd.core.metering.pickup import earliest, reached
from chargerd.core.moment import Moment
from chargerd.core.outbox import Outbox
from chargerd.core.plan import StationPlan, contactor_of
from chargerd.core.port.latching import out_of_control, undecided_until
from chargerd.core.port.port import Port, StationContext
from chargerd.core.session import Clearing, StopDetail, StopReason
from chargerd.core.site.sharing import needs_power
from chargerd.core.site.trips import Trips
from chargerd.core.stance import Stance
from chargerd.core.units import Instant, PortId


class Contactors:
    """What watches and switches them."""

    def __init__(self, plan: StationPlan, station: StationContext, trips: Trips, out: Outbox) -> None:
        self._station = station
        self._circuits = station.circuits
        self._trips = trips
        self._out = out
        self._by_id = {
            contactor_of(circuit.id): Contactor(circuit)
            for circuit in plan.circuits
            if circuit.contactor is not None
        }
        for contactor in self._by_id.values():
            self._circuit_of(contactor).contactor = contactor

    @property
    def by_id(self) -> Mapping[PortId, Contactor]:
        """Each by the name its relay goes by."""
        return self._by_id

    def begin(self, now: Moment) -> None:
        """Open every contactor."""
        for contactor in self._by_id.values():
            contactor.open(now.instant, self._out)

    def relay(self, event: RelayEvent, now: Moment) -> list[Port]:
        """Take in what the bus reports of a relay, if it is a contactor's."""
        contactor = self._by_id.get(event.port)
        if contactor is None:
            return []
        return self._signalled(contactor, contactor.relay.take_in(event, now.instant, self._out), now)

    def board(self, event: BoardLost | BoardBack, now: Moment) -> None:
        """A board is lost or back: its contactors are opened anew, or read back."""
        for contactor in self._by_id.values():
            if contactor.plan.board == event.board:
                contactor.relay.board_seen(now.instant, self._out, lost=isinstance(event, BoardLost))

    # Time

    def due(self) -> Instant | None:
        """Return when one has to be woken."""
        return earliest([contactor.due(lapses=self._lapses(contactor)) for contactor in self._by_id.values()])

    def wake(self, now: Moment) -> list[Port]:
        """Do what is due: renew leases, repeat what was not carried out, call lost what is too slow."""
        touched: list[Port] = []
        for contactor in self._by_id.values():
            if reached(contactor.due(lapses=self._lapses(contactor)), now.instant):
                touched += self._wake_contactor(contactor, now)
        return touched

    def _wake_contactor(self, contactor: Contactor, now: Moment) -> list[Port]:
        if reached(contactor.unconfirmed_at(lapses=self._lapses(contactor)), now.instant):
            contactor.tell_unconfirmed(self._out)
        late = contactor.too_slow(now.instant)
        signal = Signal.NOT_CLOSED if late else contactor.relay.wake(now.instant, self._out)
        return self._signalled(contactor, signal, now)

    # After each event

    def settle(self, now: Moment) -> list[Port]:
        """Let each contactor follow what is below and above it; return the ports this has opened."""
        return [port for contactor in self._by_id.values() for port in self._settle(contactor, now)]

    def _settle(self, contactor: Contactor, now: Moment) -> list[Port]:
        circuit, below = self._circuit_of(contactor), self._trips.below[contactor.circuit]
        touched: list[Port] = []
        culprit = next((port for port in below if out_of_control(port, now)), None)
        if culprit is not None and not circuit.held:
            circuit.held = True
            self._out.tell(
                CircuitTripped(circuit=contactor.circuit, function="relay_out_of_control", port=culprit.id)
            )
            touched = self._cut_off(circuit, culprit, now)
        elif culprit is None:
            circuit.held = False
        chain = self._circuits.chain(contactor.circuit)
        watched = [until for port in below if (until := undecided_until(port, now)) is not None]
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
        may_carry = port.relay.phase is not RelayPhase.OPEN and not port.unconfirmed(now)
        return may_carry or (port.id in self._station.suspects and not self._station.leaving)

    def _cut_off(self, circuit: Circuit, culprit: Port, now: Moment) -> list[Port]:
        detail = StopDetail(function="contactor_opened")
        if culprit.latches:
            return self._trips.trip(circuit, StopReason.RELAY_FAULT, detail, now)
        return self._trips.suspend(circuit.plan.id, detail.function, now)

    # What a contactor says

    def _signalled(self, contactor: Contactor, signal: Signal | None, now: Moment) -> list[Port]:
        circuit = self._circuit_of(contactor)
        match signal:
            case Signal.CLOSED:
                # Their next readings are the first that tell anything of their contacts.
                return list(self._trips.below[contactor.circuit])
            case Signal.NOT_CLOSED | Signal.LEASE_LOST:
                contactor.open(now.instant, self._out)
                return self._trips.suspend(contactor.circuit, "contactor_lost", now)
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
        latch = self._trips.latch(circuit, function, clearing, now)
        if latch is None:
            return []
        self._out.tell(CircuitTripped(circuit=circuit.plan.id, function=function, latch=latch))
        return self._trips.trip(circuit, StopReason.RELAY_FAULT, StopDetail(function=function), now)

    def _circuit_of(self, contactor: Contactor) -> Circuit:
        circuit = self._circuits.get(contactor.circuit)
        assert circuit is not None
        return circuit

    def stance(self, contactor: Contactor, now: Moment) -> Stance:
        """Return where a contactor stands, and how that is known."""
        vouched = self._station.lines.vouched(contactor.plan.board)
        return contactor.relay.stands(now.instant, lapses=self._lapses(contactor), vouched=vouched)

    def _lapses(self, contactor: Contactor) -> bool:
        return self._station.dead_men.lapses(contactor.plan)
