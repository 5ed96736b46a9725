"""Books about loads, kept beside the station: what flows above a limit is opened, whatever the state table says.

They know only what went in and what came out, and answer with what is wrong, or nothing.

S2   a reading at the instantaneous threshold opens its relay in the same turn; so does a trip of a circuit
S12  a load above a circuit's rating does not last while relays below it could be opened
"""

from math import isfinite

from chargerd.core.commands import CloseRelay, OpenRelay
from chargerd.core.events import Configured, Event, MeterReading, RelayReadBack
from chargerd.core.facts import CircuitTripped, InputTripped
from chargerd.core.outbox import Outcome
from chargerd.core.plan import CircuitPlan, Phase, PortPlan, StationPlan, holder_of
from chargerd.core.units import Amps, CircuitId, Instant, PortId, Seconds, after, between

INRUSH_GRACE = Seconds(1.0)
"""How much later than the station a contact may be known closed here: it is told by a read-back."""
SHEDDING = Seconds(12.0)
"""Shedding begins after 2 s and opens one relay after the other; its bus has 10 s for each."""
REFRESHES = 3
"""Readings a meter may need to show that an opening was enough, or not."""


def chains(plan: StationPlan) -> dict[PortId, tuple[CircuitPlan, ...]]:
    """Return the circuits above each port, the nearest first."""
    known = {circuit.id: circuit for circuit in plan.circuits}
    found = {}
    for port in plan.ports:
        chain, at = [], known.get(port.circuit)
        while at is not None:
            chain.append(at)
            at = None if at.parent is None else known.get(at.parent)
        found[port.id] = tuple(chain)
    return found


class LoadBooks:
    """What flows, and which relays were told what."""

    def __init__(self, plan: StationPlan) -> None:
        self._ports = {port.id: port for port in plan.ports}
        self._limits = {port.id: port.limits.current for port in plan.ports}
        """What each port allows now, as far as a closed relay is concerned."""
        self._lowered: dict[PortId, tuple[Instant, Amps]] = {}
        """When that was lowered last, and from what at most: what was read before is judged by that."""
        self._above = chains(plan)
        self._phases = {port.id: _phase(port, self._above[port.id]) for port in plan.ports}
        self._below = {
            circuit.id: tuple(port for port, above in self._above.items() if circuit in above)
            for circuit in plan.circuits
        }
        self._holders = {holder_of(circuit.id): circuit.id for circuit in plan.circuits}
        self._told: dict[PortId, Instant] = {}
        """When a relay was told to close that has not been told to open since."""
        self._contact: dict[PortId, Instant] = {}
        self._amps: dict[PortId, tuple[Instant, Amps]] = {}
        """What was measured last, and when."""
        self._lasts = {
            port.id: max(port.protection.stale_after, REFRESHES * port.meter.refresh) for port in plan.ports
        }
        self._over_from: dict[CircuitId, Instant] = {}
        self._rated = any(circuit.rating is not None for circuit in plan.circuits)

    def wrong(self, event: Event | None, outcome: Outcome, now: Instant) -> str | None:
        """Take in one turn of the station; return what is wrong with it."""
        if isinstance(event, Configured):
            self._configure(event, now)
        reading = event if isinstance(event, MeterReading) and _are_numbers(event) else None
        loud = None if reading is None else self._too_loud(reading)
        for command in outcome.commands:  # In their order: what is closed in a turn may be opened in the same.
            if isinstance(command, CloseRelay):
                self._told[command.port] = now
            elif isinstance(command, OpenRelay):
                self._open(command.port)
        if isinstance(event, RelayReadBack) and event.closed and event.port in self._told:
            self._contact.setdefault(event.port, event.at)
        if loud is not None and loud in self._told:
            return f"S2: {loud} is at its instantaneous threshold, and nothing opens it"
        overloaded = None if reading is None or not self._rated else self._overloaded(reading, now)
        return (self._left_closed(outcome) if outcome.facts else None) or overloaded

    def _open(self, port: PortId) -> None:
        self._told.pop(port, None)
        self._contact.pop(port, None)
        for circuit in self._above.get(port, ()):
            self._over_from.pop(circuit.id, None)

    def _configure(self, event: Configured, now: Instant) -> None:
        for port, limits in event.limits.items():
            if limits.current < self._limits.get(port, Amps(0.0)):
                self._lowered[port] = (now, max(self._limits[port], self._allowed(port, now)))
            if port in self._limits:
                self._limits[port] = limits.current

    def _allowed(self, port: PortId, at: Instant) -> Amps:
        """Return the most a port may have allowed at an instant."""
        since, before = self._lowered.get(port, (at, Amps(0.0)))
        return max(before, self._limits[port]) if at <= since else self._limits[port]

    def _too_loud(self, reading: MeterReading) -> PortId | None:
        """Return the port of a reading that must open it, whatever its session's own limits are."""
        port, told = self._ports.get(reading.port), self._told.get(reading.port)
        if port is None or told is None or reading.current is None or reading.at < told:
            return None
        protection, contact = port.protection, self._contact.get(reading.port)
        span = protection.inrush_for + port.meter.refresh + INRUSH_GRACE
        settled = contact is not None and between(contact, reading.at) > span
        factor = protection.instant_factor if settled else protection.inrush_factor
        return port.id if abs(reading.current) >= factor * self._allowed(port.id, reading.at) else None

    def _left_closed(self, outcome: Outcome) -> str | None:
        """Return what is wrong if a circuit has tripped and a relay below it was told nothing."""
        for fact in outcome.facts:
            if isinstance(fact, InputTripped | CircuitTripped) and fact.latch is not None:
                circuit = self._holders.get(fact.latch.port)
                left = [] if circuit is None else [port for port in self._below[circuit] if port in self._told]
                if left:
                    return f"S2: {fact.function} has tripped {circuit}, and nothing opens {', '.join(left)}"
        return None

    def _overloaded(self, reading: MeterReading, now: Instant) -> str | None:
        """Return what is wrong if a circuit carries more than its rating for long, with relays left to open."""
        if reading.current is None:
            return None
        self._amps[reading.port] = (reading.at, Amps(abs(reading.current)))
        for circuit in self._above.get(reading.port, ()):
            if circuit.rating is None:
                continue
            load = self._load(circuit, now)
            over = {place for place, amps in enumerate(load) if amps >= circuit.rating}
            if not self._could_open(circuit, over):
                self._over_from.pop(circuit.id, None)
                continue
            since = self._over_from.setdefault(circuit.id, now)
            refresh = max(self._ports[port].meter.refresh for port in self._below[circuit.id])
            if circuit.meter is not None:
                refresh = max(refresh, circuit.meter.refresh)
            if now > after(since, Seconds(SHEDDING + REFRESHES * refresh)):
                return f"S12: {circuit.id} has carried more than its rating since {since:.1f}, and nothing is shed"
        return None

    def _could_open(self, circuit: CircuitPlan, over: set[int]) -> bool:
        """Say whether a relay is left on one of the phases that carry too much."""
        return any(port in self._told and over & set(self._phases[port]) for port in self._below[circuit.id])

    def _load(self, circuit: CircuitPlan, now: Instant) -> tuple[float, float, float]:
        load = [0.0, 0.0, 0.0]
        for port in self._below[circuit.id]:
            amps = self._flows(port, now)
            for place in self._phases[port]:
                load[place] += amps
        return load[0], load[1], load[2]

    def _flows(self, port: PortId, now: Instant) -> float:
        """Return what is known to flow: a meter that has fallen silent tells nothing of now."""
        at, amps = self._amps.get(port, (now, Amps(0.0)))
        return amps if between(at, now) < self._lasts[port] else 0.0


def _are_numbers(reading: MeterReading) -> bool:
    """Say whether all that was read are numbers: else none of it counts for anyone."""
    return all(map(isfinite, filter(None, (reading.current, reading.power, reading.voltage, reading.energy))))


def _phase(port: PortPlan, above: tuple[CircuitPlan, ...]) -> tuple[int, ...]:
    """Return the phases a port hangs on, 0 to 2: its own, else that of a circuit above, else all."""
    stated = (port.phase, *(circuit.phase for circuit in above))
    phase = next((one for one in stated if one is not Phase.ALL), Phase.ALL)
    places = (Phase.L1, Phase.L2, Phase.L3)
    return (0, 1, 2) if phase is Phase.ALL else (places.index(phase),)
