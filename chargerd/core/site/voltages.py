"""Who tells which port its voltage: feeder meters those below them, a port's meter itself and those beside it.

The nearest meter upstream is believed for as long as it speaks; what is told is judged by each port's own `Mains`.
"""

from collections.abc import Iterator, Mapping

from chargerd.core.circuits.circuit import PHASES, Circuit
from chargerd.core.circuits.tree import Circuits
from chargerd.core.events import CircuitReading, MeterReading
from chargerd.core.metering.voltage import DARK
from chargerd.core.plan import Phase, StationPlan, mains_of
from chargerd.core.port.port import Port
from chargerd.core.units import CircuitId, PortId, Seconds, Volts

BESIDE = 100
"""Rank of a port's own meter: after those of all circuits above."""


def voltages_of(phase: Phase, voltages: tuple[Volts | None, ...]) -> tuple[Volts | None, ...]:
    """Return those of a feeder's voltages that a port hangs on: its own phase's, or all where it is not stated."""
    if len(voltages) == 1 or phase is Phase.ALL:
        return voltages
    return voltages[place : place + 1] if (place := PHASES.index(phase)) < len(voltages) else ()


class Voltages:
    """The way of a voltage from the meter that shows it to the ports it concerns."""

    def __init__(
        self,
        plan: StationPlan,
        circuits: Circuits,
        ports: Mapping[PortId, Port],
        below: Mapping[CircuitId, tuple[Port, ...]],
    ) -> None:
        """`below` are the ports below each circuit."""
        self._circuits = circuits
        self._ports = ports
        self._below = below
        above = {circuit.id: circuit for circuit in plan.circuits}
        self._mains = {port.id: mains_of(port, above) for port in plan.ports}

    def feeder_read(self, circuit: Circuit, event: CircuitReading) -> list[Port]:
        """Take in what a feeder meter shows; return the ports below whose voltage is out of its band."""
        refresh = Seconds(0.0) if circuit.plan.meter is None else circuit.plan.meter.refresh
        out = []
        # One voltage of a circuit of three phases is that of one of them, and nobody says which.
        vague = len(event.voltages) == 1 and circuit.plan.phases > 1
        for port in self._below[circuit.plan.id] if event.voltages and not vague else ():
            place = self._circuits.place(port.id)
            volts = voltages_of(place.phase, event.voltages)
            if port.mains.take_in(volts, event.at, rank=place.above.index(circuit), refresh=refresh):
                out.append(port)
        return out

    def feeder_unheard(self, circuit: Circuit) -> None:
        """A feeder meter has not answered: the ports' own meters tell the voltage at once."""
        for port in self._below[circuit.plan.id]:
            port.mains.unheard(self._circuits.place(port.id).above.index(circuit))

    def read(self, teller: Port, event: MeterReading) -> list[Port]:
        """Take in what a port's meter shows; return the ports beside it whose voltage is out of its band."""
        dead = event.voltage is not None and abs(event.voltage) < DARK
        if event.voltage is None or (dead and not teller.load_absent()):
            return []  # A channel that shows no voltage while current flows is broken, and no evidence.
        out, refresh = [], teller.plan.meter.refresh
        for port, rank in self._told_by(teller):
            if port.mains.take_in((event.voltage,), event.at, rank=rank, refresh=refresh) and port is not teller:
                out.append(port)
        return out

    def unheard(self, teller: Port) -> None:
        """A port's meter has not answered: another one tells its voltage, and that of those beside it, at once."""
        for port, rank in self._told_by(teller):
            port.mains.unheard(rank)

    def _told_by(self, teller: Port) -> Iterator[tuple[Port, int]]:
        """Yield the ports whose voltage a port's meter shows, itself first, and how far from it they are."""
        yield teller, BESIDE
        mine = self._mains[teller.id]
        for port in self._ports.values():
            if port is not teller and self._mains[port.id] == mine:
                yield port, BESIDE + 1
