"""How long silent boards are left alone, with instants made up."""

import pytest

from chargerd.config.budget.pacing import BACK_OFF, PROBE_EVERY
from chargerd.core.units import BoardId, Instant, Seconds, after
from chargerd.modbus.back_off import CUT_OFF_BACK_OFF, LOST_AFTER, BackOffs
from tests.judging import every

T = Instant(1000.0)
ONE, OTHER = BoardId("one"), BoardId("other")


@pytest.fixture
def boards() -> BackOffs:
    return BackOffs([ONE, OTHER], {OTHER: Seconds(0.2)})


def lose(boards: BackOffs, board: BoardId) -> None:
    for _ in range(LOST_AFTER):
        boards.missed(board, T)


def test_a_board_is_lost_once_after_three_misses_and_back_at_the_first_answer(boards: BackOffs) -> None:
    assert [boards.missed(ONE, T) for _ in range(5)] == [False, False, True, False, False]
    assert boards.boards[ONE].lost
    assert [boards.answered(ONE) for _ in range(2)] == [True, False]
    assert [boards.missed(ONE, T) for _ in range(2)] == [False, False]


def test_a_lost_board_is_back_at_its_first_answer_though_its_line_was_away(boards: BackOffs) -> None:
    for _ in range(3):
        boards.missed(ONE, T)
    boards.forgive()
    assert [boards.answered(ONE) for _ in range(2)] == [True, False]


def test_an_answer_in_between_begins_the_count_anew(boards: BackOffs) -> None:
    for _ in range(2):
        boards.missed(ONE, T)
    boards.answered(ONE)
    assert [boards.missed(ONE, T) for _ in range(3)] == [False, False, True]


def test_each_miss_makes_the_back_off_longer_up_to_the_longest(boards: BackOffs) -> None:
    waits = []
    for _ in range(len(BACK_OFF) + 1):
        boards.missed(ONE, T)
        waits.append(boards.boards[ONE].not_before - T)
    assert waits == pytest.approx([*BACK_OFF, BACK_OFF[-1]])


def test_what_was_not_waited_for_is_added(boards: BackOffs) -> None:
    boards.missed(ONE, T, Seconds(0.1))
    assert boards.wait_for(ONE, T) == pytest.approx(after(T, Seconds(BACK_OFF[0] + 0.1)))


def test_a_board_that_wants_rest_has_it_unless_a_relay_is_to_be_opened(boards: BackOffs) -> None:
    boards.asked(OTHER, T)
    boards.asked(ONE, T)
    assert (boards.may(ONE, T), boards.may(OTHER, T)) == (True, False)
    assert boards.may(OTHER, T, cutting=True)
    assert boards.may(OTHER, after(T, Seconds(0.2)))


def test_an_opening_waits_for_a_lost_board_only_and_not_for_long(boards: BackOffs) -> None:
    boards.missed(ONE, T)
    assert boards.may(ONE, T, cutting=True)
    for _ in range(len(BACK_OFF)):
        boards.missed(ONE, T)
    assert boards.wait_for(ONE, T, cutting=True) == after(T, CUT_OFF_BACK_OFF)
    assert boards.wait_for(ONE, T) > after(T, CUT_OFF_BACK_OFF)


def test_of_several_lost_boards_one_is_tried_at_a_time(boards: BackOffs) -> None:
    lose(boards, OTHER)
    lose(boards, ONE)
    later = max(boards.boards[board].not_before for board in (ONE, OTHER))
    assert boards.may(ONE, later)
    boards.missed(ONE, later)
    assert not boards.may(OTHER, later)
    assert boards.may(OTHER, after(later, PROBE_EVERY))


def test_the_first_of_the_lost_to_answer_lets_the_others_be_tried_at_once(boards: BackOffs) -> None:
    lose(boards, ONE)
    lose(boards, OTHER)
    boards.answered(ONE)
    assert boards.may(OTHER, T)


def test_a_line_that_is_gone_loses_every_board_once_and_its_return_forgives_all(boards: BackOffs) -> None:
    lose(boards, ONE)
    assert boards.lose_all() == (OTHER,)
    assert not boards.lose_all()
    boards.forgive()
    assert every(boards.may(board, T) for board in (ONE, OTHER))
    assert boards.boards[ONE].lost
