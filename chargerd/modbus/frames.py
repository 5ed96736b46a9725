"""Requests whose answers are known beforehand, and the search for exactly that answer in what a line delivers.

A reply counts only if unit, function and length are the expected ones, and for a write only if it is the
byte-exact echo. RTU carries no transaction number, so nothing less keeps a late answer to one question from being
taken for the answer to the next. The bytes are put together here rather than by pymodbus: a start opens the relays
first, and its import would take longer than that.
"""

import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import NamedTuple

READS_OF_BITS = frozenset({1, 2})
"""Functions that read bits; the others read registers."""
EXCEPTIONS: Mapping[int, str] = {
    1: "it does not know this function",
    2: "it has no such address",
    3: "it does not take this value or count",
    4: "it failed",
    6: "it is busy",
    10: "its gateway has no path to it",
    11: "its gateway has no answer from it",
}
"""What a unit says by refusing (MODBUS Application Protocol V1.1b3, 7)."""
WRITE_COIL, WRITE_REGISTER, WRITE_REGISTERS = 5, 6, 16
_CRC = 2
_REFUSAL = 5
"""Bytes of an exception on a serial line: unit, function, code, CRC."""
_EXCEPTION = 0x80
_BITS_IN_A_BYTE = 8
_POLYNOMIAL = 0xA001
"""x16 + x15 + x2 + 1 with its lowest bit first (MODBUS over Serial Line V1.02, 6.2.2)."""


def _remainder(value: int) -> int:
    for _bit in range(_BITS_IN_A_BYTE):
        value = value >> 1 ^ _POLYNOMIAL if value & 1 else value >> 1
    return value


_REMAINDERS = tuple(_remainder(byte) for byte in range(256))


def crc(data: bytes) -> bytes:
    """Return the checksum that ends a frame, as it goes over the line: low byte first."""
    value = 0xFFFF
    for byte in data:
        value = value >> 8 ^ _REMAINDERS[(value ^ byte) & 0xFF]
    return value.to_bytes(_CRC, "little")


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One question. `pdu` starts with the function code; `reply_size` is the length of the answer's PDU.

    `echo` is the whole PDU a write must be answered with, `None` for a read.
    """

    unit: int
    pdu: bytes
    reply_size: int
    echo: bytes | None = None
    rtu: bytes = field(init=False, repr=False, compare=False)
    """The frame as it goes over a serial line, with address and CRC."""
    function: int = field(init=False, repr=False, compare=False)
    rtu_reply_size: int = field(init=False, repr=False, compare=False)
    """How many bytes the expected answer takes on a serial line."""
    answer_head: bytes = field(init=False, repr=False, compare=False)
    """How the answer begins there: a read's with its length, a write's is known up to its CRC."""
    refusal_head: bytes = field(init=False, repr=False, compare=False)
    """How an exception begins there."""

    def __post_init__(self) -> None:
        """Reckon once what each answer is compared with: requests for the same thing are asked again and again."""
        unit, function = bytes([self.unit]), self.pdu[0]
        answer = bytes([function, self.reply_size - 2]) if self.echo is None else self.echo
        frame = unit + self.pdu
        for name, value in (
            ("rtu", frame + crc(frame)),
            ("function", function),
            ("rtu_reply_size", 1 + self.reply_size + _CRC),
            ("answer_head", unit + answer),
            ("refusal_head", unit + bytes([function | _EXCEPTION])),
        ):
            object.__setattr__(self, name, value)


def read_bits(unit: int, function: int, address: int, count: int) -> Request:
    """Ask for coils (function 1) or discrete inputs (function 2)."""
    size = 2 + (count + _BITS_IN_A_BYTE - 1) // _BITS_IN_A_BYTE
    return Request(unit=unit, pdu=struct.pack(">BHH", function, address, count), reply_size=size)


def read_registers(unit: int, function: int, address: int, count: int, words: int = 1) -> Request:
    """Ask for holding (function 3) or input registers (function 4) with so many 16-bit words each."""
    return Request(unit=unit, pdu=struct.pack(">BHH", function, address, count), reply_size=2 + 2 * words * count)


def write_coil(unit: int, address: int, value: int) -> Request:
    """Write a coil (function 5) with any value, which boards with timed closing take; the answer is the same."""
    return _write(unit, WRITE_COIL, address, value)


def write_register(unit: int, address: int, value: int) -> Request:
    """Write a register (function 6); the answer is the same again."""
    return _write(unit, WRITE_REGISTER, address, value)


def write_registers(unit: int, address: int, values: Sequence[int]) -> Request:
    """Write several registers (function 16); the answer is where and how many."""
    head = struct.pack(">BHH", WRITE_REGISTERS, address, len(values))
    data = struct.pack(f">B{len(values)}H", 2 * len(values), *values)
    return Request(unit=unit, pdu=head + data, reply_size=len(head), echo=head)


def _write(unit: int, function: int, address: int, value: int) -> Request:
    pdu = struct.pack(">BHH", function, address, value)
    return Request(unit=unit, pdu=pdu, reply_size=len(pdu), echo=pdu)


class MatchKind(StrEnum):
    """What was found."""

    ANSWER = "answer"
    EXCEPTION = "exception"


class Match(NamedTuple):
    """An answer found: its PDU, and where its frame begins and ends in the buffer."""

    kind: MatchKind
    pdu: bytes
    start: int
    end: int


def fits(request: Request, pdu: bytes) -> bool:
    """Say whether a PDU is the expected answer: function, length, byte count, and for a write the whole echo."""
    if request.echo is not None:
        return pdu == request.echo
    return len(pdu) == request.reply_size and pdu[0] == request.function and pdu[1] == len(pdu) - 2


def refuses(request: Request, pdu: bytes) -> bool:
    """Say whether a PDU is an exception in answer to this request."""
    return len(pdu) == 2 and pdu[0] == request.function | _EXCEPTION  # noqa: PLR2004 - function and exception code


def find_rtu(request: Request, buffer: bytes) -> Match | None:
    """Search what a line delivered for the one frame that answers a request, whatever stands around it."""
    answer = _first(MatchKind.ANSWER, request.answer_head, request.rtu_reply_size, buffer)
    if answer is not None and answer.start == 0:
        return answer
    refusal = _first(MatchKind.EXCEPTION, request.refusal_head, _REFUSAL, buffer)
    if answer is None or refusal is None:
        return answer or refusal
    return min(answer, refusal, key=lambda match: match.start)


def _first(kind: MatchKind, head: bytes, size: int, buffer: bytes) -> Match | None:
    """Return the first sound frame of a size that begins like this."""
    start = buffer.find(head)
    while start >= 0:
        end = start + size
        if end <= len(buffer) and crc(buffer[start : end - _CRC]) == buffer[end - _CRC : end]:
            return Match(kind, buffer[start + 1 : end - _CRC], start, end)
        start = buffer.find(head, start + 1)
    return None


def bits_of(pdu: bytes) -> list[bool]:
    """Return the bits of an answer to `read_bits`, lowest address first, padded to whole bytes."""
    return [bool(byte >> bit & 1) for byte in pdu[2:] for bit in range(_BITS_IN_A_BYTE)]


def registers_of(pdu: bytes) -> list[int]:
    """Return the registers of an answer to `read_registers`, wide ones as their 16-bit words."""
    return list(struct.unpack(f">{len(pdu[2:]) // 2}H", pdu[2:]))
