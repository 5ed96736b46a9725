"""Frames against bytes written by hand: from vendors' documents, not from our own encoder."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from pymodbus.framer import FramerRTU
from pymodbus.pdu import DecodePDU
from pymodbus.pdu.bit_message import ReadCoilsRequest, ReadCoilsResponse
from pymodbus.pdu.register_message import ReadHoldingRegistersResponse, WriteSingleRegisterRequest

from chargerd.modbus.frames import (
    MatchKind,
    Request,
    bits_of,
    find_rtu,
    read_bits,
    read_registers,
    registers_of,
    write_coil,
    write_register,
    write_registers,
)
from tests.modbus.kit import crc, frame

OPEN_1 = write_coil(1, 0, 0x0000)
READ_CURRENT = read_registers(11, 4, 0x0006, 2)
CURRENT_IS_1 = frame("0B 04 04 3F 80 00 00")


@pytest.mark.parametrize(
    ("request_", "sent"),
    [
        (write_coil(1, 0x0000, 0xFF00), "01 05 00 00 FF 00 8C 3A"),
        (write_coil(1, 0x0000, 0x0000), "01 05 00 00 00 00 CD CA"),
        (write_coil(1, 0x0200, 7), "01 05 02 00 00 07 8D B0"),
        (read_bits(1, 1, 0, 8), "01 01 00 00 00 08 3D CC"),
        (read_bits(1, 2, 0, 8), "01 02 00 00 00 08 79 CC"),
        (read_registers(1, 4, 0x0006, 2), "01 04 00 06 00 02 91 CA"),
        (read_registers(1, 4, 0x0000, 10), "01 04 00 00 00 0A 70 0D"),
        (read_registers(1, 3, 0x8000, 1), "01 03 80 00 00 01 AD CA"),
        (write_register(1, 0x4000, 2), "01 06 40 00 00 02 1D CB"),
    ],
)
def test_requests_are_the_documents_bytes(request_: Request, sent: str) -> None:
    assert request_.rtu == bytes.fromhex(sent)


@pytest.mark.parametrize(
    ("request_", "size"), [(OPEN_1, 8), (READ_CURRENT, 9), (read_bits(1, 1, 0, 16), 7), (read_bits(1, 1, 0, 9), 7)]
)
def test_the_length_of_the_answer_is_known_beforehand(request_: Request, size: int) -> None:
    assert request_.rtu_reply_size == size


def test_several_registers_are_written_and_answered_by_where_and_how_many() -> None:
    request = write_registers(1, 0x0001, [0x000A, 0x0102])
    assert request.rtu[:-2] == bytes.fromhex("01 10 00 01 00 02 04 00 0A 01 02")  # the document's example (6.12)
    answer = bytes.fromhex("01 10 00 01 00 02")
    match = find_rtu(request, answer + crc(answer))
    assert match is not None
    assert match.kind is MatchKind.ANSWER
    other = bytes.fromhex("01 10 00 01 00 01")
    assert find_rtu(request, other + crc(other)) is None


def test_the_answer_is_found() -> None:
    match = find_rtu(READ_CURRENT, CURRENT_IS_1)
    assert match is not None
    assert (match.kind, match.start, match.end) == (MatchKind.ANSWER, 0, 9)
    assert registers_of(match.pdu) == [0x3F80, 0x0000]


def test_coils_come_lowest_first() -> None:
    match = find_rtu(read_bits(1, 1, 0, 16), frame("01 01 02 05 80"))
    assert match is not None
    assert [place for place, closed in enumerate(bits_of(match.pdu)) if closed] == [0, 2, 15]


def test_an_exception_is_an_answer_of_its_kind() -> None:
    match = find_rtu(READ_CURRENT, frame("0B 84 02"))
    assert match is not None
    assert (match.kind, match.pdu) == (MatchKind.EXCEPTION, bytes.fromhex("84 02"))


@pytest.mark.parametrize(
    "before",
    [
        pytest.param(b"\x00", id="a noise byte"),
        pytest.param(b"\x0b", id="a noise byte that looks like our unit"),
        pytest.param(b"\x0b\x04\x04", id="the beginning of our own answer"),
        pytest.param(frame("0C 04 04 41 10 00 00"), id="another board's answer"),
        pytest.param(frame("0B 04 02 12 34"), id="our board's answer of another length"),
        pytest.param(CURRENT_IS_1[:-1] + b"\x00", id="our answer, corrupted"),
        pytest.param(frame("0B 83 02"), id="an exception to another function"),
        pytest.param(READ_CURRENT.rtu, id="the echo of a two-wire adapter"),
    ],
)
@pytest.mark.parametrize("behind", [b"", b"\x00", CURRENT_IS_1])
def test_whatever_stands_around_it_is_passed_over(before: bytes, behind: bytes) -> None:
    match = find_rtu(READ_CURRENT, before + CURRENT_IS_1 + behind)
    assert match is not None
    assert (match.start, match.end) == (len(before), len(before) + 9)
    assert registers_of(match.pdu) == [0x3F80, 0x0000]


@pytest.mark.parametrize(
    "other",
    [
        pytest.param("01 05 00 01 00 00", id="another relay"),
        pytest.param("01 05 00 00 FF 00", id="another value"),
        pytest.param("02 05 00 00 00 00", id="another board"),
        pytest.param("01 06 00 00 00 00", id="another function"),
        pytest.param("01 0F 00 00 00 00", id="yet another function"),
        pytest.param("01 01 02 00 00", id="the answer to a read"),
        pytest.param("01 04 04 00 00 00 00", id="a longer answer to a read"),
        pytest.param("01 85", id="an exception cut short"),
    ],
)
def test_nothing_but_the_whole_echo_confirms_an_opening(other: str) -> None:
    assert find_rtu(OPEN_1, frame(other)) is None


@pytest.mark.parametrize(
    "other",
    [
        pytest.param("0B 04 02 3F 80", id="too short"),
        pytest.param("0B 04 06 3F 80 00 00 00 00", id="too long"),
        pytest.param("0B 04 05 3F 80 00 00", id="another byte count"),
        pytest.param("0B 03 04 3F 80 00 00", id="another function"),
        pytest.param("0C 04 04 3F 80 00 00", id="another board"),
    ],
)
def test_nothing_but_the_expected_shape_answers_a_read(other: str) -> None:
    assert find_rtu(READ_CURRENT, frame(other)) is None


@given(place=st.integers(0, 71))
def test_one_wrong_bit_is_seen(place: int) -> None:
    spoilt = bytearray(CURRENT_IS_1)
    spoilt[place // 8] ^= 1 << place % 8
    assert find_rtu(READ_CURRENT, bytes(spoilt)) is None


@given(size=st.integers(0, 8))
def test_a_frame_cut_short_is_none(size: int) -> None:
    assert find_rtu(READ_CURRENT, CURRENT_IS_1[:size]) is None


@given(noise=st.binary(max_size=80), request_=st.sampled_from([OPEN_1, READ_CURRENT, read_bits(1, 1, 0, 16)]))
@example(noise=OPEN_1.rtu, request_=OPEN_1)
@example(noise=b"\x00" + frame("01 85 04"), request_=OPEN_1)
def test_noise_is_an_answer_only_if_it_is_one_to_the_last_bit(noise: bytes, request_: Request) -> None:
    match = find_rtu(request_, noise)
    if match is None:
        return
    found = noise[match.start : match.end]
    assert found[0] == request_.unit
    assert crc(found[:-2]) == found[-2:]
    if match.kind is MatchKind.EXCEPTION:
        assert (len(found), found[1]) == (5, request_.function | 0x80)
    elif request_.echo is not None:
        assert found == request_.rtu
    else:
        assert (len(found), found[1]) == (request_.rtu_reply_size, request_.function)


@given(before=st.binary(max_size=40), behind=st.binary(max_size=10))
def test_our_answer_is_found_in_any_noise(before: bytes, behind: bytes) -> None:
    match = find_rtu(READ_CURRENT, before + CURRENT_IS_1 + behind)
    assert match is not None
    assert match.start <= len(before)


WORD = st.integers(0, 0xFFFF)


@given(unit=st.integers(1, 255), address=WORD, value=WORD, count=st.integers(1, 2000))
def test_another_codec_makes_the_same_of_it(unit: int, address: int, value: int, count: int) -> None:
    others = FramerRTU(DecodePDU(False))
    write = WriteSingleRegisterRequest(dev_id=unit, address=address, registers=[value])
    assert write_register(unit, address, value).rtu == others.buildFrame(write)
    read = ReadCoilsRequest(dev_id=unit, address=address, count=count)
    assert read_bits(unit, 1, address, count).rtu == others.buildFrame(read)


@given(bits=st.lists(st.booleans(), min_size=8, max_size=64), words=st.lists(WORD, min_size=1, max_size=125))
def test_another_codec_reads_the_same_from_it(bits: list[bool], words: list[int]) -> None:
    coils = ReadCoilsResponse(bits=bits)
    assert bits_of(bytes([1]) + coils.encode())[: len(bits)] == bits
    registers = ReadHoldingRegistersResponse(registers=words)
    assert registers_of(bytes([3]) + registers.encode()) == words
