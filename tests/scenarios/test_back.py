"""Boards that come back, closings nobody confirmed, and what completes a start."""

import pytest

from chargerd.core.commands import OpenRelay, ReadRelay
from chargerd.core.events import BoardBack, BoardLost, MeterReading
from chargerd.core.faults import FaultKind
from chargerd.core.units import Amps, Instant, PortId, WattHours, Watts
from chargerd.core.view import PortState
from tests.core.sheds import CONTACTOR, SWITCH, shed
from tests.core.world import World

A01 = PortId("A01")


def away_and_back(world: World, port: str) -> list[type]:
    """Let the board of a port or a contactor be lost and back; return what it is told of that one."""
    relay = SWITCH if port == CONTACTOR else world.plans[A01].relay
    world.tell(BoardLost(board=relay.board, at=Instant(world.now), kind=FaultKind.TIMEOUT))
    before = len(world.commands)
    world.tell(BoardBack(board=relay.board, at=Instant(world.now)))
    return [type(command) for _, command in world.commands[before:] if getattr(command, "port", None) == port]


@pytest.mark.parametrize("port", ["A01", CONTACTOR])
def test_an_open_relay_is_opened_anew_on_a_board_that_is_back(port: str) -> None:
    world = shed(contactor=SWITCH)
    world.ready()
    assert OpenRelay in away_and_back(world, port), "its board may have begun with the relay closed"


@pytest.mark.parametrize("port", ["A01", CONTACTOR])
def test_an_opening_goes_out_at_once_to_a_board_that_is_back(port: str) -> None:
    world = shed(contactor=SWITCH)
    world.charging()
    world.run(2)
    (world.io if port == CONTACTOR else world.board).silent = True
    world.stop(force=True)
    world.run(10)
    assert OpenRelay in away_and_back(world, port), "and not when its next try is due"


def test_a_closed_relay_is_read_back_at_once_from_a_board_that_is_back() -> None:
    world = shed()
    world.charging()
    world.run(0.3)
    assert away_and_back(world, A01) == [ReadRelay], "it may have lost its supply, and what it held"


def test_what_flowed_through_a_closing_that_was_not_read_back_is_counted() -> None:
    world = World()
    world.ready()
    world.board.refuses = True
    session = world.start()
    world.run_until("contact closed", within=5)
    world.run(1.5)
    world.stop(session=session)
    world.board.refuses = False
    world.run(10)
    assert world.settlement().record.charging == pytest.approx(world.contact_time(), abs=0.2)
    assert world.contact_time() > 1.0


@pytest.mark.parametrize("shown", ["energy", "early"])
def test_only_a_current_measured_since_the_closing_completes_a_start(shown: str) -> None:
    world = World()
    world.ready()
    world.start()
    world.run_until("close")
    world.by_hand()
    world.run_until("started", within=2)
    if shown == "energy":
        world.tell(MeterReading(port=A01, at=Instant(world.now), energy=WattHours(5000.0)))
    else:
        early = Instant(world.now - 1.0)
        world.tell(MeterReading(port=A01, at=early, current=Amps(2.0), power=Watts(300.0)))
    assert world.state() is PortState.STARTING
    world.show(2.0, 300.0)
    assert world.state() is PortState.CHARGING


def test_a_start_is_done_once_something_draws() -> None:
    world = World()
    world.draw(0.02, 2.0)
    world.charging()
    world.run(20)
    assert world.answers("start-1") == ["accepted ok"]
    world.draw(2.0, 300.0)
    world.run(3)
    assert world.answers("start-1") == ["accepted ok", "done ok"]
