"""Smoke, water, heat, emergency stop; and the board that nobody reads any more."""

import pytest

from chargerd.core.events import InputsNotRead, InputsRead
from chargerd.core.facts import InputsBack, InputsLost
from chargerd.core.faults import FaultKind
from chargerd.core.session import Clearing, Source, StopReason
from chargerd.core.units import BoardId, CircuitId, Instant
from chargerd.core.view import PortState
from tests.core.sheds import CONTACTOR, HOLDER, SHED, SMOKE, STOP, SWITCH, all_charging, closed, shed


def test_one_reading_of_smoke_opens_every_port_below_and_the_contactor() -> None:
    world = shed(inputs=(SMOKE,), contactor=SWITCH)
    all_charging(world, "A01", "A02")
    world.danger.add("smoke-1")
    seen = world.elapsed
    tripped = world.run_until("input smoke-1 tripped smoke", within=0.6)
    assert tripped - seen <= 0.5, "one reading"
    world.run(0.2)
    assert not closed(world)
    assert not world.contacts[CONTACTOR].closed
    world.run(5)
    assert [settled.reason for settled in world.settlements()] == [StopReason.SMOKE] * 2
    assert {world.state(port) for port in ("A01", "A02", "A03")} == {PortState.TRIPPED}
    world.start("A03")
    assert world.answers("start-3") == ["rejected latched"]


def test_a_circuit_held_by_an_input_is_cleared_on_site_only_and_not_while_it_reports() -> None:
    world = shed(inputs=(SMOKE,))
    world.charging("A01")
    world.danger.add("smoke-1")
    world.run(5)
    assert world.shed().latches[0].clearing is Clearing.LOCAL
    refused = world.reset(HOLDER, source=Source.LOCAL)
    assert world.answers(refused) == ["rejected not_allowed"], "it still burns"
    assert world.messages(refused) == ["smoke: smoke-1 still reports it, or is not read"]
    world.danger.clear()
    world.run(60)
    assert world.state() is PortState.TRIPPED, "nothing comes back by itself"
    refused = world.reset(HOLDER)
    assert world.answers(refused) == ["rejected not_allowed"], "not from afar"
    assert world.messages(refused) == ["smoke: to be cleared on site"]
    assert world.answers(world.reset("A01", source=Source.LOCAL)) == ["done ok"]
    assert world.state() is PortState.TRIPPED, "the port is not what is latched"
    assert world.answers(world.reset(HOLDER, source=Source.LOCAL)) == ["done ok"]
    assert world.state() is PortState.AVAILABLE
    world.charging("A01")


def test_the_latch_of_a_circuit_survives_a_restart() -> None:
    world = shed(inputs=(SMOKE,))
    world.charging("A01")
    world.danger.add("smoke-1")
    world.run(5)
    world.danger.clear()
    world.restart()
    world.run(10)
    assert world.state() is PortState.TRIPPED
    world.start("A02")
    assert world.answers("start-2") == ["rejected latched"]


def test_an_emergency_stop_of_the_main_circuit_opens_the_circuits_below() -> None:
    world = shed(inputs=(SMOKE, STOP))
    world.charging("A01")
    world.danger.add("stop-1")
    world.run(5)
    world.tells("input stop-1 tripped emergency_stop", port="main")
    world.tells("ended emergency_stop")


@pytest.mark.parametrize("moment", ["starting", "suspended", "stopping"])
def test_smoke_ends_a_session_whatever_it_is_about(moment: str) -> None:
    world = shed(inputs=(SMOKE,))
    if moment == "starting":
        world.journal.latency = 2.0
        world.ready()
        world.start()
        world.run_until("persist")
    else:
        session = world.charging()
        world.run(2)
        world.meters[world.plan.ports[0].id].silent = True
        if moment == "suspended":
            world.run_until("suspended meter_stale")
        else:
            world.stop(session=session)
    world.danger.add("smoke-1")
    world.run(10)
    assert world.settlement().reason is (StopReason.REMOTE if moment == "stopping" else StopReason.SMOKE)
    assert not closed(world)


@pytest.mark.long
def test_a_lost_input_board_suspends_what_it_guards_and_lets_it_come_back() -> None:
    world = shed(inputs=(SMOKE,))
    world.charging()
    world.run(1)
    world.io.silent = True
    lost = world.elapsed
    suspended = world.run_until("suspended input_board_lost", within=5)
    assert 2.4 <= suspended - lost <= 3.0
    world.run(200)
    assert not closed(world)
    assert world.view("A02").blocked_by == ("board_lost",)
    assert not world.shed().latches
    world.io.silent = False
    world.run_until("resumed", within=10)
    told = [fact for _, fact in world.facts if isinstance(fact, InputsLost | InputsBack)]
    assert told == [
        InputsLost(board=BoardId("io-a"), circuits=(CircuitId("shed"),)),
        InputsBack(board=BoardId("io-a"), circuits=(CircuitId("shed"),)),
    ]


@pytest.mark.long
def test_a_lost_input_board_that_stays_away_ends_the_session() -> None:
    world = shed(inputs=(SMOKE,))
    world.charging()
    world.io.silent = True
    world.run(1900)
    world.tells("ended suspended_too_long")


def test_one_reading_of_a_board_that_was_lost_is_not_enough() -> None:
    world = shed(inputs=(SMOKE,))
    world.charging()
    world.io.silent = True
    world.run_until("suspended input_board_lost")
    world.run(20)
    world.tell(InputsRead(board=BoardId("io-a"), at=Instant(world.now), closed=(True,)))
    world.run(2.5)
    assert world.state() is PortState.SUSPENDED
    assert world.count("inputs back", "") == 0


def test_what_lacks_a_channel_is_no_reading_and_unknown_boards_say_nothing() -> None:
    world = shed(inputs=(SMOKE,))
    world.charging()
    world.io.silent = True
    for _ in range(10):
        world.tell(InputsRead(board=BoardId("io-a"), at=Instant(world.now), closed=()))
        world.tell(InputsRead(board=BoardId("io-b"), at=Instant(world.now), closed=(False,)))
        world.tell(InputsNotRead(board=BoardId("io-a"), at=Instant(world.now), kind=FaultKind.TIMEOUT))
        world.run(0.4)
    world.tells("suspended input_board_lost")
    world.tells_not("input smoke-1 tripped smoke", port=SHED)


def test_smoke_that_goes_on_is_told_once() -> None:
    world = shed(inputs=(SMOKE,))
    world.charging()
    world.danger.add("smoke-1")
    world.run(60)
    assert world.count("input smoke-1 tripped smoke", SHED) == 1
