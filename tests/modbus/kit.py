"""A virtual line with hand-made boards, and a bus turned by hand: no threads, no waiting, the same every time."""

import struct
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from chargerd.config.loader import load_text
from chargerd.config.site import Site
from chargerd.core.events import BusEvent
from chargerd.core.moment import ClockQuality, Moment
from chargerd.core.units import Instant, PortId, Seconds
from chargerd.modbus import build as building
from chargerd.modbus.bus import Bus
from chargerd.modbus.lines import LineGone
from chargerd.modbus.manual import Rate
from chargerd.modbus.wire import Counters, RtuWire, Wire

RELAY = 1
FIRST_METER = 11
SERIAL = 0xFC00
"""Where an Eastron meter tells its serial number."""
BAUDRATE = 9600
CHARACTER = 10 / BAUDRATE
SILENCE = 3.5 * CHARACTER
TURNAROUND = 0.002
MARGIN = 1e-9

SITE = """\
gateway: {{id: test}}
buses: {{line: {{serial: {tty}, baudrate: 9600}}}}
boards:
  relay: {{bus: line, address: 1, profile: waveshare-relay-16}}
  meter1..meter{ports}: {{bus: line, address: 11..{last}, profile: {meter}}}
circuits: {{shed: {{}}}}
ports: [{{id: A01..A{ports:02d}, relay: relay/1..{ports}, meter: meter1..meter{ports}, circuit: shed}}]
"""


def site(ports: int = 12, *, tty: object = "/dev/null", meter: str = "eastron-sdm120") -> Site:
    return load_text(SITE.format(tty=tty, ports=ports, last=FIRST_METER + ports - 1, meter=meter), "test")


def names(count: int) -> list[PortId]:
    return [PortId(f"A{number:02d}") for number in range(1, count + 1)]


def crc(data: bytes) -> bytes:
    """The CRC as the standard's appendix describes it, bit by bit."""
    value = 0xFFFF
    for byte in data:
        value ^= byte
        for _ in range(8):
            value = value >> 1 ^ 0xA001 if value & 1 else value >> 1
    return struct.pack("<H", value)


def frame(text: str) -> bytes:
    """A frame given as hexadecimal text without its CRC."""
    data = bytes.fromhex(text)
    return data + crc(data)


class VirtualClock:
    def __init__(self) -> None:
        self.time = 1000.0

    def now(self) -> Instant:
        return Instant(self.time)

    def sleep(self, span: Seconds) -> None:
        assert span >= 0
        self.time += span

    def moment(self) -> Moment:
        return Moment(instant=self.now(), boot=1, wall_ms=None, clock=ClockQuality.NONE)


Reply = Iterable[tuple[float, bytes]]
"""Bytes, each with how long after the end of the request its first one begins."""
Script = Callable[[bytes], Reply]


@dataclass
class Sent:
    at: float
    until: float
    gap: float
    data: bytes


class VirtualLine:
    """Delivers byte by byte at line speed. `script` says what the boards answer."""

    def __init__(self, clock: VirtualClock, script: Script) -> None:
        self.script = script
        self.sent: list[Sent] = []
        self.gone = False
        self.closed = False
        self.hears_itself = False
        self.waits = 0
        self.reads_of_nothing = 0
        self.in_blocks = False
        """Whether what is sent in one piece is handed over in one piece, as some adapters do."""
        self.last_byte = -1.0
        self._clock = clock
        self._coming: list[tuple[float, int]] = []

    def write(self, data: bytes) -> None:
        self._alive()
        now = self._clock.time
        until = now + len(data) * CHARACTER
        self.sent.append(Sent(now, until, now - self.last_byte, data))
        self.last_byte = max(self.last_byte, until)
        if self.hears_itself:
            self.deliver(now, data)
        for delay, reply in self.script(data):
            self.deliver(until + delay, reply)

    def deliver(self, begin: float, data: bytes) -> None:
        last = len(data) if self.in_blocks else 0
        self._coming += [(begin + max(place, last) * CHARACTER, byte) for place, byte in enumerate(data, 1)]
        self._coming.sort(key=lambda one: one[0])

    def read(self) -> bytes:
        self._alive()
        here = [one for one in self._coming if one[0] <= self._clock.time + 1e-9]
        self.reads_of_nothing += not here
        self._coming = self._coming[len(here) :]
        if here:
            self.last_byte = max(self.last_byte, here[-1][0])
        return bytes(byte for _at, byte in here)

    def wait(self, timeout: Seconds) -> bool:
        self._alive()
        self.waits += 1
        until = self._clock.time + max(0.0, timeout)
        if self._coming and self._coming[0][0] <= until:
            self._clock.time = max(self._clock.time, self._coming[0][0])
            return True
        self._clock.time = until
        return False

    def close(self) -> None:
        self.closed = True

    def _alive(self) -> None:
        if self.gone:
            raise LineGone("unplugged")

    @property
    def requests(self) -> list[bytes]:
        return [sent.data for sent in self.sent]


def rtu(
    line: VirtualLine,
    clock: VirtualClock,
    counters: Counters | None = None,
    *,
    echo: bool | None = None,
    tune: Callable[[Rate | None], None] | None = None,
) -> RtuWire:
    counters = Counters() if counters is None else counters
    return RtuWire(line, clock, baudrate=BAUDRATE, character_bits=10, counters=counters, echo=echo, tune=tune)


@dataclass
class Boards:
    """Meters like Eastron's from unit 11 on and a relay board like Waveshare's at unit 1, written by hand."""

    clock: VirtualClock
    amps: dict[int, float] = field(default_factory=dict)
    silent: set[int] = field(default_factory=set)
    serials: dict[int, int] = field(default_factory=dict)
    """Of the meters, where they are not as usual."""
    lapses: dict[int, float] = field(default_factory=dict)
    """When each closed channel (from 0) opens by itself."""
    welded: set[int] = field(default_factory=set)
    deaf: dict[int, float] = field(default_factory=dict)
    """How long after any frame each of these units hears nothing."""
    slow: dict[int, float] = field(default_factory=dict)
    """Seconds that each of these units takes before it answers."""
    gap: Callable[[], float] = lambda: float("inf")
    """The silence before the request that is being answered."""

    def script(self, request: bytes) -> Reply:
        assert crc(request[:-2]) == request[-2:]
        if request[0] in self.silent or self.gap() < self.deaf.get(request[0], 0.0):
            return []
        until = self.clock.time + len(request) * CHARACTER
        reply = self._relay(request, until) if request[0] == RELAY else self._meter(request)
        return [(self.slow.get(request[0], SILENCE + TURNAROUND), reply + crc(reply))]

    def closed(self, channel: int, at: float | None = None) -> bool:
        at = self.clock.time if at is None else at
        return channel in self.welded or self.lapses.get(channel, 0.0) > at

    def _relay(self, request: bytes, until: float) -> bytes:
        function, address, value = struct.unpack(">BHH", request[1:6])
        if function == 5:
            if address >= 0x200:
                self.lapses[address - 0x200] = until + value / 10
            else:
                self.lapses[address] = 1e12 if value == 0xFF00 else 0.0
            return request[:6]
        bits = sum(1 << channel for channel in range(16) if self.closed(channel, until))
        return request[:2] + bytes([2]) + struct.pack("<H", bits)

    def _meter(self, request: bytes) -> bytes:
        amps = self.amps.get(request[0], 1.0)
        values = {0x00: 230.0, 0x06: amps, 0x0C: amps * 140.0, 0x48: 12.34}
        address = struct.unpack(">H", request[2:4])[0]
        if address == SERIAL:
            return request[:2] + bytes([4]) + struct.pack(">I", self.serials.get(request[0], 20_000 + request[0]))
        return request[:2] + bytes([4]) + struct.pack(">f", values[address])


class Bench:
    """A bus on a virtual line, turned by hand. Events are kept with the time at which they were told."""

    def __init__(self, monkeypatch: Any, site_: Site | None = None) -> None:
        self.clock = VirtualClock()
        self.boards = Boards(self.clock)
        self.line = VirtualLine(self.clock, self.boards.script)
        self.boards.gap = lambda: self.line.sent[-1].gap + MARGIN
        self.events: list[tuple[float, BusEvent]] = []
        self.heard: Callable[[BusEvent], None] = lambda _event: None
        self.present = True
        self.tuned: int | None = None
        """The rate the line is driven at, where it is not its own."""
        monkeypatch.setattr(building, "connector", lambda _section, _clock: self._connect)
        buses = building.build(site_ or site(), clock=self.clock, emit=self._emit, on_crash=self._crashed)
        assert len(buses) == 1
        self.bus: Bus = buses[0]

    def _connect(self, counters: Counters) -> Wire:
        if not self.present:
            raise LineGone("no such device")
        return rtu(self.line, self.clock, counters, tune=self._tune)

    def _tune(self, rate: Rate | None) -> None:
        self.tuned = None if rate is None else rate.baudrate

    def _emit(self, event: BusEvent) -> None:
        self.events.append((self.clock.time, event))
        self.heard(event)

    def _crashed(self, error: BaseException) -> None:
        raise AssertionError from error

    def run(self, seconds: float) -> None:
        end = self.clock.time + seconds
        while self.clock.time < end:
            if not self.bus.turn():
                self.clock.sleep(Seconds(0.001))

    def turns(self, count: int) -> None:
        for _ in range(count):
            self.bus.turn()

    def told(self, kind: type[Any]) -> list[Any]:
        return [event for _at, event in self.events if isinstance(event, kind)]

    def forget(self) -> None:
        self.events.clear()
        self.line.sent.clear()

    def unplug(self) -> None:
        self.present = False
        self.line.gone = True

    def plug(self) -> None:
        self.present = True
        self.line.gone = False
        self.line.closed = False
