"""Those who race on a line, each as a process of its own: `python -m tests.benchmarks.clients NAME CONFIG`.

Each reads the currents of twelve meters as fast as it can and has a relay opened as soon as a current is above
5 A: `bus` is chargerd's bus with schedule, leases, read-backs, power and voltage; `wire` its transactions in a
plain loop; `pymodbus` that library's own client with one task a port; `minimalmodbus` a loop. All print "ready"
after the first round, and at SIGTERM, as a line of JSON, how many transactions failed.
"""

import asyncio
import json
import logging
import signal
import struct
import sys
from collections.abc import Callable
from pathlib import Path
from types import FrameType

import minimalmodbus  # type: ignore[import-untyped]
from pymodbus.client import AsyncModbusSerialClient
from pymodbus.exceptions import ModbusException

from chargerd import log
from chargerd.config.loader import load
from chargerd.config.site import Site
from chargerd.core.commands import CloseRelay, OpenRelay, Pace, RenewLease, SetPace
from chargerd.core.events import BusEvent, MeterFault, MeterReading, RelayNotWritten, RelayWritten
from chargerd.core.units import Instant, PortId, Seconds
from chargerd.modbus.build import build
from chargerd.modbus.connector import connector
from chargerd.modbus.frames import read_registers, write_coil
from chargerd.modbus.wire import Answered, Counters
from chargerd.runtime.process.clock import SystemClock
from tests.benchmarks.site import UNITS

LIMIT = 5.0
CURRENT = 0x06
RELAY = 1
TIMEOUT = 0.3
LEASE = Seconds(6.0)
RENEW_EVERY = 3.0


def tell(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


class Stop:
    """Set at SIGTERM."""

    def __init__(self) -> None:
        self.wanted = False
        self.failed = 0
        signal.signal(signal.SIGTERM, self._stop)

    def _stop(self, _number: int, _frame: FrameType | None) -> None:
        self.wanted = True


def loop(stop: Stop, read: Callable[[int], float | None], open_relay: Callable[[int], None]) -> None:
    """Read meter after meter."""
    begun = False
    while not stop.wanted:
        for index, unit in enumerate(UNITS):
            current = read(unit)
            if current is None:
                stop.failed += 1
            elif current > LIMIT:
                open_relay(index)
        if not begun:
            begun = True
            tell("ready")


def run_wire(site: Site, stop: Stop) -> None:
    wire = connector(site.buses["line1"], SystemClock())(Counters())

    def read(unit: int) -> float | None:
        answer = wire.transact(read_registers(unit, 4, CURRENT, 2), Seconds(TIMEOUT))
        return struct.unpack(">f", answer.pdu[2:])[0] if isinstance(answer, Answered) else None

    def open_relay(channel: int) -> None:
        wire.transact(write_coil(RELAY, channel, 0), Seconds(TIMEOUT), urgent=True)

    loop(stop, read, open_relay)


def run_minimalmodbus(site: Site, stop: Stop) -> None:
    section = site.buses["line1"]
    boards = {}
    for unit in (RELAY, *UNITS):
        boards[unit] = minimalmodbus.Instrument(str(section.serial), unit)
        boards[unit].serial.baudrate = section.baudrate
        boards[unit].serial.timeout = TIMEOUT

    def read(unit: int) -> float | None:
        try:
            return float(boards[unit].read_float(CURRENT, functioncode=4))
        except (minimalmodbus.ModbusException, ValueError):
            return None

    def open_relay(channel: int) -> None:
        try:
            boards[RELAY].write_bit(channel, 0)
        except minimalmodbus.ModbusException:
            stop.failed += 1

    loop(stop, read, open_relay)


async def pymodbus_tasks(site: Site, stop: Stop) -> None:
    section = site.buses["line1"]
    client = AsyncModbusSerialClient(
        str(section.serial), baudrate=section.baudrate, timeout=TIMEOUT, retries=0, reconnect_delay=0.1
    )
    await client.connect()
    rounds = dict.fromkeys(UNITS, 0)

    async def port(index: int, unit: int) -> None:
        while not stop.wanted:
            try:
                reply = await client.read_input_registers(CURRENT, count=2, device_id=unit)
                if reply.isError() or len(reply.registers) != 2:
                    stop.failed += 1
                elif struct.unpack(">f", struct.pack(">HH", *reply.registers))[0] > LIMIT:
                    await client.write_coil(index, False, device_id=RELAY)
            except ModbusException:
                stop.failed += 1
            rounds[unit] += 1
            if unit == UNITS[-1] and rounds[unit] == 1:
                tell("ready")

    async with asyncio.TaskGroup() as group:
        for index, unit in enumerate(UNITS):
            group.create_task(port(index, unit))
    client.close()


def run_pymodbus(site: Site, stop: Stop) -> None:
    logging.disable(logging.CRITICAL)
    asyncio.run(pymodbus_tasks(site, stop))


class BusClient:
    """The bus as the daemon has it, with the decision taken here. All but `__init__` runs in the bus thread."""

    def __init__(self, site: Site, stop: Stop) -> None:
        self._clock = SystemClock()
        self._stop = stop
        self._heard: set[PortId] = set()
        self._ready = False
        self._renew_at: dict[PortId, float] = {}
        (self._bus,) = build(site, clock=self._clock, emit=self.emit, on_crash=self._crashed)
        self._bus.start()
        for port in sorted(self._bus.ports):
            self._bus.execute(SetPace(port=port, pace=Pace.CLOSED))
            self._renew_at[port] = self._clock.now() + RENEW_EVERY * (1 + len(self._renew_at) / len(UNITS))
            not_after = Instant(self._clock.now() + LEASE)
            self._bus.execute(CloseRelay(port=port, lease=LEASE, not_after=not_after))

    @staticmethod
    def _crashed(error: BaseException) -> None:
        sys.stderr.write(f"{error!r}\n")
        signal.raise_signal(signal.SIGKILL)

    def emit(self, event: BusEvent) -> None:
        if isinstance(event, MeterFault | RelayNotWritten):
            self._stop.failed += 1
        if isinstance(event, RelayWritten):
            return
        if not isinstance(event, MeterReading) or event.current is None:
            return
        if event.current > LIMIT:
            self._bus.execute(OpenRelay(port=event.port))
        elif event.at > self._renew_at[event.port]:
            self._renew_at[event.port] = event.at + RENEW_EVERY
            not_after = Instant(event.at + LEASE - 1.0)
            self._bus.execute(RenewLease(port=event.port, lease=LEASE, not_after=not_after))
        self._heard.add(event.port)
        if not self._ready and len(self._heard) == len(self._renew_at):
            self._ready = True
            tell("ready")


def run_bus(site: Site, stop: Stop) -> None:
    sys.setswitchinterval(0.0005)
    client = BusClient(site, stop)
    assert client is not None
    while not stop.wanted:
        signal.pause()


CLIENTS = {"bus": run_bus, "wire": run_wire, "pymodbus": run_pymodbus, "minimalmodbus": run_minimalmodbus}


def main() -> None:
    log.configure(log.Level.SILENCE)
    stop = Stop()
    CLIENTS[sys.argv[1]](load(Path(sys.argv[2])), stop)
    tell(json.dumps({"failed": stop.failed}))


if __name__ == "__main__":
    main()
