"""Every row of every profile, fed with what is no measurement: sentinels, infinities, and the ends of its type.

All ones, what is no number, infinity and minus zero alone are no reading. A current, power or voltage above its
range is the range's end, so that an overload is never thrown away; an energy there is none.
"""

import math
import struct

import pytest

from chargerd.config.profiles.library import load_profiles
from chargerd.config.profiles.models import Thermometers
from chargerd.config.profiles.register_map import MeterSection, Number, Quantity, Register
from chargerd.core.units import Instant, PortId
from chargerd.modbus.board import Implausible, MeterBoard, RelayBoard, Values
from chargerd.modbus.feeder import InputBoard, ThermometerBoard

PROFILES = load_profiles(())
METERS = {name: profile.meter for name, profile in PROFILES.items() if profile.meter is not None}
ROWS = [(name, quantity) for name, section in METERS.items() for quantity in section.registers]
FLOATS = [(name, quantity) for name, quantity in ROWS if METERS[name].registers[quantity].type is Number.F32]
LIVE = 0x0001
"""What lies around the row: something small, that lives."""


def raw_of(number: Number, value: float) -> bytes:
    """Return a value as its registers hold it, high word first."""
    if number is Number.F32:
        return struct.pack(">f", value)
    return int(value).to_bytes(2 * number.registers, "big", signed=number.value.startswith("i"))


def answer(section: MeterSection, quantity: Quantity, raw: bytes, around: int) -> Values:
    """Read channel 1 out of an answer that holds these bytes in one row, and the same word everywhere else."""
    register, board = section.registers[quantity], MeterBoard(1, section)
    block = section.block_of(quantity)
    words = [around] * (block.count * section.words)
    own = list(struct.unpack(f">{len(raw) // 2}H", raw))
    own = own[::-1] if register.little else own
    begin = (section.address_of(register, 1) - section.address_of(block, 1)) * section.words
    own = [0] * (section.takes(register) * section.words - len(own)) + own
    words[begin : begin + len(own)] = own
    return board.values(block, bytes([section.function, 0]) + struct.pack(f">{len(words)}H", *words))


def read(section: MeterSection, quantity: Quantity, raw: bytes, around: int = LIVE) -> float | None:
    """Return what a row is taken for; `None`: no reading."""
    try:
        value: float | None = getattr(answer(section, quantity, raw, around), quantity.value)
    except Implausible:
        return None
    return value


def unknowns(register: Register) -> list[bytes]:
    """Return what means in this row that there is no value."""
    size = 2 * register.type.registers
    said = [raw.to_bytes(size, "big") for raw in register.invalid]
    if register.type is Number.F32:
        return [*said, b"\xff" * size, *(struct.pack(">f", value) for value in (math.nan, math.inf, -math.inf))]
    return said if register.type.value.startswith("i") else [*said, b"\xff" * size]


@pytest.mark.parametrize(("name", "quantity"), ROWS)
def test_a_row_knows_its_plausible_range(name: str, quantity: Quantity) -> None:
    register = METERS[name].registers[quantity]
    assert register.least is not None
    assert register.most is not None
    assert register.most <= register.type.most * abs(register.scale), "what its registers can hold"


@pytest.mark.parametrize(("name", "quantity"), ROWS)
def test_what_means_that_there_is_no_value_is_none(name: str, quantity: Quantity) -> None:
    section = METERS[name]
    for raw in unknowns(section.registers[quantity]):
        assert read(section, quantity, raw) is None, raw.hex()


def nothing_but(section: MeterSection, quantity: Quantity, word: bytes) -> None:
    block, board = section.block_of(quantity), MeterBoard(1, section)
    body = word * (2 * block.count * section.words // len(word))
    with pytest.raises(Implausible):
        board.values(block, bytes([section.function, 0]) + body)


@pytest.mark.parametrize(("name", "quantity"), ROWS)
def test_an_answer_of_nothing_but_ones_is_no_reading(name: str, quantity: Quantity) -> None:
    nothing_but(METERS[name], quantity, b"\xff")


@pytest.mark.parametrize(("name", "quantity"), FLOATS)
def test_an_answer_of_nothing_but_minus_zeros_is_no_reading(name: str, quantity: Quantity) -> None:
    nothing_but(METERS[name], quantity, raw_of(Number.F32, -0.0))


@pytest.mark.parametrize(("name", "quantity"), ROWS)
def test_zeros_are_zero(name: str, quantity: Quantity) -> None:
    section = METERS[name]
    raw = bytes(2 * section.registers[quantity].type.registers)
    assert read(section, quantity, raw) == read(section, quantity, raw, 0) == 0.0


@pytest.mark.parametrize(("name", "quantity"), FLOATS)
def test_minus_zero_beside_what_lives_is_zero(name: str, quantity: Quantity) -> None:
    section = METERS[name]
    rows = [one for one in section.registers if section.block_of(one) is section.block_of(quantity)]
    value = read(section, quantity, raw_of(Number.F32, -0.0))
    if len(rows) == 1 and section.channels == 1:
        assert value is None, "nothing is beside it"
    elif len(rows) > 1:
        assert value == 0.0
        assert math.copysign(1.0, value) > 0


@pytest.mark.parametrize(("name", "quantity"), ROWS)
@pytest.mark.parametrize("end", ["most", "least"])
def test_the_ends_of_a_type_are_the_ranges_end_or_nothing(name: str, quantity: Quantity, end: str) -> None:
    section = METERS[name]
    register = section.registers[quantity]
    signed = register.type.value.startswith(("i", "f"))
    if register.type is Number.F32:
        value = register.type.most * (1 if end == "most" else -1)
    elif signed:
        value = register.type.all_ones // 2 if end == "most" else -(register.type.all_ones // 2) - 1
    else:
        value = register.type.all_ones if end == "most" else 0
    shown = read(section, quantity, raw_of(register.type, value))
    if raw_of(register.type, value) in unknowns(register):
        assert shown is None
    elif end == "least" and not signed:
        assert shown == 0.0
    elif quantity is Quantity.ENERGY:
        assert shown is None or 0 <= shown <= (register.most or 0)
    else:
        assert shown is not None, "an overload is not thrown away"
        assert abs(shown) == pytest.approx(register.shows, rel=1e-4)


def test_a_relay_register_of_all_ones_is_no_state() -> None:
    section = PROFILES["eletechsup-r4d8a08"].relay
    assert section is not None
    board = RelayBoard(1, section)
    assert board.states(bytes([3, 16]) + bytes([0, 1] * 8)) == [True] * 8
    with pytest.raises(Implausible):
        board.states(bytes([3, 16]) + b"\xff" * 16)


def test_an_input_register_of_all_ones_is_no_closed_contact() -> None:
    inputs = PROFILES["eletechsup-n4d8b08"].inputs
    assert inputs is not None
    board = InputBoard(1, inputs)
    assert board.closed(bytes([3, 16]) + bytes([0, 1] * 8)) == (True,) * 8
    with pytest.raises(Implausible):
        board.closed(bytes([3, 16]) + b"\xff" * 16)


def test_thermometers_of_all_ones_are_no_frost() -> None:
    board = ThermometerBoard(1, Thermometers(channels=2), {PortId("A01"): 1, PortId("A02"): 2})
    told = [
        [one.celsius for one in board.note(bytes.fromhex(pdu), Instant(0.0))]
        for pdu in ("0304FFFFFFFF", "0304FFFF0001")
    ]
    assert told == [[None, None], [-0.1, 0.1]]
