"""How ports share their circuits: what each takes, who is opened when that is too much, who may begin next."""

from collections.abc import Iterable, Mapping, Sequence

from chargerd.core.boards.relay import RelayPhase
from chargerd.core.circuits.circuit import SHED, Circuit
from chargerd.core.circuits.share import Share, drawn, ordered, settled, whole
from chargerd.core.commands import Code
from chargerd.core.events import CircuitReading, DeadlineReached, Event, MeterReading
from chargerd.core.facts import CircuitShed
from chargerd.core.metering.pickup import earliest, reached
from chargerd.core.moment import Moment
from chargerd.core.outbox import Outbox
from chargerd.core.port.port import Intervention, Port, StationContext, Step
from chargerd.core.port.rules import Trigger
from chargerd.core.port.suspending import may_return
from chargerd.core.port.table import react
from chargerd.core.session import StopDetail, StopReason
from chargerd.core.site.trips import Trips
from chargerd.core.units import Amps, Instant, PortId, Watts
from chargerd.core.view import PortState

NEEDS_POWER = frozenset({PortState.STARTING, PortState.CHARGING})
"""Once its boards are known: above a relay that nobody has read yet, no contactor closes."""


def needs_power(port: Port) -> bool:
    """Say whether a port's relay is to be closed, or is."""
    return port.state in NEEDS_POWER and port.step is not Step.KNOWN


def share_of(port: Port, now: Instant) -> Share:
    """Return what a port takes of its circuits."""
    seen, closed = port.seen, port.relay.phase is not RelayPhase.OPEN
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


class Sharing:
    """The loads of all circuits that have something to keep to."""

    def __init__(self, station: StationContext, ports: Mapping[PortId, Port], trips: Trips, out: Outbox) -> None:
        self._station = station
        self._circuits = station.circuits
        self._ports = ports
        self._below = trips.below
        self._out = out
        self._rated = tuple(circuit for circuit in self._circuits.all() if circuit.rated)
        self._rated_above = {
            port: above
            for port in ports
            if (above := tuple(circuit for circuit in self._circuits.place(port).above if circuit.rated))
        }

    def weigh(self, ports: Iterable[Port], now: Moment) -> None:
        """Take in what ports take now of circuits that have something to keep to."""
        for port in ports:
            if port.id in self._rated_above:
                self._circuits.touch(port.id, share_of(port, now.instant))

    def weigh_all(self, now: Moment) -> None:
        """Take in what ports take of any circuit, for whoever looks at it."""
        for port in self._ports.values():
            self._circuits.touch(port.id, share_of(port, now.instant))

    @property
    def any(self) -> bool:
        """Say whether there is a circuit with anything to keep to."""
        return bool(self._rated)

    # What is too much

    def due(self) -> Instant | None:
        """Return when a circuit has to be looked at though nothing is read."""
        return earliest(map(Circuit.due, self._rated))

    def wake(self, now: Moment) -> list[Port]:
        """Relieve the circuits that have carried too much for long enough by now."""
        touched: list[Port] = []
        for circuit in self._rated:
            if reached(circuit.due(), now.instant):
                touched += self._relieve(circuit, now.instant, now)
        return touched

    def relieve(self, event: Event | None, now: Moment) -> list[Port]:
        """Relieve the circuits of which an event says something new, if they carry too much."""
        touched: list[Port] = []
        for circuit, at in self._read(event):
            touched += self._relieve(circuit, at, now)
        return touched

    def _read(self, event: Event | None) -> Sequence[tuple[Circuit, Instant]]:
        """Return the circuits of which this event says something new, and when it was true."""
        match event:
            case MeterReading():
                return [(circuit, event.at) for circuit in self._rated_above.get(event.port, ())]
            case CircuitReading():
                circuit = self._circuits.get(event.circuit)
                return [(circuit, event.at)] if circuit is not None and circuit.rated else []
            case _:
                return []

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
            if needs_power(port) and port.relay.phase is not RelayPhase.OPEN
        ]
        # By this boot's clock: a session that has come through a reboot was begun on another. Who was shed before
        # comes after who was not, or the newest would be shed again each time it comes back.
        closed.sort(key=lambda port: (port.session.sheds(), -port.session.image.started_at))
        return [port.id for port in closed]

    # Who waits

    @property
    def crowded(self) -> bool:
        """Whether anybody waits for a circuit."""
        return self._circuits.crowded

    def next_in_queue(self, now: Moment) -> list[Port]:
        """Let those begin that have waited, the longest first, as far as their circuits can take them."""
        begun = []
        for port in (self._ports[name] for name in self._circuits.waiting()):
            ready = may_return(port, now) and self._station.lines.steady(port.id)
            if port.state is not PortState.QUEUED or not ready:
                continue
            react(port, Trigger.ADMITTED, DeadlineReached(), now)
            self.weigh([port], now)
            begun.append(port)
        return begun
