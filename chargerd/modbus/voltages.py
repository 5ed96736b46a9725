"""Which meters tell the voltage: of each phase of each circuit one of a closed port, for all. Pure."""

from collections.abc import Mapping

from chargerd.config.budget.pacing import VOLTAGE_EVERY
from chargerd.core.commands import Pace
from chargerd.core.units import PortId
from chargerd.modbus.back_off import BackOffs
from chargerd.modbus.jobs import Kind, Reading
from chargerd.modbus.port_on_bus import PortOnBus


class Voltages:
    """Has them read where they are told. Not thread-safe: its owner holds a lock."""

    def __init__(self, ports: Mapping[PortId, PortOnBus], back_offs: BackOffs) -> None:
        self._ports = ports
        self._back_offs = back_offs

    def choose(self) -> None:
        """Read the voltage of each phase of each circuit with a closed port at one of its meters that tells it."""
        groups: dict[tuple[str, str], list[PortOnBus]] = {}
        for port in self._ports.values():
            if Kind.VOLTAGE in port.readings:
                groups.setdefault(port.mains, []).append(port)
        for ports in groups.values():
            chosen = self._teller([port for port in ports if port.pace is Pace.CLOSED])
            for port in ports:
                reading = port.readings[Kind.VOLTAGE]
                if port is chosen and not reading.wanted:
                    reading.renew()  # Not late for a time in which nobody wanted it.
                reading.want(VOLTAGE_EVERY if port is chosen else None)

    def told(self, job: Reading, *, voltage: bool) -> None:
        """A meter was asked for its voltage, and has told it or not; if not, another one is asked at once."""
        port = self._ports[job.port]
        asked = port.readings.get(Kind.VOLTAGE)
        if asked is None or asked.block is not job.block or port.untold is not voltage:
            return
        port.untold = not voltage
        self.choose()

    def _teller(self, closed: list[PortOnBus]) -> PortOnBus | None:
        """Return the port whose meter tells for all: the one that does already, as long as it answers."""
        if closed and all(port.untold for port in closed):
            for port in closed:
                port.untold = False  # One of them may be better by now.
        boards = self._back_offs.boards

        def preference(port: PortOnBus) -> tuple[bool, bool, bool]:
            reading = port.readings[Kind.VOLTAGE]
            return (boards[reading.board].misses > 0, port.untold, not reading.wanted)

        return min(closed, key=preference, default=None)
