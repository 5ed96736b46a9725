"""Pairs of facts that come too often: one that says so, then a count."""

import pytest

from chargerd.core.facts import (
    BoardFlapping,
    BoardReturned,
    BoardWentSilent,
    Fact,
    ForeignAnswers,
    InputsBack,
    InputsFlapping,
    InputsLost,
    StoreFailed,
    StoreFlapping,
    StoreRecovered,
)
from chargerd.core.session import StopDetail
from chargerd.core.site.flapping import OFTEN, STEADY, TOLD_AGAIN, Flaps
from chargerd.core.units import BoardId, CircuitId, Instant

BOARD, OTHER = BoardId("relay"), BoardId("meter")
CIRCUITS = (CircuitId("shed"),)
LOST, BACK = BoardWentSilent(board=BOARD, kind="timeout"), BoardReturned(board=BOARD)


def told(flaps: Flaps, fact: Fact, at: float) -> list[Fact]:
    return list(flaps.told([fact], Instant(at)))


def detail(count: int) -> StopDetail:
    return StopDetail(function="flapping", measured=float(count))


def flap(flaps: Flaps, times: int, every: float = 1.0, begin: float = 0.0) -> list[Fact]:
    found = []
    for number in range(times):
        found += told(flaps, LOST, begin + number * every)
        found += told(flaps, BACK, begin + (number + 0.5) * every)
    return found


def test_the_first_two_are_told_and_then_one_thing() -> None:
    expected = [LOST, BACK, LOST, BACK, BoardFlapping(board=BOARD, detail=detail(OFTEN))]
    assert flap(Flaps(), 1000) == expected


def test_the_count_is_told_each_hour() -> None:
    found = flap(Flaps(), 2 * int(TOLD_AGAIN) + 10)
    counts = [fact.detail.measured for fact in found if isinstance(fact, BoardFlapping)]
    assert counts == [3, 3603, 7203]


def test_and_after_steady_minutes_with_what_is_true_then() -> None:
    flaps = Flaps()
    flap(flaps, 20)
    told(flaps, LOST, 20.0)
    due = flaps.due()
    assert due == 20.0 + STEADY
    assert not list(flaps.over(Instant(due - 0.1)))
    assert list(flaps.over(due)) == [BoardFlapping(board=BOARD, detail=detail(21)), LOST]
    assert flaps.due() is None
    assert not list(flaps.over(Instant(due + 1e6)))
    assert told(flaps, BACK, due + 1) == [BACK]


def test_what_is_lost_now_and_then_is_told_each_time() -> None:
    assert flap(Flaps(), 20, every=STEADY / (OFTEN - 1)) == [LOST, BACK] * 20


@pytest.mark.parametrize(
    ("lost", "back", "flapping"),
    [
        (LOST, BACK, BoardFlapping(board=BOARD, detail=detail(3))),
        (
            InputsLost(board=BOARD, circuits=CIRCUITS),
            InputsBack(board=BOARD, circuits=CIRCUITS),
            InputsFlapping(board=BOARD, circuits=CIRCUITS, detail=detail(3)),
        ),
        (StoreFailed(), StoreRecovered(), StoreFlapping(detail=detail(3))),
    ],
)
def test_every_pair_is_one(lost: Fact, back: Fact, flapping: Fact) -> None:
    flaps = Flaps()
    found = [fact for at in range(0, 20, 2) for one in (lost, back) for fact in told(flaps, one, at)]
    assert found == [lost, back, lost, back, flapping]


def test_one_that_flaps_hides_nothing_of_others() -> None:
    flaps = Flaps()
    flap(flaps, 20)
    for fact in (BoardWentSilent(board=OTHER, kind="timeout"), InputsLost(board=BOARD, circuits=CIRCUITS)):
        assert told(flaps, fact, 21.0) == [fact]
    assert told(flaps, ForeignAnswers(board=BOARD), 21.0) == [ForeignAnswers(board=BOARD)]
