"""What to ask a board, and what its answers mean, read from its profile. No I/O here."""

import math
import struct
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from chargerd.config.profiles.models import RelaySection, Setting, Timing
from chargerd.config.profiles.register_map import Block, MeterSection, Number, Quantity, Register
from chargerd.core.plan import LEASES, LeaseScope
from chargerd.core.units import Amps, BoardId, PortId, Seconds, Volts, WattHours, Watts
from chargerd.modbus.frames import (
    READS_OF_BITS,
    Request,
    bits_of,
    read_bits,
    read_registers,
    registers_of,
    write_coil,
    write_register,
)
from chargerd.modbus.health import Bounds

_FORMATS = {
    Number.U16: ">H",
    Number.I16: ">h",
    Number.U32: ">I",
    Number.I32: ">i",
    Number.U64: ">Q",
    Number.I64: ">q",
    Number.F32: ">f",
}

MINUS_ZERO = 0x80000000
"""A float's sign bit alone."""


_WORD = 2
"""Bytes of a 16-bit word."""


class Implausible(ValueError):  # noqa: N818 - named for what it says
    """A value cannot be true: not a number, a sentinel, or outside what the board can measure."""


class Values(NamedTuple):
    """What one transaction with a meter gave; what it did not read is `None`."""

    current: Amps | None = None
    power: Watts | None = None
    voltage: Volts | None = None
    energy: WattHours | None = None
    untrue: tuple[str, ...] = ()
    """Why a value is missing that was read: it cannot be true."""


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

    @property
    def scope(self) -> LeaseScope | None:
        """What a lease of this board keeps closed; `None` if it knows of none."""
        return LEASES.get(self._section.dead_man)

    def renew(self, channel: int, lease: Seconds) -> Request:
        """Return the request that keeps a channel closed for another `lease` seconds, and perhaps all others."""
        beat = self._section.heartbeat
        if beat is None:
            return self.close(channel, lease)
        write = write_coil if beat.write == 5 else write_register  # noqa: PLR2004 - function 5 writes a coil
        return write(self._unit, beat.address, beat.value)

    def close(self, channel: int, lease: Seconds | None) -> Request:
        """Return the request that closes a channel, for `lease` seconds where that is given and is its own."""
        if lease is None or self.scope is LeaseScope.BOARD:
            return self._write(self._section.first + channel - 1, self._section.close_value)
        timed = self._section.timed_on
        assert timed is not None, "a lease on a board without timed closing"
        value = min(timed.max_value, max(1, math.floor(lease * 1000 / timed.unit_ms)))
        return self._write(timed.first + channel - 1, timed.base_value + value)

    def lapse(self, channel: int) -> Request:
        """Return the request that closes a channel for the board's shortest time: the last resort to open it."""
        timed = self._section.timed_on
        assert timed is not None, "a board without timed closing cannot be told to lapse"
        return self._write(timed.first + channel - 1, timed.base_value + 1)

    @property
    def lapses_in(self) -> Seconds:
        """How long the board's shortest timed closing lasts; 0 if it has none."""
        timed = self._section.timed_on
        return Seconds(0.0 if timed is None else timed.unit_ms / 1000)

    @property
    def settings(self) -> tuple[Setting, ...]:
        """What must be set before the first use."""
        return self._section.prepare

    def read_setting(self, setting: Setting) -> Request:
        """Return the request that reads what is set."""
        if setting.write == 5:  # noqa: PLR2004 - function 5 writes a coil
            return read_bits(self._unit, 1, setting.address, setting.count)
        return read_registers(self._unit, 3, setting.address, setting.count)

    def wrong(self, setting: Setting, pdu: bytes) -> list[Request]:
        """Return the writes that an answer to `read_setting` shows to be needed; none if all is set."""
        coils = setting.write == 5  # noqa: PLR2004 - see above
        found = [0xFF00 * bit for bit in bits_of(pdu)] if coils else registers_of(pdu)
        write = write_coil if coils else write_register
        return [
            write(self._unit, setting.address + index, setting.value)
            for index, value in enumerate(found[: setting.count])
            if value != setting.value
        ]

    def read(self) -> Request:
        """Return the request that reads all channels."""
        back = self._section.read_back
        count = max(self._section.channels, back.min_count)
        read = read_bits if back.function in READS_OF_BITS else read_registers
        return read(self._unit, back.function, back.first, count)

    def states(self, pdu: bytes) -> list[bool]:
        """Return whether each channel is closed, channel 1 first. Raises `Implausible`."""
        values = bits_of(pdu) if self._section.read_back.function in READS_OF_BITS else registers_of(pdu)
        return [known(value) for value in values][: self._section.channels]

    def _write(self, address: int, value: int) -> Request:
        if self._section.write == 5:  # noqa: PLR2004 - function 5 writes a coil
            return write_coil(self._unit, address, value)
        return write_register(self._unit, address, value)


class MeterBoard:
    """Frames for the measuring channels of a board, and the meaning of their answers. Channels count from 1."""

    def __init__(self, unit: int, section: MeterSection) -> None:
        self._unit = unit
        self._section = section
        # Found once: each reading needs it, and finding out takes longer than the rest of the decoding.
        self._blocks = {quantity: section.block_of(quantity) for quantity in section.registers}
        self._channels: dict[tuple[int, int, int], _ChannelOfBlock] = {}
        """By channel, and address and length of a block."""
        self._answers: dict[tuple[int, int, int], tuple[_Place, ...]] = {}
        """By address and length of a block, and where an answer to it begins."""

    def has(self, quantity: Quantity) -> bool:
        """Say whether the board measures a quantity."""
        return quantity in self._section.registers

    def block_of(self, quantity: Quantity) -> Block:
        """Return the block a quantity is read with. Raises `KeyError` if the board does not measure it."""
        return self._blocks[quantity]

    def begins(self, channel: int, block: Block) -> int:
        """Return the address at which a channel's block begins; channels with the same one share a frame."""
        return self._section.address_of(block, channel)

    def read(self, channel: int, block: Block) -> Request:
        """Return the request that reads one block of one channel."""
        return self._of(channel, block).request

    def values(self, block: Block, pdu: bytes, channel: int = 1) -> Values:
        """Return what a block's answer says of a channel; never guesses.

        What cannot be true takes nothing else along: a current beside it is one. Raises `Implausible` if nothing
        is left.
        """
        data, held = pdu[2:], self._of(channel, block)
        found: dict[Quantity, float] = {}
        untrue: list[str] = []
        for quantity, place in held.wanted:
            try:
                found[quantity] = in_range(quantity, place.register, place.value(data, held.beside))
            except Implausible as error:
                untrue.append(f"{quantity.value}: {error}")
        if not found:
            raise Implausible("; ".join(untrue))
        return _values(found, tuple(untrue))

    def _of(self, channel: int, block: Block) -> "_ChannelOfBlock":
        known = self._channels.get((channel, block.address, block.count))
        if known is None:
            known = self._channels[channel, block.address, block.count] = self._find(channel, block)
        return known

    def _find(self, channel: int, block: Block) -> "_ChannelOfBlock":
        section, begins = self._section, self._section.address_of(block, channel)
        mine = tuple(quantity for quantity in section.registers if self._blocks[quantity] == block)
        return _ChannelOfBlock(
            request=read_registers(self._unit, section.function, begins, block.count, section.words),
            wanted=tuple((quantity, self._place(quantity, channel, begins)) for quantity in mine),
            beside=self._all_in(block, begins),
        )

    def _all_in(self, block: Block, begins: int) -> "tuple[_Place, ...]":
        """Return what an answer holds which begins there: the same object for all its channels."""
        known = self._answers.get((block.address, block.count, begins))
        if known is None:
            known = self._answers[block.address, block.count, begins] = tuple(
                self._place(quantity, channel, begins)
                for quantity, read_with in self._blocks.items()
                for channel in range(1, self._section.channels + 1)
                if read_with == block and self.begins(channel, block) == begins
            )
        return known

    def _place(self, quantity: Quantity, channel: int, begins: int) -> "_Place":
        section, register = self._section, self._section.registers[quantity]
        size = _WORD * section.words
        first = (section.address_of(register, channel) - begins) * size
        sign = register.sign
        direction = 0 if sign is None else (sign.address - begins) * size
        last = first + section.takes(register) * size
        unlikely = MINUS_ZERO if register.type is Number.F32 else register.type.all_ones
        return _Place(
            register=register,
            span=slice(first, last),
            plain=not register.little and last - first == _WORD * register.type.registers,
            doubts=frozenset({*register.invalid, unlikely}),
            direction=slice(direction, direction + size),
            mask=0 if sign is None else sign.mask_of(channel),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Place:
    """Where one quantity of one channel lies in an answer, and what its bytes mean."""

    register: Register
    span: slice
    plain: bool
    """Whether its bytes are the number's, in their order."""
    doubts: frozenset[int]
    """Raw numbers that mean that the value is not known, whatever else the answer holds or without that."""
    direction: slice
    mask: int
    """Negative if any of these bits is set in `direction`."""

    def raw(self, data: bytes) -> bytes:
        return data[self.span] if self.plain else raw_of(self.register, data[self.span])

    def value(self, data: bytes, beside: Iterable["_Place"]) -> float:
        """Return the quantity, with its sign. Raises `Implausible`. `beside`: everything this answer holds."""
        raw, register = self.raw(data), self.register
        number = _number(register, raw)
        if int.from_bytes(raw, "big") in self.doubts or not math.isfinite(number):
            value = scaled(register, raw, live=_doubtful(register, raw) and any(it.lives(data) for it in beside))
        else:
            value = number * register.scale + 0.0
        negative = self.mask and int.from_bytes(data[self.direction], "big") & self.mask
        return -value if negative else value

    def lives(self, data: bytes) -> bool:
        """Say whether it holds a measurement beyond doubt."""
        raw = self.raw(data)
        return not _unknown(self.register, raw) and not _doubtful(self.register, raw)


@dataclass(frozen=True, slots=True, kw_only=True)
class _ChannelOfBlock:
    """How one block of a channel is asked for, and what its answer holds: always the same."""

    request: Request
    wanted: tuple[tuple[Quantity, _Place], ...]
    """The channel's own values."""
    beside: tuple[_Place, ...]
    """All that the answer holds, of the other channels as well."""


def _values(found: Mapping[Quantity, float], untrue: tuple[str, ...]) -> Values:
    current, power = found.get(Quantity.CURRENT), found.get(Quantity.POWER)
    voltage, energy = found.get(Quantity.VOLTAGE), found.get(Quantity.ENERGY)
    return Values(
        current=None if current is None else Amps(abs(current)),
        power=None if power is None else Watts(power),
        voltage=None if voltage is None else Volts(abs(voltage)),
        energy=None if energy is None else WattHours(energy),
        untrue=untrue,
    )


def raw_of(register: Register, data: bytes) -> bytes:
    """Return a value's bytes in their order; a short value in a wide register fills its low end."""
    data = data[-_WORD * register.type.registers :]
    if not register.little:
        return data
    return b"".join(data[place : place + _WORD] for place in range(len(data) - _WORD, -1, -_WORD))


def _unknown(register: Register, raw: bytes) -> bool:
    """Say whether a raw value means that there is none.

    All ones do in every unsigned number, and infinity and what is no number in every float.
    """
    number = int.from_bytes(raw, "big")
    if register.type is Number.F32:
        return number in register.invalid or not math.isfinite(_number(register, raw))
    unsigned = not register.type.value.startswith("i")
    return number in register.invalid or (unsigned and number == register.type.all_ones)


def _doubtful(register: Register, raw: bytes) -> bool:
    """Say whether a raw value means that there is none, unless something beside it is alive.

    -1 of a signed number is all ones, and power wavers around nothing; so does a float, perhaps as minus zero.
    """
    number = int.from_bytes(raw, "big")
    return number == (MINUS_ZERO if register.type is Number.F32 else register.type.all_ones)


def _number(register: Register, raw: bytes) -> float:
    return float(struct.unpack(_FORMATS[register.type], raw)[0])


def scaled(register: Register, raw: bytes, *, live: bool = False) -> float:
    """Return what a register's bytes say, without its sign. Raises `Implausible`.

    `live`: something beside it is a measurement beyond doubt.
    """
    if _unknown(register, raw) or (_doubtful(register, raw) and not live):
        raise Implausible(f"{raw.hex()} means that the value is not known")
    return _number(register, raw) * register.scale + 0.0  # Minus zero becomes zero.


def in_range(quantity: Quantity, register: Register, value: float) -> float:
    """Return a value as its board can measure it. Raises `Implausible` for an energy that cannot be true.

    A current, power or voltage is judged by its magnitude, since a meter may be wired the wrong way round. Above
    the range it is at least the range's end: thrown away, an overload would be hidden.
    """
    least, most = register.least, register.most
    if quantity is Quantity.ENERGY:
        if (least is not None and value < least) or (most is not None and value > most):
            raise Implausible(f"{value} lies outside {least} to {most}")
        return value
    return value if most is None else math.copysign(min(abs(value), most), value)


def known(word: int) -> bool:
    """Return what a bit says, or a register that holds one; all ones are no state. Raises `Implausible`."""
    if word == Number.U16.all_ones:
        raise Implausible(f"{word:04x} means that the state is not known")
    return bool(word)


@dataclass(frozen=True, slots=True, kw_only=True)
class BoardOnBus:
    """A board, and which ports its channels are."""

    id: BoardId
    timing: Timing
    relays: RelayBoard | None
    meter: MeterBoard | None
    relay_ports: Mapping[int, PortId] = field(default_factory=dict)

    @property
    def bounds(self) -> Bounds:
        """How long a reply may take to begin: usually, at least, at most."""
        timing = self.timing
        return Bounds(
            usual=Seconds(timing.timeout_ms / 1000),
            least=Seconds(timing.least_timeout_ms / 1000),
            most=Seconds(timing.most_timeout_ms / 1000),
        )

    @property
    def silence(self) -> Seconds:
        """What silence the board wants before a request."""
        return Seconds(self.timing.pre_silence_ms / 1000)


@dataclass(frozen=True, slots=True, kw_only=True)
class Wiring:
    """Where a port's relay and meter are; `None` if not on this bus."""

    relay: tuple[BoardId, int] | None
    meter: tuple[BoardId, int] | None
