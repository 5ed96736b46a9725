"""What the onlooker saw last of ports and circuits, kept for whoever asks at another time."""

from chargerd.core.units import Instant, Seconds, between
from chargerd.core.view import CircuitView, PortView


class Looks:
    """Written by the onlooker's thread, read by any: what is kept is replaced, never changed."""

    def __init__(self, now: Instant) -> None:
        self.ports: tuple[PortView, ...] = ()
        self.circuits: tuple[CircuitView, ...] = ()
        self._at = now

    def age(self, now: Instant) -> Seconds:
        """Return how long ago it was looked; before the first look, how long that is awaited."""
        return Seconds(max(0.0, between(self._at, now)))

    def seen(self, ports: tuple[PortView, ...], at: Instant) -> None:
        """Keep what was seen of the ports."""
        self.ports, self._at = ports, at
