"""Reasons a session ends for that no other scenario is about."""

import pytest

from chargerd.core.plan import InputKind, InputPlan
from chargerd.core.session import StopReason
from chargerd.core.units import BoardId
from chargerd.core.view import PortState
from tests.core.sheds import SHED, all_charging, closed, shed
from tests.core.world import World


@pytest.mark.parametrize("kind", ["water", "heat"])
def test_a_detector_ends_the_sessions_below_it_for_its_own_reason(kind: str) -> None:
    detector = InputPlan(id="detector", board=BoardId("io-a"), channel=1, kind=InputKind(kind), circuit=SHED)
    world = shed(inputs=(detector,))
    all_charging(world, "A01", "A02")
    world.danger.add("detector")
    world.run_until(f"input detector tripped {kind}", within=0.6)
    world.run(10)
    assert not closed(world)
    assert [settled.reason for settled in world.settlements()] == [StopReason(kind)] * 2
    assert world.state() is PortState.TRIPPED


def test_a_relay_board_that_stays_away_ends_the_session() -> None:
    world = World()
    world.charging()
    world.run(10)
    world.board.silent = True
    suspended = world.run_until("suspended relay_board_lost", within=10)
    assert world.run_until("ended board_lost", within=200) - suspended == pytest.approx(120, abs=10)
    settled = world.settlement()
    assert settled.reason is StopReason.BOARD_LOST
    assert settled.detail is not None
    assert settled.detail.function == "not_recovered"


def test_a_shed_session_that_cannot_be_started_again_ends_by_the_overload() -> None:
    world = shed(2, rating=12.0, meter=None)
    for port in ("A01", "A02"):
        world.draw(4.9, 700.0, port=port)
        world.charging(port)
    world.draw(5.4, 740.0, port="A01")
    world.draw(7.0, 790.0, port="A02")
    world.run_until("suspended circuit_overload", within=10)
    world.journal.failing = True
    world.draw(1.0, 140.0, port="A01")
    world.stop(port="A01", force=True)
    world.run_until("ended circuit_overload", within=120)
    assert world.settlements()[-1].reason is StopReason.CIRCUIT_OVERLOAD
