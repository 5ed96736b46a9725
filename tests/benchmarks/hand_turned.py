"""The whole daemon of the benchmarks turned by hand: one thread, virtual time, boards that answer by arithmetic.

What it does for a transaction is then the same each time, on whatever machine and however busy that is.
"""

import math
import os
import struct
from collections.abc import Mapping
from pathlib import Path
from unittest.mock import patch

from pymodbus.framer import FramerRTU

from chargerd.config.loader import load
from chargerd.contract.ledger import Json
from chargerd.control.server import Peer
from chargerd.core.events import DeadlineReached
from chargerd.core.moment import ClockQuality, Moment
from chargerd.core.units import Instant, Seconds
from chargerd.core.view import PortState
from chargerd.daemon import Daemon
from chargerd.fleet.driven import Told
from chargerd.modbus import build as building
from chargerd.modbus.bus import Bus
from chargerd.modbus.frames import READS_OF_BITS, WRITE_COIL
from chargerd.modbus.wire import Counters, RtuWire, Wire
from chargerd.runtime.process.host import Host, HostClock
from chargerd.store.place import Upkeep
from tests.benchmarks.site import UNITS, write_site

BAUDRATE = 19200
CHARACTER = 10 / BAUDRATE
ANSWERS_AFTER = 3.5 * CHARACTER + 0.002
RELAYS = 1
TIMED = 0x0200
"""The first address of the relay board's timed closings; below it a coil is written."""
LOOKS_EVERY = Seconds(1.0)
WALL = 1_795_000_000.0
CURRENT, POWER, VOLTAGE, ENERGY = 0x06, 0x0C, 0x00, 0x48
MEAN, SWING = 300.0, 0.02
"""Watts of each load, and the share of them by which it wavers."""


class HandClock(HostClock):
    """Goes on as somebody sleeps."""

    def __init__(self) -> None:
        self.boot = 0
        self.at = 1000.0

    def now(self) -> Instant:
        return Instant(self.at)

    def sleep(self, span: Seconds) -> None:
        self.at += span

    def moment(self) -> Moment:
        wall = round((WALL + self.at) * 1000)
        return Moment(instant=self.now(), boot=self.boot, wall_ms=wall, clock=ClockQuality.NTP)


class Boards:
    """A board of relays and the meters behind them."""

    def __init__(self, clock: HandClock) -> None:
        self._clock = clock
        self._closed = dict.fromkeys(range(len(UNITS)), False)

    def answer(self, frame: bytes) -> bytes:
        """Return what answers a request."""
        unit, function, address, value = struct.unpack(">BBHH", frame[:6])
        if function == WRITE_COIL:
            self._closed[address % TIMED] = address >= TIMED or value != 0
            return frame
        if function in READS_OF_BITS:
            bits = sum(closed << relay for relay, closed in self._closed.items())
            data = bits.to_bytes((value + 7) // 8, "little")
        else:
            data = struct.pack(">f", self._shown(unit - UNITS[0], address))
        body = bytes([unit, function, len(data)]) + data
        return body + FramerRTU.compute_CRC(body).to_bytes(2)

    def _shown(self, port: int, address: int) -> float:
        wavers = SWING * math.sin(self._clock.at + port)
        watts = MEAN * (1 + wavers) if self._closed[port] else 0.0
        drawn = MEAN * self._clock.at / 3.6e6
        return {VOLTAGE: 230 + wavers, CURRENT: watts / 230, POWER: watts, ENERGY: math.floor(drawn * 100) / 100}[
            address
        ]


class HandLine:
    """A line on which a whole answer is there when its last character is through."""

    def __init__(self, clock: HandClock, boards: Boards) -> None:
        self.requests = 0
        self._clock = clock
        self._boards = boards
        self._coming: tuple[float, bytes] | None = None

    def write(self, data: bytes) -> None:
        self.requests += 1
        answer = self._boards.answer(data)
        through = self._clock.at + len(data) * CHARACTER + ANSWERS_AFTER + len(answer) * CHARACTER
        self._coming = (through, answer)

    def wait(self, timeout: Seconds) -> bool:
        until = self._clock.at + max(0.0, timeout)
        if self._coming is None or self._coming[0] > until:
            self._clock.at = until
            return False
        self._clock.at = max(self._clock.at, self._coming[0])
        return True

    def read(self) -> bytes:
        if self._coming is None or self._coming[0] > self._clock.at:
            return b""
        (_at, data), self._coming = self._coming, None
        return data

    def close(self) -> None:
        """Give nothing back."""


class HandDaemon(Daemon):
    """The daemon with twelve ports on one line, and no thread."""

    def __init__(self, folder: Path) -> None:
        self.clock = HandClock()
        self.line = HandLine(self.clock, Boards(self.clock))
        self._look_at = self.clock.now()
        site = load(write_site(folder, [folder / "tty"], BAUDRATE, ports=len(UNITS)))
        host = Host(clock=self.clock, boot_id="boot", machine=None)
        with patch.object(building, "connector", lambda _section, _clock: self._connect):
            super().__init__(
                site, state_dir=folder / "state", runtime_dir=folder, upkeep=Upkeep(copies=0), host=host
            )
        (self.bus,) = self._driven_lines()
        self._control.stop()

    def _connect(self, counters: Counters) -> Wire:
        return RtuWire(self.line, self.clock, baudrate=BAUDRATE, character_bits=10, counters=counters)

    def begin(self) -> None:
        """Start all ports and go on until each charges."""
        with patch.object(Bus, "start"):
            self._begin(by_itself=False)
        self._go_on_until(PortState.AVAILABLE)
        for port in self._site.ports:
            self.ask("start", {"port": port.id})
        self._go_on_until(PortState.CHARGING)

    def kill(self) -> None:
        """End it where it stands."""
        self._engine.cease()
        self._journal.abandon()

    def ask(self, method: str, params: Mapping[str, Json]) -> None:
        """Ask for something on site."""
        peer = Peer(pid=os.getpid(), uid=os.getuid(), gid=os.getgid())
        self._local.call(method, params, peer, Told(lambda _answer: None))

    def turn(self) -> None:
        """Do what is due: a transaction, or what others do between two of them."""
        if not self.bus.turn():
            self.clock.at += 0.001
        deadline = self._engine.next_deadline()
        if deadline is not None and deadline <= self.clock.at:
            self._engine.dispatch(DeadlineReached())
        if self._journal.busy:
            self._journal.turn()
        beat = self.clock.now() >= self._look_at
        if beat:
            self._look_at = Instant(self.clock.at + LOOKS_EVERY)
        self._onlooker.turn(beat=beat)

    def _go_on_until(self, state: PortState) -> None:
        until = self.clock.at + 60.0
        while {view.state for view in self._engine.views()} != {state} and self.clock.at < until:
            for _ in range(50):
                self.turn()
