"""What meters show before a closing of a wiring proof and while it lasts, and when they have shown enough."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from chargerd.core.facts import Fact
from chargerd.core.moment import Moment
from chargerd.core.proof import Closing, OnPhases, Shown, moved
from chargerd.core.units import Amps, CircuitId, Instant, PortId, Seconds, Watts, after, between
from chargerd.core.view import CircuitView, PortState, PortView

SHOWS_AFTER = Seconds(3.0)
"""Inrush, and two readings of power each 2 s."""
WINDOW = Seconds(20.0)
"""Meters of open ports are read every 5 s: so long they may take to show what a closing has moved."""
QUIET = Seconds(1.0)
"""So long after an opening a reading shows what flows without it."""
OPEN_STATES = frozenset({PortState.STARTING, PortState.CHARGING})
"""In which a port's relay is closed, or about to be."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sight:
    """What is seen at one moment, and what has happened since the one before."""

    now: Moment
    views: Mapping[PortId, PortView]
    circuits: tuple[CircuitView, ...] = ()
    facts: tuple[Fact, ...] = ()


class Watch:
    """What meters show before a closing and while it lasts."""

    def __init__(self, sight: Sight, ports: tuple[PortId, ...], relay: PortId) -> None:
        self._relay = relay
        self._at_ms = sight.now.wall_ms
        self._shown = {port: Shown(port=port, before=sight.views[port].measured.power) for port in ports}
        self._feeders = {view.id: view.metered for view in sight.circuits if len(view.metered) > 1}
        self._rises: dict[CircuitId, tuple[Amps, ...]] = {}
        self.since: Instant | None = None
        """When it was first seen closed."""
        self._last = sight.now.instant
        self._closed = False
        self.still: Watts | None = None

    def look(self, sight: Sight) -> None:
        """Take in what is shown now."""
        view = sight.views[self._relay]
        if view.relay_closed and view.state in OPEN_STATES:
            self._closed = True
            self.since = sight.now.instant if self.since is None else self.since
        self._last = sight.now.instant
        for port, shown in self._shown.items():
            self._shown[port] = further(shown, sight.views[port])
        if self.since is not None:
            for circuit in sight.circuits:
                before = self._feeders.get(circuit.id)
                if before is not None and len(circuit.metered) == len(before):
                    rise = tuple(Amps(now - then) for now, then in zip(circuit.metered, before, strict=True))
                    self._rises[circuit.id] = max(rise, self._rises.get(circuit.id, rise), key=max)

    def show(self, port: PortId, power: Watts) -> None:
        """Take in what one meter has shown in a reading that was over before anybody looked."""
        shown = self._shown.get(port)
        if shown is not None and (shown.during is None or abs(power) > abs(shown.during)):
            self._shown[port] = replace(shown, during=power)

    def enough(self, sight: Sight) -> bool:
        """Say whether all meters have shown what they have to show, or have had the time to."""
        if self.since is None:
            return False
        lasted, shows = between(self.since, sight.now.instant), after(self.since, QUIET)
        if lasted >= WINDOW:
            return True
        views = [sight.views[port] for port in self._shown]
        told = all(not view.measured.fresh or (view.measured.at or self.since) >= shows for view in views)
        return lasted >= SHOWS_AFTER and told and bool(self._moved())

    def _moved(self) -> tuple[PortId, ...]:
        return moved(Closing(relay=self._relay, loads=(), shown=tuple(self._shown.values())))

    def closing(self, loads: tuple[PortId, ...], sight: Sight) -> Closing:
        """Return the closing as it is kept."""
        lasted = Seconds(0.0) if self.since is None else Seconds(between(self.since, self._last))
        rises = tuple(OnPhases(circuit=circuit, rise=rise) for circuit, rise in self._rises.items())
        shown = tuple(
            replace(one, voltage=sight.views[port].measured.voltage) for port, one in self._shown.items()
        )
        return Closing(
            relay=self._relay,
            loads=loads,
            at_ms=self._at_ms,
            closed=self._closed,
            lasted=lasted,
            shown=shown,
            phases=rises,
            still=self.still,
        )


def further(shown: Shown, view: PortView) -> Shown:
    """Return what a meter has shown, if this is further from where it began."""
    power = view.measured.power
    if power is None:
        return shown
    begun = shown.before or Watts(0.0)
    if shown.during is not None and abs(power - begun) <= abs(shown.during - begun):
        return shown
    return replace(shown, during=power, current=view.measured.current)
