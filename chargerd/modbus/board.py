"""What to ask a board, and what its answers mean, read from its profile. No I/O here."""

import math
import struct
from collections.abc import Mapping
from dataclasses import dataclass, field

from chargerd.config.profiles import Block, MeterSection, Number, Quantity, Register, RelaySection, Timing
from chargerd.core.units import Amps, BoardId, PortId, Seconds, Volts, WattHours, Watts
from chargerd.modbus.frames import (
    Request,
    bits_of,
    read_bits,
    read_registers,
    registers_of,
    write_coil,
    write_register,
)

_FORMATS = {
    Number.U16: ">H",
    Number.I16: ">h",
    Number.U32: ">I",
    Number.I32: ">i",
    Number.U64: ">Q",
    Number.I64: ">q",
    Number.F32: ">f",
}


class Implausible(ValueError):  # noqa: N818 - named for what it says
    """A value cannot be true: not a number, a sentinel, or outside what the board can measure."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Values:
    """What one transaction with a meter gave; what it did not read is `None`."""

    current: Amps | None = None
    power: Watts | None = None
    voltage: Volts | None = None
    energy: WattHours | None = None


class RelayBoard:
    """Frames for the relays of a board. Channels count from 1."""

    def __init__(self, unit: int, section: RelaySection) -> None:
        self._unit = unit
        self._section = section

    @property
    def timed(self) -> bool:
        """Say whether the board can close for a limited time."""
        return self._section.timed_on is not None

    def open(self, channel: int) -> Request:
        """Return the request that opens a channel."""
        return self._write(self._section.first + channel - 1, self._section.open_value)

    def close(self, channel: int, lease: Seconds | None) -> Request:
        """Return the request that closes a channel, for `lease` seconds where that is given."""
        if lease is None:
            return self._write(self._section.first + channel - 1, self._section.close_value)
        timed = self._section.timed_on
        assert timed is not None, "a lease on a board without timed closing"
        value = min(timed.max_value, max(1, math.floor(lease * 1000 / timed.unit_ms)))
        return self._write(timed.first + channel - 1, value)

    def lapse(self, channel: int) -> Request:
        """Return the request that closes a channel for the board's shortest time: the last resort to open it."""
        timed = self._section.timed_on
        assert timed is not None, "a board without timed closing cannot be told to lapse"
        return self._write(timed.first + channel - 1, 1)

    def read(self) -> Request:
        """Return the request that reads all channels."""
        back = self._section.read_back
        count = max(self._section.channels, back.min_count)
        if back.function <= 2:  # noqa: PLR2004 - functions 1 and 2 read bits
            return read_bits(self._unit, back.function, back.first, count)
        return read_registers(self._unit, back.function, back.first, count)

    def states(self, pdu: bytes) -> list[bool]:
        """Return whether each channel is closed, channel 1 first."""
        if self._section.read_back.function <= 2:  # noqa: PLR2004 - see above
            return bits_of(pdu)[: self._section.channels]
        return [bool(value) for value in registers_of(pdu)][: self._section.channels]

    def _write(self, address: int, value: int) -> Request:
        if self._section.write == 5:  # noqa: PLR2004 - function 5 writes a coil
            return write_coil(self._unit, address, value)
        return write_register(self._unit, address, value)


class MeterBoard:
    """Frames for the measuring channels of a board, and the meaning of their answers. Channels count from 1."""

    def __init__(self, unit: int, section: MeterSection) -> None:
        self._unit = unit
        self._section = section

    def has(self, quantity: Quantity) -> bool:
        """Say whether the board measures a quantity."""
        return quantity in self._section.registers

    def block_of(self, quantity: Quantity) -> Block:
        """Return the block a quantity is read with. Raises `KeyError` if the board does not measure it."""
        return self._section.block_of(quantity)

    def read(self, channel: int, block: Block) -> Request:
        """Return the request that reads one block of one channel."""
        address = block.address + (channel - 1) * self._section.stride
        return read_registers(self._unit, self._section.function, address, block.count)

    def values(self, block: Block, pdu: bytes) -> Values:
        """Return what a block's answer says. Raises `Implausible`; never guesses."""
        registers = registers_of(pdu)
        found: dict[Quantity, float] = {
            quantity: scaled(register, registers, block)
            for quantity, register in self._section.registers.items()
            if self._section.block_of(quantity) == block
        }
        return _values(found)


def _values(found: Mapping[Quantity, float]) -> Values:
    current, power = found.get(Quantity.CURRENT), found.get(Quantity.POWER)
    voltage, energy = found.get(Quantity.VOLTAGE), found.get(Quantity.ENERGY)
    return Values(
        current=None if current is None else Amps(abs(current)),
        power=None if power is None else Watts(power),
        voltage=None if voltage is None else Volts(voltage),
        energy=None if energy is None else WattHours(energy),
    )


def scaled(register: Register, registers: list[int], block: Block) -> float:
    """Return one quantity out of a block's registers. Raises `Implausible`."""
    first = register.address - block.address
    words = registers[first : first + register.type.registers]
    if register.little:
        words = words[::-1]
    raw = struct.pack(f">{len(words)}H", *words)
    if int.from_bytes(raw, "big") in register.invalid:
        raise Implausible(f"{raw.hex()} means that the value is not known")
    value = float(struct.unpack(_FORMATS[register.type], raw)[0]) * register.scale
    if not math.isfinite(value):
        raise Implausible(f"{value} is no number")
    least, most = register.least, register.most
    if (least is not None and value < least) or (most is not None and value > most):
        raise Implausible(f"{value} lies outside {least} to {most}")
    return value


@dataclass(frozen=True, slots=True, kw_only=True)
class BoardOnBus:
    """A board, and which ports its channels are."""

    id: BoardId
    timing: Timing
    relays: RelayBoard | None
    meter: MeterBoard | None
    relay_ports: Mapping[int, PortId] = field(default_factory=dict)

    @property
    def timeout(self) -> Seconds:
        """How long a reply may take to begin."""
        return Seconds(self.timing.timeout_ms / 1000)

    @property
    def silence(self) -> Seconds:
        """What silence the board wants before a request."""
        return Seconds(self.timing.pre_silence_ms / 1000)


@dataclass(frozen=True, slots=True, kw_only=True)
class Wiring:
    """Where a port's relay and meter are; `None` if not on this bus."""

    relay: tuple[BoardId, int] | None
    meter: tuple[BoardId, int] | None
