"""Boards as the line sees them: requests in, answers out, all of it read from the board's profile.

pymodbus is the codec; what a coil or a register means stands in the profile, the same one the daemon reads.
"""

import struct
import zlib
from collections.abc import Callable, Sequence
from typing import Literal

from pymodbus.client.mixin import ModbusClientMixin
from pymodbus.constants import ExcCodes
from pymodbus.framer import FramerRTU
from pymodbus.pdu import DecodePDU, ExceptionResponse, ModbusPDU
from pymodbus.pdu.bit_message import (
    ReadCoilsResponse,
    ReadDiscreteInputsResponse,
    WriteMultipleCoilsResponse,
    WriteSingleCoilRequest,
)
from pymodbus.pdu.register_message import ReadHoldingRegistersResponse, ReadInputRegistersResponse

from chargerd.config.profiles.models import Heartbeat, RelaySection, Setting, Thermometers
from chargerd.config.profiles.register_map import MeterSection, Number, Quantity, Register
from chargerd.config.site import Board
from chargerd.core.units import Instant, Seconds, after, between
from chargerd.sim.parts import Meter, Relay

READ_COILS, READ_INPUTS, READ_HOLDING, READ_REGISTERS = 1, 2, 3, 4
WRITE_COIL, WRITE_REGISTER, WRITE_COILS = 5, 6, 15
BROADCAST = 0
ROOM = 20.0
"""Degrees Celsius."""
WORD = 0xFFFF
_TYPES = {
    Number.U16: ModbusClientMixin.DATATYPE.UINT16,
    Number.I16: ModbusClientMixin.DATATYPE.INT16,
    Number.U32: ModbusClientMixin.DATATYPE.UINT32,
    Number.I32: ModbusClientMixin.DATATYPE.INT32,
    Number.U64: ModbusClientMixin.DATATYPE.UINT64,
    Number.I64: ModbusClientMixin.DATATYPE.INT64,
    Number.F32: ModbusClientMixin.DATATYPE.FLOAT32,
}


class _AnyCoilRequest(WriteSingleCoilRequest):
    """Function 5 as boards with timed closing understand it: the value is kept and echoed as it came."""

    value = 0

    def decode(self, data: bytes) -> None:
        """Keep the value."""
        super().decode(data)
        self.value = int.from_bytes(data[2:4], "big")

    def encode(self) -> bytes:
        """Return address and value as they came."""
        return struct.pack(">HH", self.address, self.value)


class Codec:
    """Frames of an RTU line, from the boards' side."""

    def __init__(self) -> None:
        self._decoder = DecodePDU(True)
        self._decoder.register(_AnyCoilRequest)
        self._framer = FramerRTU(self._decoder)

    def unpack(self, data: bytes) -> tuple[int, bytes] | None:
        """Return unit and PDU of the request in `data`, `None` while there is no whole one."""
        _used, unit, _number, pdu = self._framer.decode(data)
        return (unit, pdu) if pdu else None

    def request(self, pdu: bytes) -> ModbusPDU | None:
        """Return a request as an object, `None` if its figures make no sense."""
        return self._decoder.decode(pdu)

    def pack(self, unit: int, pdu: bytes) -> bytes:
        """Return a PDU as a frame."""
        return self._framer.encode(pdu, unit, 0)


class BoardSim:
    """One board: it answers what its profile says it can, and nothing while it is silent or without power."""

    def __init__(
        self,
        board: Board,
        relays: Sequence[Relay],
        meters: Sequence[Meter],
        inputs: int = 0,
    ) -> None:
        self.board = board
        self.relays = tuple(relays)
        self.meters = tuple(meters)
        self.inputs = [False] * inputs
        """Whether each digital input is closed."""
        thermometers = board.profile.thermometers
        self.celsius: list[float | None] = [ROOM] * (0 if thermometers is None else thermometers.channels)
        """What each temperature sensor shows; `None`: none is there."""
        self.silent = False
        self.powered = True
        self.deaf = False
        """It echoes writes and does nothing: a broken firmware."""
        self.identity = _identity(board)
        """What it tells of itself, by function that reads it and address."""
        self.fed_until: Instant | None = None
        """When it opens all its relays unless its heartbeat is written again; `None` if it never was."""
        self.settings = {} if board.profile.relay is None else _unset(board.profile.relay.prepare)
        """Settings by function that writes them and address: wrong, as the board comes out of its box."""
        self._codec = Codec()
        self._functions: dict[int, Callable[[ModbusPDU, Instant], ModbusPDU]] = {
            READ_COILS: self._read_coils,
            READ_INPUTS: self._read_inputs,
            READ_HOLDING: self._read_words,
            READ_REGISTERS: self._read_words,
            WRITE_COIL: self._write_one,
            WRITE_REGISTER: self._write_one,
            WRITE_COILS: self._write_many,
        }

    def silence(self) -> None:
        """Let it answer nothing; its timers run on, as those of a board with a broken line do."""
        self.silent = True

    def speak(self) -> None:
        """Let it answer again."""
        self.silent = False

    def power_off(self) -> None:
        """Take its supply away: coils fall open, nothing answers."""
        self.powered, self.fed_until = False, None
        for relay in self.relays:
            relay.lapse()

    def power_on(self) -> None:
        """Give its supply back; its relays are open."""
        self.powered = True

    def answer(self, pdu: bytes, now: Instant) -> bytes | None:
        """Return the answer to a request's PDU, `None` for silence."""
        if self.silent or not self.powered:
            return None
        function = pdu[0]
        request = self._codec.request(pdu)
        if request is None:
            return _packed(_refusal(function, ExcCodes.ILLEGAL_VALUE))
        handler = self._functions.get(function, _unknown)
        return _packed(handler(request, now))

    # Relays

    def _read_coils(self, request: ModbusPDU, _now: Instant) -> ModbusPDU:
        return self._read_bits(request, READ_COILS)

    def _read_inputs(self, request: ModbusPDU, _now: Instant) -> ModbusPDU:
        return self._read_bits(request, READ_INPUTS)

    def _read_bits(self, request: ModbusPDU, function: int) -> ModbusPDU:
        words = self._states(function)
        if not words:
            return _refusal(function, ExcCodes.ILLEGAL_FUNCTION)
        addresses = range(request.address, request.address + request.count)
        if not all(address in words for address in addresses):
            return _refusal(function, ExcCodes.ILLEGAL_ADDRESS)
        bits = [bool(words[address]) for address in addresses]
        return ReadCoilsResponse(bits=bits) if function == READ_COILS else ReadDiscreteInputsResponse(bits=bits)

    def _states(self, function: int) -> dict[int, int]:
        """Return what relays, inputs and settings show to a reading function, by address."""
        relay, inputs = self.board.profile.relay, self.board.profile.inputs
        words: dict[int, int] = {}
        if relay is not None and relay.read_back.function == function:
            words |= {relay.read_back.first + index: int(one.coil) for index, one in enumerate(self.relays)}
        if inputs is not None and inputs.function == function:
            words |= {inputs.first + index: int(closed) for index, closed in enumerate(self.inputs)}
        writer = {READ_COILS: WRITE_COIL, READ_HOLDING: WRITE_REGISTER}.get(function)
        return words | {address: value for (by, address), value in self.settings.items() if by == writer}

    def _write_one(self, request: ModbusPDU, now: Instant) -> ModbusPDU:
        section, function = self.board.profile.relay, request.function_code
        value = request.value if isinstance(request, _AnyCoilRequest) else request.registers[0]
        if (function, request.address) in self.settings:
            if not self.deaf:
                self.settings[function, request.address] = value
            return request
        beat = None if section is None else section.heartbeat
        if beat is not None and (function, request.address) == (beat.write, beat.address):
            fed = value == beat.value
            return self._feed(beat, request, now) if fed else _refusal(function, ExcCodes.ILLEGAL_VALUE)
        if section is None or section.write != function:
            return _refusal(function, ExcCodes.ILLEGAL_FUNCTION)
        fault = self._drive(section, request.address, value, now)
        return request if fault is None else _refusal(function, fault)

    def _drive(self, section: RelaySection, address: int, value: int, now: Instant) -> ExcCodes | None:
        channels = range(section.channels)
        index, timed = address - section.first, section.timed_on
        if index in channels and value in section.deceptive_values:
            if self.relays[index].lapses_at is None:
                self._move(index, now, closed=False)
            return None
        if index in channels and value in {section.open_value, section.close_value}:
            self._move(index, now, closed=value == section.close_value)
            return None
        if timed is None or address - timed.first not in channels:
            return ExcCodes.ILLEGAL_VALUE if index in channels else ExcCodes.ILLEGAL_ADDRESS
        units = value - timed.base_value
        if not 1 <= units <= timed.max_value:
            return ExcCodes.ILLEGAL_VALUE
        self._move(address - timed.first, now, closed=True, span=Seconds(units * timed.unit_ms / 1000))
        return None

    def _feed(self, beat: Heartbeat, request: ModbusPDU, now: Instant) -> ModbusPDU:
        """Begin the time anew after which all relays open, those that are closed now."""
        if not self.deaf:
            self.fed_until = after(now, Seconds(beat.within_ms / 1000))
            for relay in self.relays:
                relay.lapses_at = self.fed_until if relay.told else None
        return request

    def _move(self, index: int, now: Instant, *, closed: bool, span: Seconds | None = None) -> None:
        if not self.deaf:
            self.relays[index].write(now, closed=closed, span=span if span is not None else self._fed_for(now))

    def _fed_for(self, now: Instant) -> Seconds | None:
        """Return how long a board with a heartbeat keeps closed what is closed now; `None`: without limit."""
        # Not while it is not fed, either: only who feeds it first may rely on it.
        return None if self.fed_until is None or self.fed_until <= now else between(now, self.fed_until)

    def _write_many(self, request: ModbusPDU, now: Instant) -> ModbusPDU:
        section = self.board.profile.relay
        if section is None or section.write != WRITE_COIL:
            return _refusal(WRITE_COILS, ExcCodes.ILLEGAL_FUNCTION)
        first = request.address - section.first
        if first < 0 or first + len(request.bits) > section.channels:
            return _refusal(WRITE_COILS, ExcCodes.ILLEGAL_ADDRESS)
        for index, closed in enumerate(request.bits, start=first):
            self._move(index, now, closed=closed)
        return WriteMultipleCoilsResponse(address=request.address, count=request.count)

    # Registers

    def _read_words(self, request: ModbusPDU, _now: Instant) -> ModbusPDU:
        function = request.function_code
        words = self._words(function)
        if words is None:
            return _refusal(function, ExcCodes.ILLEGAL_FUNCTION)
        section = self.board.profile.meter
        if section is not None and section.function == function and not _countable(section, request.count):
            return _refusal(function, ExcCodes.ILLEGAL_VALUE)
        if request.address + request.count > max(words) + 1:
            return _refusal(function, ExcCodes.ILLEGAL_ADDRESS)
        # Registers between the documented ones answer 0, as the boards' own do.
        registers = [words.get(request.address + offset, 0) for offset in range(request.count)]
        if section is not None and section.function == function and section.wide:
            registers = [half for word in registers for half in divmod(word, WORD + 1)]
        kind = ReadHoldingRegistersResponse if function == READ_HOLDING else ReadInputRegistersResponse
        return kind(registers=registers)

    def _words(self, function: int) -> dict[int, int] | None:
        meter = self.board.profile.meter
        if meter is not None and meter.function == function:
            return _image(meter, self.meters)
        thermometers = self.board.profile.thermometers
        if thermometers is not None and thermometers.function == function:
            return _temperatures(thermometers, self.celsius)
        told = {address: word for (by, address), word in self.identity.items() if by == function}
        return self._states(function) | told or None


def _identity(board: Board) -> dict[tuple[int, int], int]:
    """Return the words of a serial number of its own, the same for each simulation of this board."""
    serial = zlib.crc32(board.id.encode())
    return {
        (register.function, register.address + index): serial >> 16 * (index % 2) & WORD
        for register in board.profile.identity
        for index in range(register.count)
    }


def _unset(prepare: Sequence[Setting]) -> dict[tuple[int, int], int]:
    return {
        (setting.write, setting.address + index): 0 if setting.value else 1
        for setting in prepare
        for index in range(setting.count)
    }


def _image(section: MeterSection, meters: Sequence[Meter]) -> dict[int, int]:
    """Return the registers of all channels by address."""
    words: dict[int, int] = {}
    for channel, meter in enumerate(meters, start=1):
        for block in section.blocks:
            words.setdefault(section.address_of(block, channel) + block.count - 1, 0)
        for quantity, register in section.registers.items():
            value = meter.values.get(quantity, 0.0)
            if quantity is Quantity.ENERGY and section.shares_energy:
                value = sum(one.values.get(quantity, 0.0) for one in meters)
            if register.sign is not None and value < 0:
                words[register.sign.address] = words.get(register.sign.address, 0) | register.sign.mask_of(channel)
                value = -value
            words |= dict(
                enumerate(_encode(value, register, section), start=section.address_of(register, channel))
            )
    return words


def _temperatures(section: Thermometers, celsius: Sequence[float | None]) -> dict[int, int]:
    """Return the registers of all temperatures by address."""
    none = section.invalid[0] if section.invalid else 0
    words = (none if value is None else round(value / section.scale) & WORD for value in celsius)
    return dict(enumerate(words, start=section.first))


def _encode(value: float, register: Register, section: MeterSection) -> list[int]:
    """Return a value as the registers of a section hold it, wide ones as one number each."""
    raw = value / register.scale
    order: Literal["big", "little"] = "little" if register.little else "big"
    number = raw if register.type is Number.F32 else round(raw)
    halves = ModbusClientMixin.convert_to_registers(number, _TYPES[register.type], word_order=order)
    if not section.wide:
        return halves
    halves = [0] * (len(halves) % 2) + halves
    return [high << 16 | low for high, low in zip(halves[::2], halves[1::2], strict=True)]


def _countable(section: MeterSection, count: int) -> bool:
    return count <= section.max_registers and not (section.even_counts and count % 2)


def _refusal(function: int, code: ExcCodes) -> ModbusPDU:
    return ExceptionResponse(function, code)


def _unknown(request: ModbusPDU, _now: Instant) -> ModbusPDU:
    return _refusal(request.function_code, ExcCodes.ILLEGAL_FUNCTION)


def _packed(response: ModbusPDU) -> bytes:
    return bytes([response.function_code]) + response.encode()
