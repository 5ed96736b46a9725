"""When each port wants to be woken: found without asking all of them, so that an event costs the same anywhere."""

import heapq
from collections.abc import Iterable

from chargerd.core.units import Instant, PortId


class Wakes:
    """The next instant of each port. What was set before stays in the queue and is passed over."""

    def __init__(self, ports: Iterable[PortId]) -> None:
        self._order = {port: place for place, port in enumerate(ports)}
        self._at: dict[PortId, Instant | None] = {}
        self._queue: list[tuple[Instant, int, PortId]] = []

    def set(self, port: PortId, at: Instant | None) -> None:
        """Wake a port then; `None`: not at all."""
        if self._at.get(port) == at:
            return
        self._at[port] = at
        if at is not None:
            heapq.heappush(self._queue, (at, self._order[port], port))

    def first(self) -> Instant | None:
        """Return the earliest instant, `None` if no port wants to be woken."""
        queue = self._queue
        while queue and self._at.get(queue[0][2]) != queue[0][0]:
            heapq.heappop(queue)
        return queue[0][0] if queue else None

    def due(self, now: Instant) -> list[PortId]:
        """Return the ports whose instant has come, in the order of the site. They stay due until set anew."""
        if (first := self.first()) is None or first > now:
            return []
        found: dict[PortId, Instant] = {}
        while (first := self.first()) is not None and first <= now:
            port = self._queue[0][2]
            found[port] = first
            self._at[port] = None
        for port, at in found.items():
            self.set(port, at)
        return sorted(found, key=self._order.__getitem__)
