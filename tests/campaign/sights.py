"""How soon far too much current is cut off: from what a meter first shows of it to the last bit of the opening.

What the daemon has read or decided does not matter here: the watch is held by the simulated site.
"""

from collections.abc import Mapping

from chargerd.config.budget.budget import PortBudget
from chargerd.config.profiles.register_map import Quantity
from chargerd.config.site import Site
from chargerd.core.units import Instant, PortId, Seconds
from chargerd.sim.parts import Meter, Socket
from chargerd.sim.world import STEP
from chargerd.sim.world import World as SimWorld

INSTANT, INRUSH = 1.5 * 5.0, 3.0 * 5.0
"""Amperes: I>>> of a port with the default limit, and while an inrush is to be expected."""
INRUSH_FOR = 2.0
MARGIN = 1e-6


class WatchedWorld(SimWorld):
    """A site that tells whenever its meters may have taken over new values."""

    sights: "Sights | None" = None

    def _look(self, *, slow: bool = False) -> None:
        super()._look(slow=slow)
        if self.sights is not None:
            self.sights.look(self.now)


class Sights:
    """The ports of a site that were told to close, and since when their meters show far too much."""

    def __init__(self, world: WatchedWorld, site: Site, budgets: Mapping[PortId, PortBudget]) -> None:
        self.taken: list[float] = []
        """Seconds of each opening that was due to I>>>, on a line that works."""
        self._slow_until, self._slow_by = 0.0, 0.0
        self.blind_until = 0.0
        """Until then something is broken that has to be read or written, or left alone after it."""
        self._parts: dict[PortId, tuple[Socket, Meter]] = {
            port.id: (world.socket(port.id), world.meter(port.id)) for port in site.ports
        }
        self._bounds = {port: budget.worst - budget.refresh for port, budget in budgets.items()}
        self._held: set[PortId] = set()
        self._closed_at: dict[PortId, float] = {}
        self._since: dict[PortId, float] = {}

    @property
    def bound(self) -> float:
        """The longest any port may take: its polling interval, the transaction in flight, and its own."""
        return max(self._bounds.values())

    def slow(self, until: float, by: float) -> None:
        """Allow each opening to be later by so much until then: somebody asks by hand."""
        self._slow_until, self._slow_by = max(self._slow_until, until), by

    def _more(self, since: float) -> float:
        return self._slow_by if since < self._slow_until else 0.0

    def told_to_close(self, port: PortId) -> None:
        """The daemon wants a port's relay closed: from now on it answers for it."""
        self._held.add(port)

    def told_to_open(self, port: PortId) -> None:
        """The daemon wants it open; it is held to its time only if there was too much already."""
        if port not in self._since:
            self._held.discard(port)

    def opened(self, port: PortId, until: float) -> None:
        """The last bit of a port's opening has gone out."""
        since = self._since.pop(port, None)
        self._held.discard(port)
        if since is not None and since >= self.blind_until:
            self.taken.append(until - since - self._more(since))

    def forget(self) -> None:
        """The daemon is gone, and what it was told with it."""
        self._held.clear()
        self._since.clear()

    def look(self, now: Instant) -> None:
        """Take note of what the meters show."""
        for port, (socket, meter) in self._parts.items():
            if not socket.relay.contact_closed:
                self._closed_at.pop(port, None)
                self._since.pop(port, None)
                continue
            masked_until = self._closed_at.setdefault(port, now) + INRUSH_FOR + meter.refresh + MARGIN
            shown = meter.values[Quantity.CURRENT]
            if shown < INSTANT or port not in self._held:
                self._since.pop(port, None)
            elif shown >= INRUSH or now > masked_until:
                self._since.setdefault(port, now)

    def check(self, now: float) -> None:
        """Assert that nobody waits for longer than may be."""
        for port, since in self._since.items():
            waited = now - max(since, self.blind_until)
            most = self._bounds[port] + Seconds(STEP) + self._more(since)
            assert waited <= most, f"S2: {port} shows too much for {waited:.3f} s"
