"""What is written to boards, and what their answers mean."""

import math
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chargerd.config.profiles.library import load_profiles
from chargerd.config.profiles.models import ReadBack, RelaySection
from chargerd.config.profiles.register_map import Block, MeterSection, Number, Quantity, Register
from chargerd.core.units import Seconds
from chargerd.modbus.board import Implausible, MeterBoard, RelayBoard, Values, raw_of, scaled

PROFILES = load_profiles()


def relay(name: str = "waveshare-relay-16") -> RelayBoard:
    section = PROFILES[name].relay
    assert section is not None
    return RelayBoard(1, section)


def meter(name: str) -> MeterBoard:
    section = PROFILES[name].meter
    assert section is not None
    return MeterBoard(1, section)


def floats(value: float) -> bytes:
    return bytes([4, 4]) + struct.pack(">f", value)


def plain(values: Values) -> dict[Quantity, float]:
    told = {quantity: getattr(values, quantity.value) for quantity in Quantity}
    return {quantity: value for quantity, value in told.items() if value is not None}


def read(name: str, quantity: Quantity, pdu: bytes) -> dict[Quantity, float]:
    board = meter(name)
    return plain(board.values(board.block_of(quantity), pdu))


@pytest.mark.parametrize(("channel", "pdu"), [(1, "05 00 00 00 00"), (16, "05 00 0F 00 00")])
def test_opening_is_a_plain_off(channel: int, pdu: str) -> None:
    assert relay().open(channel).pdu == bytes.fromhex(pdu)


def test_closing_with_a_lease_is_timed_and_without_one_is_not() -> None:
    assert relay().close(2, Seconds(6.0)).pdu == bytes.fromhex("05 02 01 00 3C")
    assert relay().close(2, None).pdu == bytes.fromhex("05 00 01 FF 00")
    assert relay().lapse(2).pdu == bytes.fromhex("05 02 01 00 01")


@given(lease=st.floats(0.001, 10_000, allow_nan=False))
def test_a_board_is_never_told_to_close_for_longer_than_the_lease(lease: float) -> None:
    value = int.from_bytes(relay().close(1, Seconds(lease)).pdu[3:], "big")
    assert 1 <= value <= 0x7FFF
    assert value * 0.1 <= max(lease, 0.1) + 1e-9


@pytest.mark.parametrize(("name", "count"), [("waveshare-relay-8", 8), ("waveshare-relay-16", 16)])
def test_all_relays_are_read_back_at_once(name: str, count: int) -> None:
    assert relay(name).read().pdu == bytes([1, 0, 0, 0, count])


def test_read_back_bits_are_channels() -> None:
    assert relay("waveshare-relay-8").states(bytes.fromhex("01 01 81")) == [True, *[False] * 6, True]


def test_relays_that_are_registers() -> None:
    section = RelaySection(
        channels=2,
        write=6,
        first=1,
        open_value=0x0200,
        close_value=0x0100,
        read_back=ReadBack(function=3, first=1),
    )
    board = RelayBoard(5, section)
    assert not board.timed
    assert board.open(2).pdu == bytes.fromhex("06 00 02 02 00")
    assert board.close(1, None).pdu == bytes.fromhex("06 00 01 01 00")
    assert board.read().pdu == bytes.fromhex("03 00 01 00 02")
    assert board.states(bytes.fromhex("03 04 00 01 00 00")) == [True, False]


def test_a_board_without_a_timer_is_never_given_a_lease() -> None:
    board = RelayBoard(5, RelaySection(channels=2))
    with pytest.raises(AssertionError):
        board.close(1, Seconds(6.0))
    with pytest.raises(AssertionError):
        board.lapse(1)


def test_an_sdm_is_asked_for_two_registers_at_a_time() -> None:
    board = meter("eastron-sdm120")
    asked = {quantity: board.read(1, board.block_of(quantity)).pdu.hex(" ") for quantity in Quantity}
    assert asked == {
        Quantity.VOLTAGE: "04 00 00 00 02",
        Quantity.CURRENT: "04 00 06 00 02",
        Quantity.POWER: "04 00 0c 00 02",
        Quantity.ENERGY: "04 00 48 00 02",
    }


def test_an_sdm_speaks_in_floats() -> None:
    assert read("eastron-sdm120", Quantity.CURRENT, floats(4.5)) == {Quantity.CURRENT: 4.5}
    assert read("eastron-sdm230", Quantity.POWER, floats(-7.5)) == {Quantity.POWER: -7.5}
    assert read("eastron-sdm120", Quantity.VOLTAGE, floats(231.5)) == {Quantity.VOLTAGE: 231.5}
    assert read("eastron-sdm120", Quantity.ENERGY, floats(12.5)) == {Quantity.ENERGY: 12_500.0}


def test_a_pzem_tells_everything_at_once_with_the_low_word_first() -> None:
    pdu = bytes.fromhex("04 14 08FD 117C 0001 8BF1 0000 E240 0001 01F4 0064 0000")
    assert read("pzem-016", Quantity.CURRENT, pdu) == {
        Quantity.CURRENT: pytest.approx(70.012),
        Quantity.POWER: pytest.approx(3582.5),
        Quantity.VOLTAGE: pytest.approx(230.1),
        Quantity.ENERGY: 123_456.0,
    }


@pytest.mark.parametrize(
    ("shown", "amps"), [(-4.5, 4.5), (200.1, 200.0), (1e30, 200.0), (-1e30, 200.0), (0.0, 0.0)]
)
def test_a_current_is_a_magnitude_and_above_the_range_it_is_the_ranges_end(shown: float, amps: float) -> None:
    assert read("eastron-sdm120", Quantity.CURRENT, floats(shown)) == {Quantity.CURRENT: amps}


@pytest.mark.parametrize(("shown", "watts"), [(-60_000.0, -50_000.0), (60_000.0, 50_000.0), (-7.5, -7.5)])
def test_a_power_keeps_its_sign_above_its_range(shown: float, watts: float) -> None:
    assert read("eastron-sdm120", Quantity.POWER, floats(shown)) == {Quantity.POWER: watts}


@pytest.mark.parametrize("value", [-0.001, 1_000_000.1])
def test_an_energy_out_of_range_is_none(value: float) -> None:
    with pytest.raises(Implausible, match="outside"):
        read("eastron-sdm120", Quantity.ENERGY, floats(value))


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, -0.0])
def test_a_current_that_cannot_be_is_no_current(value: float) -> None:
    with pytest.raises(Implausible):
        read("eastron-sdm120", Quantity.CURRENT, floats(value))


@given(raw=st.binary(min_size=4, max_size=4), quantity=st.sampled_from(list(Quantity)))
def test_whatever_the_bits_a_value_is_within_its_bounds_or_none(raw: bytes, quantity: Quantity) -> None:
    board = meter("eastron-sdm120")
    section = PROFILES["eastron-sdm120"].meter
    assert section is not None
    least, most = section.registers[quantity].least, section.registers[quantity].most
    assert least is not None
    assert most is not None
    try:
        values = board.values(board.block_of(quantity), b"\x04\x04" + raw)
    except Implausible:
        return
    value = getattr(values, quantity.value)
    assert math.isfinite(value)
    assert least <= value <= most
    assert math.copysign(1, value) > 0 or value


@pytest.mark.parametrize(
    ("number", "little", "raw", "value"),
    [
        (Number.U16, False, [0xFFFE], 65534.0),
        (Number.I16, False, [0xFFFE], -2.0),
        (Number.U32, False, [1, 2], 65538.0),
        (Number.U32, True, [2, 1], 65538.0),
        (Number.I32, False, [0xFFFF, 0xFFFD], -3.0),
        (Number.I32, True, [0xFFFD, 0xFFFF], -3.0),
        (Number.U64, False, [0, 0, 1, 0], 65536.0),
        (Number.I64, True, [0xFFFF, 0xFFFF, 0xFFFF, 0xFFFF], -1.0),
        (Number.F32, True, [0, 0x3F80], 1.0),
    ],
)
def test_word_order_and_sign(number: Number, little: bool, raw: list[int], value: float) -> None:
    register = Register(address=100, type=number, little=little)
    sent = struct.pack(f">{len(raw)}H", *raw)
    assert scaled(register, raw_of(register, sent), live=True) == value


def test_a_sentinel_is_no_value() -> None:
    register = Register(address=0, type=Number.U32, invalid=(0xFFFFFFFD,))
    assert scaled(register, b"\xff\xff\xff\xfe") == 0xFFFFFFFE
    for raw in ("fffffffd", "ffffffff"):
        with pytest.raises(Implausible, match=raw):
            scaled(register, bytes.fromhex(raw))


def test_what_cannot_be_true_takes_nothing_else_of_its_answer_along() -> None:
    board = meter("pzem-016")
    block = board.block_of(Quantity.CURRENT)
    values = board.values(block, bytes.fromhex("04 14 08FD 117C 0001 8BF1 0000 FFFF FFFF 01F4 0064 0000"))
    assert (values.current, values.power, values.energy) == (70.012, 3582.5, None)
    assert values.untrue == ("energy: ffffffff means that the value is not known",)


def test_minus_one_beside_what_is_measured_is_a_value_and_alone_is_none() -> None:
    board = meter("acrel-adw300")
    block = board.block_of(Quantity.POWER)
    answer = bytes([3, 20, 0, 200, *bytes(6), *b"\xff" * 4, *bytes(8)])
    assert board.values(block, answer, 1).power == -1.0
    with pytest.raises(Implausible):
        board.values(block, bytes([3, 20]) + b"\xff" * 20, 1)


def test_channels_of_a_many_channel_meter_lie_a_stride_apart() -> None:
    registers = {
        Quantity.CURRENT: Register(address=10, type=Number.U16),
        Quantity.POWER: Register(address=11, type=Number.U16),
        Quantity.ENERGY: Register(address=12, type=Number.U16),
    }
    section = MeterSection(
        channels=12,
        stride=0x100,
        function=3,
        registers=registers,
        blocks=(Block(address=10, count=3),),
        energy_resolution_wh=1,
    )
    board = MeterBoard(9, section)
    assert board.read(3, board.block_of(Quantity.POWER)).pdu == bytes.fromhex("03 02 0A 00 03")
    assert not board.has(Quantity.VOLTAGE)
    values = plain(board.values(section.blocks[0], bytes.fromhex("03 06 0001 0002 0003")))
    assert values == {Quantity.CURRENT: 1.0, Quantity.POWER: 2.0, Quantity.ENERGY: 3.0}
