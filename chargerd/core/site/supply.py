"""Everything above the ports, in one order: inputs, feeder meters, contactors, shedding, the queue.

After each event the ports that were touched are weighed anew, then protection comes first: what is overloaded is
opened, what is out of control loses its contactor; only then may a start that has waited begin.
"""

from collections.abc import Iterable

from chargerd.core.circuits.circuit import Circuit
from chargerd.core.events import (
    CircuitFault,
    CircuitReading,
    Event,
    InputsNotRead,
    InputsRead,
    ResetRequested,
    SupplyEvent,
)
from chargerd.core.metering.pickup import earliest
from chargerd.core.moment import Moment
from chargerd.core.outbox import Outbox
from chargerd.core.plan import StationPlan, holder_of
from chargerd.core.port.port import Port, StationContext
from chargerd.core.site.contactors import Contactors
from chargerd.core.site.input_guard import InputGuard
from chargerd.core.site.sharing import Sharing
from chargerd.core.site.trips import Trips
from chargerd.core.site.voltages import Voltages
from chargerd.core.units import Amps, Instant, PortId, Watts
from chargerd.core.view import CircuitView


class Supply:
    """All circuits of a station with what watches and switches them."""

    def __init__(
        self, plan: StationPlan, station: StationContext, ports: dict[PortId, Port], out: Outbox, now: Moment
    ) -> None:
        self._station = station
        self._circuits = station.circuits
        self._ports = ports
        self._trips = Trips(self._circuits, ports, out)
        self._inputs = InputGuard(plan.inputs, self._circuits, self._trips, out, now.instant)
        self._sharing = Sharing(station, ports, self._trips, out)
        self.contactors = Contactors(plan, station, self._trips, out)
        self.voltages = Voltages(plan, self._circuits, ports, self._trips.below)
        self._parts = [
            part
            for part, there in (
                (self._inputs, bool(plan.inputs)),
                (self.contactors, bool(self.contactors.by_id)),
                (self._sharing, self._sharing.any),
            )
            if there
        ]
        """What this site has of all that may be due."""

    # What comes in

    def begin(self, now: Moment) -> None:
        """Open every contactor, and weigh every port."""
        self.contactors.begin(now)
        self._sharing.weigh(self._ports.values(), now)

    def take_in(self, event: SupplyEvent, now: Moment) -> list[Port]:
        """Take in what inputs and feeder meters say; what is missing is told by its age, not by the fault."""
        match event:
            case InputsRead():
                return self._inputs.read(event, now)
            case InputsNotRead():
                self._inputs.not_read(event)
            case CircuitReading():
                return self._circuit_read(event)
            case CircuitFault() if (circuit := self._circuits.get(event.circuit)) is not None:
                self.voltages.feeder_unheard(circuit)
            case _:
                pass
        return []

    def _circuit_read(self, event: CircuitReading) -> list[Port]:
        """Take in what a feeder meter shows; return the ports below whose voltage is out of its band."""
        circuit = self._circuits.get(event.circuit)
        if circuit is None:
            return []
        circuit.take_in(event)
        return self.voltages.feeder_read(circuit, event)

    def reset(self, event: ResetRequested, now: Moment) -> bool:
        """Clear what holds a circuit, as far as this reset may; say whether it is one."""
        return self._trips.reset(event, self._inputs.danger, now)

    # Time

    def due(self) -> Instant | None:
        """Return when it has to be woken."""
        return earliest([part.due() for part in self._parts]) if self._parts else None

    def wake(self, now: Moment) -> list[Port]:
        """Do what is due: call boards lost, renew contactors' leases, shed."""
        return [port for part in self._parts for port in part.wake(now)]

    # After each event

    def attend(self, event: Event | None, touched: Iterable[Port], now: Moment) -> list[Port]:
        """Weigh the ports that were touched, and do what follows for their circuits; return further ones."""
        if not (self._sharing.any or self.contactors.by_id or self._sharing.crowded):
            return []
        self._sharing.weigh(dict.fromkeys(touched), now)
        further = self._sharing.relieve(event, now) + self.contactors.settle(now)
        if further:
            self._sharing.weigh(further, now)
        if self._sharing.crowded:
            begun = self._sharing.next_in_queue(now)
            if begun:
                self.contactors.settle(now)
            further += begun
        return further

    # Looking

    def views(self, now: Moment) -> tuple[CircuitView, ...]:
        """Return snapshots of all circuits."""
        self._sharing.weigh_all(now)
        return tuple(self._view(circuit, now) for circuit in self._circuits.all())

    def _view(self, circuit: Circuit, now: Moment) -> CircuitView:
        load, contactor = circuit.load(now.instant), circuit.contactor
        below = {port.id for port in self._trips.below[circuit.plan.id]}
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
            metered=_metered(circuit, now),
            contactor_closed=None if contactor is None else contactor.relay.read_back,
            contactor=None if contactor is None else self.contactors.stance(contactor, now),
            queue=tuple(port for port in self._circuits.waiting() if port in below),
            latches=tuple(circuit.latches),
            disabled=self._station.availability.of(holder_of(circuit.plan.id)),
            lock=self._station.availability.lock_of(holder_of(circuit.plan.id)),
        )


def _metered(circuit: Circuit, now: Moment) -> tuple[Amps, ...]:
    """Return the currents a circuit's own meter shows."""
    meter = circuit.plan.meter
    if meter is None or not circuit.feeder_fresh(now.instant):
        return ()
    return tuple(map(Amps, circuit.feeder.currents[: meter.phases]))
