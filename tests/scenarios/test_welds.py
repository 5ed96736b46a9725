"""Relays that say they are open and are not, and those that say they are closed and are not."""

import pytest

from chargerd.core.commands import OpenRelay
from chargerd.core.facts import RelayOpenCircuit
from chargerd.core.plan import MeterPlan
from chargerd.core.session import Clearing, Source, StopReason
from chargerd.core.units import BoardId, PortId, Seconds
from chargerd.core.view import PortState
from tests.core.plant import port_plan
from tests.core.world import World

A01 = PortId("A01")


def rested(world: World) -> World:
    """Let a port charge, end, and rest for a while, its meter in the scenario's hands."""
    session = world.charging()
    world.run(5)
    world.stop(session=session)
    world.run(5)
    world.by_hand()
    return world


def test_three_readings_of_current_through_an_open_relay_lock_out() -> None:
    world = rested(World())
    for _ in range(2):
        world.show(0.21, 10.1)
        world.run(0.5)
    world.tells_not("locked out relay_welded")
    opened = world.count("open")
    world.show(0.21, 10.1)
    world.run(2)
    world.tells("locked out relay_welded", "state locked_out")
    assert world.count("open") - opened == 3, "opened again three times, never closed"
    assert world.view().latches[0].clearing is Clearing.LOCK_OUT


@pytest.mark.parametrize(("amps", "watts"), [(0.2, 100.0), (3.0, 10.0)])
def test_a_little_current_or_a_little_power_is_crosstalk(amps: float, watts: float) -> None:
    world = rested(World())
    for _ in range(10):
        world.show(amps, watts)
        world.run(0.5)
    world.tells_not("locked out relay_welded")


@pytest.mark.parametrize(("watts", "locked"), [(19.0, False), (21.0, True)])
def test_a_hundredth_of_what_its_board_measures_is_crosstalk(watts: float, *, locked: bool) -> None:
    meter = MeterPlan(board=BoardId("meter"))
    world = rested(World(port_plan("A01", 1, meter=meter), port_plan("A02", 2, meter=meter)))
    world.by_hand("A02")
    world.show(9.0, 2000.0, port="A02")
    for _ in range(5):
        world.show(0.5, watts)
        world.run(0.5)
    assert (world.state() is PortState.LOCKED_OUT) is locked


def test_readings_right_after_opening_do_not_count() -> None:
    slow = MeterPlan(board=BoardId("m"), refresh=Seconds(1.0))
    world = World(port_plan(meter=slow))
    session = world.charging()
    world.run(5)
    world.meters[A01].lost_energy = True
    world.stop(session=session)
    world.run_until("contact open")
    world.by_hand()
    for _ in range(15):
        world.run(0.2)
        world.show(2.0, 300.0)
    world.run(0.2)
    world.show(0.0, 0.0)
    world.run(10)
    world.tells_not("locked out relay_welded")


def test_readings_within_one_refresh_are_one() -> None:
    slow = MeterPlan(board=BoardId("m"), refresh=Seconds(1.0))
    world = rested(World(port_plan(meter=slow)))
    world.run(5)
    for _ in range(8):
        world.show(2.0, 300.0)
        world.run(0.2)
    world.tells_not("locked out relay_welded")
    world.run(1)
    world.show(2.0, 300.0)
    world.tells("locked out relay_welded")


def test_the_same_reading_twice_is_one() -> None:
    world = rested(World())
    for _ in range(5):
        world.show(2.0, 300.0)
    world.tells_not("locked out relay_welded")


def test_a_contact_that_carries_again_without_power_known_is_not_judged() -> None:
    world = rested(World())
    world.restart()
    world.run(1)
    for _ in range(5):
        world.run(0.5)
        world.show(2.0, None)
    world.tells_not("locked out relay_welded")


def test_a_weld_while_the_session_ends_names_it() -> None:
    world = World()
    world.charging()
    world.run(5)
    world.meters[A01].silent = True
    world.run_until("suspended meter_stale")
    world.run(3)
    for _ in range(3):
        world.run(0.5)
        world.show(2.0, 300.0)
    world.run(1)
    world.tells_not("ended relay_welded")
    world.by_itself()
    world.run(5)
    assert world.settlement().reason is StopReason.RELAY_WELDED
    world.tells("locked out relay_welded", "ended relay_welded")


def test_a_lock_out_for_a_weld_survives_a_restart_and_wants_a_reason_on_site() -> None:
    world = rested(World())
    for _ in range(3):
        world.show(2.0, 300.0)
        world.run(0.5)
    world.by_itself()
    world.restart()
    world.run(10)
    world.start()
    assert world.answers("start-2") == ["rejected locked_out"]
    assert world.answers(world.reset(source=Source.LOCAL)) == ["rejected locked_out"]
    assert world.answers(world.reset(source=Source.LOCAL, reason="exchanged")) == ["done ok"]
    world.run(30)
    assert world.state() is PortState.AVAILABLE
    assert not [it for at, it in world.commands if isinstance(it, OpenRelay) and at > world.now - 20]


@pytest.mark.parametrize(("watts", "told"), [(1.9, 1), (2.1, 0)])
def test_three_sessions_without_any_load_point_to_a_fuse(watts: float, told: int) -> None:
    world = World()
    world.draw(0.01, watts)
    for _ in range(4):
        world.charging()
        world.run_until("ended no_load")
        world.run(1)
    assert len([fact for _, fact in world.facts if isinstance(fact, RelayOpenCircuit)]) == told


def test_a_start_that_never_closed_says_nothing_of_a_fuse() -> None:
    world = World()
    world.journal.failing = True
    for _ in range(4):
        world.ready()
        world.start()
        world.run(2)
    assert not [fact for _, fact in world.facts if isinstance(fact, RelayOpenCircuit)]
