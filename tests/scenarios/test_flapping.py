"""Boards and disks that come and go: what is decided each time, and how little of it is told."""

import pytest

from chargerd.core.events import BoardBack, BoardLost, StoreChanged
from chargerd.core.facts import (
    BoardFlapping,
    BoardReturned,
    BoardWentSilent,
    StoreFailed,
    StoreFlapping,
    StoreRecovered,
)
from chargerd.core.faults import FaultKind
from chargerd.core.units import BoardId, Instant
from tests.core.world import World

RELAY = BoardId("relay-a")


def blink(world: World, *, lost: bool) -> None:
    at = Instant(world.now)
    world.tell(BoardLost(board=RELAY, at=at, kind=FaultKind.OFFLINE) if lost else BoardBack(board=RELAY, at=at))


def of_boards(world: World) -> list[object]:
    return [fact for _, fact in world.facts if isinstance(fact, BoardWentSilent | BoardReturned | BoardFlapping)]


@pytest.mark.long
def test_a_board_that_is_lost_each_second_writes_three_events_in_the_first_hour_not_thousands() -> None:
    world = World()
    for _ in range(600):
        blink(world, lost=True)
        world.run(0.5)
        blink(world, lost=False)
        world.run(0.5)
    assert [type(fact) for fact in of_boards(world)] == [
        BoardWentSilent,
        BoardReturned,
        BoardWentSilent,
        BoardReturned,
        BoardFlapping,
    ]


def test_each_single_loss_is_acted_on_though_it_is_not_told() -> None:
    world = World()
    for _ in range(10):
        blink(world, lost=True)
        assert "board_lost" in world.view().blocked_by
        world.run(1.0)
        blink(world, lost=False)
        world.run(1.0)
    assert "board_lost" not in world.view().blocked_by


def test_once_it_is_steady_the_count_is_told_and_what_is_true_then() -> None:
    world = World()
    for _ in range(9):
        blink(world, lost=True)
        world.run(0.5)
        blink(world, lost=False)
        world.run(0.5)
    blink(world, lost=True)
    before = len(of_boards(world))
    world.run(599.0)
    assert len(of_boards(world)) == before
    world.run(2.0)
    assert len(of_boards(world)) == before + 2
    count, standing = of_boards(world)[before:]
    assert isinstance(count, BoardFlapping)
    assert count.detail.measured == 10
    assert standing == BoardWentSilent(board=RELAY, kind="offline")


def test_a_disk_that_comes_and_goes_is_told_the_same_way() -> None:
    world = World()
    for _ in range(50):
        world.tell(StoreChanged(writable=False))
        world.run(1.0)
        world.tell(StoreChanged(writable=True))
        world.run(1.0)
    kinds = (StoreFailed, StoreRecovered, StoreFlapping)
    told = [type(fact) for _, fact in world.facts if isinstance(fact, kinds)]
    assert told == [StoreFailed, StoreRecovered, StoreFailed, StoreRecovered, StoreFlapping]
