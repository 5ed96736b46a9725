"""Sound frames in what nobody has waited for."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chargerd.core.units import Instant
from chargerd.modbus.frames import read_registers, write_coil
from chargerd.modbus.strangers import LATE_FOR, REMEMBERED, WARY_FOR, Strangers, sound_frames
from tests.modbus.kit import frame

READ = read_registers(11, 4, 6, 2)
ANSWER = frame("0B 04 04 3F 80 00 00")
NOW = Instant(100.0)


@pytest.mark.parametrize(
    "text",
    [
        "0B 04 04 3F 80 00 00",
        "0B 04 00 06 00 02",
        "01 05 00 00 FF 00",
        "01 10 00 00 00 02",
        "0B 84 02",
        "01 01 02 00 00",
    ],
)
def test_every_kind_of_frame_is_known(text: str) -> None:
    assert list(sound_frames(b"\x00" + frame(text) + b"\xff" + frame(text))) == [frame(text)] * 2
    assert not list(sound_frames(frame(text)[:-1]))


@given(st.binary(max_size=300))
def test_whatever_comes_is_read(data: bytes) -> None:
    assert not [one for one in sound_frames(data) if one not in data]


def test_a_stranger_makes_wary_for_a_while() -> None:
    strangers = Strangers()
    assert not strangers.wary(NOW)
    assert strangers.in_(ANSWER, NOW)
    assert strangers.wary(Instant(NOW + WARY_FOR - 1))
    assert not strangers.wary(Instant(NOW + WARY_FOR))


def test_what_was_given_up_may_come_late_once() -> None:
    strangers = Strangers()
    strangers.given_up(READ, NOW)
    assert not strangers.in_(ANSWER, NOW)
    assert strangers.in_(ANSWER, NOW)


@pytest.mark.parametrize(
    "late", [frame("0B 84 02"), ANSWER, READ.rtu], ids=["a refusal", "an answer", "the adapter's echo"]
)
def test_late_is_a_refusal_too_and_an_echo(late: bytes) -> None:
    strangers = Strangers()
    strangers.given_up(READ, NOW)
    assert not strangers.in_(late, NOW)


def test_later_than_any_board_answers_it_is_a_strangers() -> None:
    strangers = Strangers()
    strangers.given_up(READ, NOW)
    assert strangers.in_(ANSWER, Instant(NOW + LATE_FOR + 0.1))


def test_only_the_latest_are_remembered() -> None:
    strangers = Strangers()
    strangers.given_up(READ, NOW)
    for channel in range(REMEMBERED):
        strangers.given_up(write_coil(1, channel, 0), NOW)
    assert strangers.in_(ANSWER, NOW)
