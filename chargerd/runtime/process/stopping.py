"""How buses end: all at once, since none may wait for another one's silent boards."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Protocol

from chargerd.core.units import PortId, Seconds


class Stoppable(Protocol):
    """What is needed of a bus."""

    def open_all(self, within: Seconds) -> tuple[PortId, ...]:
        """Open every relay; return the ports not read back open in time."""

    def stop(self, timeout: Seconds) -> None:
        """End its thread."""


def stop_buses(buses: Sequence[Stoppable], opening: Seconds, ending: Seconds, *, opened: bool) -> list[PortId]:
    """Open every relay, unless all are known to be `opened`, and end the buses.

    The one takes `opening` at most, the other `ending`, however many buses there are. Returns the ports that were
    not read back open in time.
    """
    left: list[PortId] = []
    with ThreadPoolExecutor(max(1, len(buses)), thread_name_prefix="stopping") as pool:
        if not opened:
            left = [port for ports in pool.map(lambda bus: bus.open_all(opening), buses) for port in ports]
        list(pool.map(lambda bus: bus.stop(ending), buses))
    return left
