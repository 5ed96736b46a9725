"""A site's bus on a virtual line and clock, its ports held closed as the core does; measures polling intervals."""

import struct
from collections.abc import Callable, Iterator
from itertools import pairwise
from typing import Any

from chargerd.config.budget.line_time import LineTime
from chargerd.config.plans import RENEW_EVERY
from chargerd.config.profiles.models import Profile
from chargerd.config.site import Site
from chargerd.core.circuits.tree import BETWEEN_CLOSINGS
from chargerd.core.commands import CloseRelay, OpenRelay, Pace, ReadEnergy, RenewLease, SetPace
from chargerd.core.events import BusEvent, MeterReading, RelayAction, RelayNotWritten, RelayWritten
from chargerd.core.plan import RENEWAL_MARGIN
from chargerd.core.units import Instant, PortId, Seconds, after
from chargerd.modbus import build as building
from chargerd.modbus.wire import Counters, RtuWire, Wire
from tests.modbus.kit import Reply, Script, VirtualClock, VirtualLine, crc

LEASE = Seconds(6.0)
SETTLING = 8.0
"""Seconds until every lease has been renewed at least once."""


class Line(VirtualLine):
    """A virtual line at any rate."""

    def __init__(self, clock: VirtualClock, script: Any, times: LineTime) -> None:
        super().__init__(clock, script)
        self._times = times
        self.happens: tuple[float, Callable[[], None]] | None = None
        """What happens at some time, also while the bus waits for an answer."""

    def wait(self, timeout: Seconds) -> bool:
        until = self._clock.time + timeout
        if self.happens is not None and self.happens[0] <= min([until, *(at for at, _ in self._coming[:1])]):
            (at, action), self.happens = self.happens, None
            self._clock.time = max(self._clock.time, at)
            action()
        return super().wait(Seconds(until - self._clock.time))

    def write(self, data: bytes) -> None:
        now = self._clock.time
        until = now + len(data) * self._times.character
        for delay, reply in self.script(data):
            self.deliver(until + delay, reply)

    def deliver(self, begin: float, data: bytes) -> None:
        for place, byte in enumerate(data):
            self._coming.append((begin + (place + 1) * self._times.character, byte))


class Rig:
    """One bus of a site; every board answers after its usual turnaround."""

    def __init__(self, monkeypatch: Any, site: Site, bus: str) -> None:
        self.clock = VirtualClock()
        section = site.buses[bus]
        self._times = LineTime.of(section)
        self._boards: dict[int, Profile] = {
            board.address: board.profile for board in site.boards.values() if board.bus == bus
        }
        self.script: Script = self._answer
        """What the boards answer."""
        self._line = Line(self.clock, self._scripted, self._times)
        self._rate = section.baudrate
        self._bits = round(self._times.character * self._rate)
        self.readings: dict[PortId, list[float]] = {}
        self.powers: dict[PortId, list[float]] = {}
        self._stagger = {plan.id: plan.relay.stagger for plan in site.plan.ports}
        self._due: dict[PortId, float] = {}
        self._confirmed: dict[PortId, float] = {}
        self.late: list[RelayNotWritten] = []
        self.energies: list[PortId] = []
        self.opened: dict[PortId, float] = {}
        """When each opening was confirmed."""
        monkeypatch.setattr(building, "connector", lambda _section, _clock: self._connect)
        buses = building.build(site, clock=self.clock, emit=self._heard, on_crash=self._crashed)
        self.bus = next(one for one in buses if one.name == bus)

    def _connect(self, counters: Counters) -> Wire:
        return RtuWire(self._line, self.clock, baudrate=self._rate, character_bits=self._bits, counters=counters)

    def _crashed(self, error: BaseException) -> None:
        raise AssertionError from error

    def _scripted(self, request: bytes) -> Reply:
        return self.script(request)

    def _answer(self, request: bytes) -> Reply:
        board = self._boards[request[0]]
        reply = bytes(self._reply(request))
        delay = self._times.silence + board.timing.turnaround_ms / 1000 + self._times.round_trip
        return [(delay, reply + crc(reply))]

    @staticmethod
    def _reply(request: bytes) -> Iterator[int]:
        function, _address, count = struct.unpack(">BHH", request[1:6])
        if function in {5, 6}:
            yield from request[:6]
            return
        size = 2 * count if function in {3, 4} else (count + 7) // 8
        bits = 0xFF if function == 1 else 0  # Its relays are closed: what reads open is not renewed.
        yield from (*request[:2], size, *([bits] * size))

    def _heard(self, event: BusEvent) -> None:
        if isinstance(event, MeterReading):
            if event.current is not None:
                self.readings.setdefault(event.port, []).append(event.at)
            if event.power is not None:
                self.powers.setdefault(event.port, []).append(event.at)
            if event.energy is not None:
                self.energies.append(event.port)
        elif isinstance(event, RelayWritten) and event.action is RelayAction.OPEN:
            self.opened[event.port] = event.at
        elif isinstance(event, RelayWritten):
            first = self._stagger[event.port] if event.action is RelayAction.CLOSE else 0.0
            self._due[event.port] = event.sent_at + RENEW_EVERY - first
            self._confirmed[event.port] = event.sent_at
        elif isinstance(event, RelayNotWritten):
            self.late.append(event)

    def close_all(self, *, together: bool, but: PortId | None = None) -> None:
        """Close every port but one, one after the other or so that all leases fall due together."""
        for port in sorted(self.bus.ports - {but}):
            self.bus.execute(SetPace(port=port, pace=Pace.CLOSED))
        for port in sorted(self.bus.relay_ports - {but}):
            self.close(port)
            self.run(0.0 if together else BETWEEN_CLOSINGS)
        self.run(SETTLING)
        self.forget()

    def forget(self) -> None:
        """Forget the readings so far."""
        self.readings.clear()
        self.powers.clear()

    def opening(self, port: PortId, within: float) -> float:
        """Open a port's relay so long from now, whatever the bus does then, and close it again.

        Returns how long it took from then until the board has told that it opens.
        """
        began = self.clock.time + within
        self.opened.pop(port, None)
        self._line.happens = (began, lambda: self._open(port))
        while port not in self.opened:
            self.run(0.0001)
        took = self.opened[port] - began
        self.close(port)
        return took

    def _open(self, port: PortId) -> None:
        self._due.pop(port, None)
        self.bus.execute(OpenRelay(port=port))

    def close(self, port: PortId) -> None:
        self.bus.execute(CloseRelay(port=port, lease=LEASE, not_after=after(self.clock.now(), Seconds(5.0))))

    def start(self, port: PortId) -> None:
        """Read a port as while it is being started."""
        self.bus.execute(SetPace(port=port, pace=Pace.ARMED))

    def closing(self, port: PortId, disk: float) -> float:
        """Start a port, as the core does; return how long it takes until the board has been told to close it."""
        began = self.clock.time
        self.readings.pop(port, None)
        self.powers.pop(port, None)
        self.energies.clear()
        self.start(port)
        self.bus.execute(ReadEnergy(port=port))
        while len(self.readings.get(port, ())) < 2 or port not in self.powers or port not in self.energies:
            self.run(0.001)
        self.run(disk)
        self.bus.execute(SetPace(port=port, pace=Pace.CLOSED))
        self.close(port)
        while port not in self._confirmed:
            self.run(0.001)
        return self.clock.time - began

    def run(self, seconds: float) -> None:
        end = self.clock.time + seconds
        while self.clock.time < end:
            for port in [port for port, at in self._due.items() if at <= self.clock.time]:
                del self._due[port]
                by = Instant(self._confirmed[port] + LEASE - RENEWAL_MARGIN)
                self.bus.execute(RenewLease(port=port, lease=LEASE, not_after=by))
            if not self.bus.turn():
                self.clock.sleep(Seconds(0.001))

    def worst(self, ports: set[PortId] | None = None) -> float:
        """Return the longest time between two readings of one port's current."""
        times = [at for port, at in self.readings.items() if ports is None or port in ports]
        return max(later - earlier for one in times for earlier, later in pairwise(one))

    def worst_power(self) -> float:
        return max(later - earlier for one in self.powers.values() for earlier, later in pairwise(one))
