"""Registers as a person writes and reads them: where, of what type, and in which order their words lie."""

import math
import re
import struct
from collections.abc import Sequence
from dataclasses import dataclass

import click

TYPES = {"u16": ">H", "i16": ">h", "u32": ">I", "i32": ">i", "f32": ">f", "u64": ">Q", "i64": ">q"}
"""What a value may be, with its form for `struct`: words are put in their order before that."""
FUNCTIONS = {"c": 1, "d": 2, "h": 3, "i": 4}
"""Coils, discrete inputs, holding and input registers."""
NAMES = {1: "coil", 2: "discrete input", 3: "holding register", 4: "input register"}
MOST_AT_ONCE = 32
"""Registers read in one transaction: more would keep the line from others for longer than a reading does."""
HIGHEST = 0xFFFF
EXACT = 2.0**63
_NUMBER = re.compile(r"(?:([cdhi]):)?(0x[0-9a-f]+|\d+)(?:\.\.(0x[0-9a-f]+|\d+))?", re.IGNORECASE | re.ASCII)
_QUANTITY = re.compile(r"([a-z_]+)(?:/(\d{1,2}))?", re.ASCII)
SWITCHES = {"on": 0xFF00, "off": 0x0000, "1": 0xFF00, "0": 0x0000, "0xff00": 0xFF00, "0x0000": 0x0000}


@dataclass(frozen=True, slots=True, kw_only=True)
class Where:
    """What is to be read: `count` addresses from `first` on, or a quantity of a channel."""

    first: int = 0
    count: int = 1
    function: int | None = None
    quantity: str | None = None
    channel: int = 1


def where(text: str) -> Where:
    """Return what a word of the command line means. Raises `click.UsageError`."""
    number = _NUMBER.fullmatch(text)
    if number is not None:
        first, last = int(number[2], 0), int(number[3] or number[2], 0)
        if first <= last <= HIGHEST:
            return Where(
                first=first,
                count=last - first + 1,
                function=FUNCTIONS[number[1].lower()] if number[1] else None,
            )
    quantity = _QUANTITY.fullmatch(text)
    if quantity is not None and number is None:
        return Where(quantity=quantity[1], channel=int(quantity[2] or 1))
    raise click.UsageError(
        f"{text!r} is no register; write 6, 0x0006, 0x00..0x0F, h:0x10 (c coil, d discrete input, h holding, "
        "i input register), or a quantity such as current or current/2"
    )


def words_of(type_: str) -> int:
    """Return how many registers a type takes."""
    return struct.calcsize(TYPES[type_]) // 2


def value(registers: Sequence[int], type_: str, order: str) -> int | float:
    """Return what registers hold, read as this type; `order`: which word comes first, `big` or `little`."""
    data = struct.pack(f">{len(registers)}H", *(registers if order == "big" else reversed(registers)))
    found: int | float = struct.unpack(TYPES[type_], data)[0]
    return found


def registers(text: str, type_: str, order: str) -> list[int]:
    """Return the registers a value is written as. Raises `click.UsageError`."""
    try:
        number = float(text) if type_ == "f32" else int(text, 0)
        data = struct.pack(TYPES[type_], number if math.isfinite(number) else None)
    except (ValueError, struct.error, OverflowError):
        raise click.UsageError(
            f"{text!r} is no {type_}; give a number it can hold, or another type with --as"
        ) from None
    found = list(struct.unpack(f">{len(data) // 2}H", data))
    return found if order == "big" else found[::-1]


def switch(text: str) -> int:
    """Return what a coil is written with. Raises `click.UsageError`."""
    found = SWITCHES.get(text.lower())
    if found is None:
        raise click.UsageError(f"{text!r} is nothing for a coil; write on or off")
    return found


def plain(number: float) -> str:
    """Return a number as a person reads it."""
    whole = math.isfinite(number) and abs(number) < EXACT and number == int(number)
    return str(int(number)) if whole else f"{number:.7g}"


def as_hex(numbers: Sequence[int]) -> str:
    """Return registers as hexadecimal words."""
    return " ".join(f"{number:04X}" for number in numbers)
