"""Ports whose meters or relays are exchanged."""

import pytest

from chargerd.core.facts import LatchesCleared, WiringSuspect
from chargerd.core.session import Clearing, Source, StopReason
from chargerd.core.units import PortId
from chargerd.core.view import PortState
from tests.core.plant import port_plan
from tests.core.world import World

A01, A02 = PortId("A01"), PortId("A02")


def crossed(amps: float = 9.7) -> World:
    """Two ports whose meters are exchanged; only the first has something plugged in."""
    world = World(port_plan("A01", 1), port_plan("A02", 2))
    world.wired = {A01: A02, A02: A01}
    world.draw(amps, port="A01")
    world.draw(0.0, port="A02")
    world.ready("A01")
    return world


def suspected() -> World:
    """The same, where the other port's meter does not tell whether the current has gone."""
    world = crossed()
    world.start("A01")
    world.run_until("wiring suspect", within=15)
    world.by_hand("A02")
    return world


def pairs(world: World) -> list[tuple[PortId, PortId]]:
    return [fact.ports for _, fact in world.facts if isinstance(fact, WiringSuspect)]


def test_exchanged_meters_open_the_port_and_hold_both() -> None:
    world = crossed()
    session = world.start("A01", current=4.0)
    closed = world.run_until("close", within=5)
    world.run_until("tripped wiring_suspect", within=10)
    assert world.elapsed - closed <= 10.0
    world.run(3)
    assert not world.contacts[A01].closed
    world.run(20)
    assert pairs(world) == [(A01, A02)]
    assert not world.suspects
    settled = world.settlement()
    assert (settled.record.order.session, settled.reason) == (session, StopReason.RELAY_FAULT)
    for port in ("A01", "A02"):
        assert world.state(port) is PortState.TRIPPED
        held = world.view(port).latches
        assert [(latch.function, latch.clearing) for latch in held] == [("wiring_suspect", Clearing.LOCAL)]
        world.tells_not("locked out relay_welded", port=port)
        assert world.answers(world.reset(port)) == ["rejected not_allowed"]
    world.restart()
    world.run(10)
    assert {world.state(port) for port in ("A01", "A02")} == {PortState.TRIPPED}
    world.wired = {A01: A01, A02: A02}
    world.draw(2.0, port="A01")
    for port in ("A01", "A02"):
        world.reset(port, source=Source.LOCAL)
    world.charging("A01")


def test_a_weld_beside_a_port_that_draws_nothing_yet_is_a_weld() -> None:
    world = World(port_plan("A01", 1), port_plan("A02", 2))
    world.draw(0.0, port="A01")
    world.draw(0.0, port="A02")
    world.ready("A01")
    world.by_hand("A02")
    world.start("A01")
    world.run_until("started", within=5)
    shown = world.now
    while not pairs(world):
        world.run(0.5)
        world.show(2.0, 300.0, port="A02")
        world.tells_not("locked out relay_welded", port="A02")
        assert world.now < shown + 10
    world.run(2)
    assert not world.contacts[A01].closed
    for _ in range(5):
        world.run(0.5)
        world.show(2.0, 300.0, port="A02")
    assert [latch.function for latch in world.view("A02").latches] == ["relay_welded"]
    world.run(20)
    assert not world.view("A01").latches
    assert world.state("A01") is PortState.AVAILABLE
    cleared = [fact for _, fact in world.facts if isinstance(fact, LatchesCleared)]
    assert {(fact.port, fact.source, fact.reason) for fact in cleared} == {
        (A01, None, "relay_welded"),
        (A02, None, "relay_welded"),
    }
    world.restart()
    world.run(10)
    assert (world.state("A01"), world.state("A02")) == (PortState.AVAILABLE, PortState.LOCKED_OUT)


def test_a_port_that_draws_itself_is_not_suspected() -> None:
    world = World(port_plan("A01", 1), port_plan("A02", 2))
    world.draw(0.0, port="A02")
    world.ready("A01")
    world.by_hand("A02")
    world.start("A01")
    world.run_until("started", within=5)
    world.run(2.5)
    for _ in range(2):
        world.show(1.0, 100.0, port="A02")
        world.run(0.5)
    assert not pairs(world)
    world.show(1.0, 100.0, port="A02")
    assert [latch.function for latch in world.view("A02").latches] == ["relay_welded"]


@pytest.mark.parametrize(("amps", "watts"), [(0.1, 12.0), (0.2, 10.0)])
def test_crosstalk_is_not_suspected(amps: float, watts: float) -> None:
    world = World(port_plan("A01", 1), port_plan("A02", 2))
    world.draw(0.0, port="A01")
    world.draw(0.0, port="A02")
    world.ready("A01")
    world.by_hand("A02")
    world.start("A01")
    world.run_until("started", within=5)
    for _ in range(2):
        world.show(amps, watts, port="A02")
        world.run(2.5)
    assert not pairs(world)


@pytest.mark.parametrize("gap", [1.5, 2.5, 4.0, 6.0, 8.0])
def test_a_neighbour_that_ends_soon_after_a_start_is_not_suspected(gap: float) -> None:
    world = World(port_plan("A01", 1), port_plan("A02", 2))
    world.draw(0.0, port="A01")
    world.charging("A02")
    world.run(60)
    world.ready("A01")
    world.start("A01")
    world.run_until("started", within=8)
    world.run(gap)
    world.stop("A02", force=True)
    world.run(60)
    assert not pairs(world)
    assert world.state("A01") is PortState.CHARGING
    assert world.state("A02") is PortState.AVAILABLE


def test_what_flowed_before_the_closing_is_not_suspected() -> None:
    world = World(port_plan("A01", 1), port_plan("A02", 2))
    world.draw(0.0, port="A01")
    world.ready("A01")
    world.ready("A02")
    world.by_hand("A02")
    world.start("A01")
    world.run_until("persist", within=5)
    world.show(1.0, 100.0, port="A02")
    world.run_until("started", within=5)
    world.run(3)
    world.show(1.0, 100.0, port="A02")
    assert not pairs(world)


@pytest.mark.parametrize("plugged", [5.0, 12.0, 60.0])
def test_exchanged_meters_are_found_however_late_somebody_plugs_in(plugged: float) -> None:
    world = crossed(0.0)
    world.start("A01", current=4.0)
    world.run_until("started", within=8)
    world.run(plugged)
    world.draw(9.7)
    began = world.elapsed
    assert world.run_until("contact open", within=10) - began <= 6.0
    world.run(20)
    assert pairs(world) == [(A01, A02)]
    assert {world.state(port) for port in ("A01", "A02")} == {PortState.TRIPPED}


def test_both_in_use_and_exchanged() -> None:
    world = crossed(2.0)
    world.draw(2.0, port="A02")
    for port in ("A01", "A02"):
        world.ready(port)
        world.start(port, current=4.0)
    world.run(60)
    assert not pairs(world)
    world.draw(9.7)
    began = world.now
    world.run(15)
    assert not world.contacts[A01].closed
    assert world.contacts[A01].edges[-1][0] - began <= 8.0
    world.run(20)
    assert pairs(world) == [(A01, A02)]
    for port in ("A01", "A02"):
        assert "wiring_suspect" in [latch.function for latch in world.view(port).latches]
        world.tells_not("locked out relay_welded", port=port)


def ended_welded(world: World) -> None:
    """Let the second port's session end, and its meter show a load all the same."""
    world.stop("A02", force=True)
    world.by_hand("A02")
    world.run(1)
    for _ in range(4):
        world.run(0.5)
        world.show(2.0, 300.0, port="A02")
    assert [latch.function for latch in world.view("A02").latches] == ["relay_welded"]
    assert not pairs(world)
    assert world.state("A01") is PortState.CHARGING


def both_charging() -> World:
    world = World(port_plan("A01", 1), port_plan("A02", 2))
    world.charging("A01")
    world.charging("A02")
    world.run(30)
    return world


def test_a_port_full_for_long_is_not_suspected() -> None:
    world = both_charging()
    world.draw(0.0)
    world.run(15)
    ended_welded(world)


def test_a_port_that_goes_on_drawing_is_not_suspected() -> None:
    ended_welded(both_charging())


def test_neither_starts_while_it_is_not_settled_and_a_meter_that_does_not_tell_leaves_it_suspect() -> None:
    world = suspected()
    world.run(5)
    for port in ("A01", "A02"):
        world.reset(port, source=Source.LOCAL)
        assert "latched" in world.view(port).blocked_by
        assert not world.view(port).latches
    world.run(11)
    for port in ("A01", "A02"):
        assert [latch.function for latch in world.view(port).latches] == ["wiring_suspect"]


def test_a_suspicion_is_shown_at_once_and_outlives_the_process() -> None:
    world = suspected()
    world.run(4)
    assert world.suspects
    assert [world.state(port) for port in ("A01", "A02")] == [PortState.TRIPPED] * 2
    world.restart()
    world.run(10)
    assert not world.suspects
    assert [world.state(port) for port in ("A01", "A02")] == [PortState.TRIPPED] * 2
    assert "latched" in world.view("A01").blocked_by


@pytest.mark.parametrize("stopped", [False, True])
def test_a_session_at_the_other_port_ends_too(*, stopped: bool) -> None:
    world = crossed(2.0)
    world.charging("A02")
    world.run(5)
    world.meters[A02].silent = True
    world.run_until("suspended meter_stale", within=10)
    world.start("A01")
    world.run_until("started", within=10)
    world.meters[A01].lost_energy = True
    world.by_itself("A02")
    world.run_until("tripped wiring_suspect", within=10)
    assert world.state("A01") is PortState.STOPPING
    if stopped:
        world.meters[A02].lost_energy = True
        world.stop("A02", force=True)
    world.run(10)
    assert world.state("A02") is PortState.TRIPPED
    reasons = {one.record.order.port: one.reason for one in world.settlements()}
    assert reasons == {A01: StopReason.RELAY_FAULT, A02: StopReason.REMOTE if stopped else StopReason.RELAY_FAULT}


def test_a_weld_at_a_port_with_a_session_frees_the_one_that_was_suspected_with_it() -> None:
    world = World(port_plan("A01", 1), port_plan("A02", 2))
    world.draw(0.0, port="A01")
    world.charging("A02")
    world.run(5)
    world.by_hand("A02")
    world.run_until("suspended meter_stale", within=10)
    world.start("A01")
    world.run_until("started", within=10)
    world.meters[A01].lost_energy = True
    while "relay_welded" not in [latch.function for latch in world.view("A02").latches]:
        world.run(0.25)
        world.show(2.0, 300.0, port="A02")
        assert world.elapsed < 40
    assert pairs(world) == [(A01, A02)]
    assert (world.state("A01"), world.view("A01").latches) == (PortState.STOPPING, ())
    world.run(20)
    assert world.state("A01") is PortState.AVAILABLE
