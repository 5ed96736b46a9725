"""What silence a board is given: longer after a miss, and kept where it helps."""

import random
from collections.abc import Callable

import pytest

from chargerd.core.units import Seconds
from chargerd.modbus.silence import LONGER, TRY_AGAIN, Silence


def lead(silence: Silence, hears: Callable[[float], bool], requests: int, *, reading: bool = True) -> list[float]:
    """Ask a board so often; returns the silences it was given."""
    given: list[float] = []
    for _ in range(requests):
        given.append(silence.before(reading=reading))
        if hears(given[-1]):
            silence.answered()
        else:
            silence.missed()
    return given


def test_each_miss_makes_the_next_silence_longer() -> None:
    assert lead(Silence(), lambda _given: False, 6) == [0.0, *LONGER, LONGER[-1], LONGER[-1]]


def test_a_boards_own_silence_is_never_cut_short() -> None:
    assert lead(Silence(Seconds(0.05)), lambda _given: False, 4) == [0.05, 0.05, 0.06, 0.12]


@pytest.mark.parametrize(("deaf", "kept"), [(0.015, 0.02), (0.05, 0.06), (0.1, 0.12)])
def test_a_silence_that_helps_is_kept(deaf: float, kept: float) -> None:
    silence = Silence()
    given = lead(silence, lambda given: given >= deaf, 40, reading=False)
    assert set(given[4:]) == {kept}
    assert silence.wanted == kept


def test_whether_it_is_still_needed_is_tried_by_a_reading_now_and_then() -> None:
    silence = Silence()
    given = lead(silence, lambda given: given >= 0.05, 20 * TRY_AGAIN)
    assert 15 <= given.count(0.0) <= 21
    assert silence.wanted == 0.06


def test_and_given_up_once_it_is_not() -> None:
    silence = Silence()
    lead(silence, lambda given: given >= 0.05, 12)
    assert silence.wanted == 0.06
    assert lead(silence, lambda _given: True, 10 * TRY_AGAIN)[-1] == 0.0
    assert silence.wanted is None


def test_where_it_does_not_help_it_is_not_kept() -> None:
    silence = Silence()
    noise = random.Random(1)
    given = lead(silence, lambda _given: noise.random() > 0.3, 3000)
    assert given.count(0.0) > 0.6 * len(given)
    assert given.count(LONGER[-1]) < 0.1 * len(given)


def test_one_miss_among_many_answers_is_forgotten_at_the_next_try() -> None:
    silence = Silence()
    lead(silence, lambda _given: True, 50)
    lead(silence, lambda _given: False, 1)
    assert silence.wanted is None
    assert set(lead(silence, lambda _given: True, 2 * TRY_AGAIN + 5)[-3:]) == {0.0}


def test_of_a_board_that_answers_nothing_nobody_says_that_it_wants_silence() -> None:
    silence = Silence()
    lead(silence, lambda _given: False, 30)
    assert silence.wanted is None
