"""A configuration read anew while ports charge: lower at once, higher for who comes next."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from chargerd.core.commands import Answer
from chargerd.core.events import Configured
from chargerd.core.facts import SessionUpdated
from chargerd.core.plan import Limits
from chargerd.core.session import StopReason
from chargerd.core.units import Amps, PortId, Seconds, WattHours, Watts
from chargerd.core.view import PortState
from tests.core.sheds import shed
from tests.core.world import World
from tests.scenarios.test_commands import GOING_ON, limits
from tests.scenarios.test_requests import A01, persisting, stopping

LOWER = Limits(current=Amps(4.0), power=Watts(400.0), duration=Seconds(7200.0), energy=WattHours(900.0))
HIGHER = Limits(current=Amps(8.0), power=Watts(2000.0), duration=Seconds(57600.0))


def configure(world: World, limits: Limits, *ports: str, queue_s: float = 0.0) -> None:
    """Read a configuration with these limits for some ports, or for A01."""
    named = {PortId(port): limits for port in ports or ("A01",)}
    world.tell(Configured(limits=named, queue_for=Seconds(queue_s)))


@pytest.mark.parametrize("situation", GOING_ON)
def test_lower_limits_hold_at_once_in_every_state(situation: Callable[[], World]) -> None:
    world = situation()
    before = world.state()
    configure(world, LOWER)
    assert limits(world) == LOWER
    assert world.view().limits == LOWER
    assert world.state() is before
    world.run(10)
    assert next(iter(world.journal.records.values())).order.limits == LOWER


def test_lower_limits_hold_at_once_for_a_session_under_way() -> None:
    world = World()
    world.charging()
    world.run(10)
    configure(world, LOWER)
    assert limits(world) == LOWER
    world.run(60)
    assert world.state() is PortState.CHARGING
    assert limits(world) == LOWER


def test_a_port_at_rest_has_its_new_limits_at_once_higher_or_lower() -> None:
    world = World()
    world.ready()
    configure(world, HIGHER)
    assert world.view().limits == HIGHER
    session = world.start(current=7.5, power=1500.0)
    world.run_until("state charging", within=10)
    assert world.answers(f"start-{session}") != ["rejected limit_too_high"]
    assert limits(world).current == 7.5


def test_higher_limits_are_not_for_a_session_under_way_but_for_the_next() -> None:
    world = World()
    world.charging()
    before = limits(world)
    configure(world, HIGHER)
    world.run(10)
    assert limits(world) == before
    assert world.view().limits == before
    assert world.answers(world.update(current=7.0)) == ["rejected limit_too_high"]
    world.stop(force=True)
    world.run(10)
    assert world.view().limits == HIGHER
    world.charging(current=7.0)
    assert limits(world).current == 7.0


def test_the_wire_of_a_session_under_way_is_protected_by_what_it_was_promised() -> None:
    world = World()
    world.charging()
    world.run(10)
    configure(world, HIGHER)
    world.draw(7.6)
    world.run_until("tripped overcurrent_instant", within=5)


def test_what_is_lower_and_what_is_higher_are_told_apart() -> None:
    world = World()
    world.charging()
    configure(world, replace(HIGHER, power=Watts(500.0)))
    assert limits(world) == replace(Limits(), power=Watts(500.0))
    world.stop(force=True)
    world.run(10)
    assert world.view().limits == replace(HIGHER, power=Watts(500.0))


def test_raised_and_lowered_again_before_the_session_ends_is_lowered() -> None:
    world = World()
    world.charging()
    configure(world, HIGHER)
    configure(world, LOWER)
    assert limits(world) == LOWER
    configure(world, Limits())
    assert limits(world) == LOWER
    world.stop(force=True)
    world.run(10)
    assert world.view().limits == Limits()


def test_the_same_limits_once_more_are_no_news() -> None:
    world = World()
    world.charging()
    world.run(5)
    told = len([one for _, one in world.facts if isinstance(one, SessionUpdated)])
    configure(world, Limits())
    world.run(1)
    assert len([one for _, one in world.facts if isinstance(one, SessionUpdated)]) == told


def test_a_load_above_what_was_lowered_ends_its_session_and_latches_nothing() -> None:
    world = World()
    world.charging()
    world.draw(4.0)
    world.run(10)
    configure(world, replace(Limits(), current=Amps(3.0)))
    world.run(10)
    assert world.settlement().reason is StopReason.OVERCURRENT
    assert world.state() is PortState.AVAILABLE


def test_what_was_read_before_is_judged_by_what_held_then() -> None:
    world = World()
    world.charging()
    world.draw(4.8)
    world.run(10)
    configure(world, replace(Limits(), current=Amps(3.0)))
    configure(world, replace(Limits(), current=Amps(2.0)))
    world.show(4.8)
    assert world.state() is PortState.CHARGING
    world.run_until("tripped overcurrent_instant", within=5)
    world.run(10)
    assert world.state() is PortState.AVAILABLE


def test_energy_and_time_that_have_passed_the_new_limit_end_it() -> None:
    world = World()
    world.charging()
    world.run(600)
    configure(world, replace(Limits(), duration=Seconds(300.0)))
    assert world.state() is PortState.STOPPING, "at once, not with the next reading"
    world.run(5)
    assert world.settlement().reason is StopReason.DURATION_LIMIT
    configure(world, Limits())
    world.charging()
    world.run(600)
    configure(world, replace(Limits(), energy=WattHours(10.0)))
    assert world.state() is PortState.STOPPING
    world.run(5)
    assert world.settlements()[-1].reason is StopReason.ENERGY_LIMIT


def test_a_raise_that_is_being_written_down_is_overtaken_by_a_lower_configuration() -> None:
    world = World()
    world.charging(current=3.0)
    world.journal.latency = 1.0
    update = world.update(current=4.5)
    configure(world, replace(Limits(), current=Amps(4.0)))
    world.run(5)
    assert world.answers(update) == ["accepted ok", "failed conflict"]
    assert limits(world).current == 3.0
    assert next(iter(world.journal.records.values())).order.limits.current == 3.0


def test_a_raise_that_the_new_configuration_allows_goes_on() -> None:
    world = World()
    world.charging(current=3.0)
    update = world.update(current=3.5)
    configure(world, replace(Limits(), current=Amps(4.0)))
    world.run(5)
    assert world.answers(update) == ["accepted ok", "done ok"]
    assert limits(world).current == 3.5


def test_a_session_that_is_ending_is_left_alone() -> None:
    world = stopping()
    configure(world, LOWER)
    world.run(10)
    assert world.settlement().record.order.limits != LOWER
    assert world.view().limits == LOWER


def test_a_start_that_asks_for_more_than_was_lowered_while_it_was_written_down_is_refused() -> None:
    world = World()
    world.ready()
    start = world.hear_start()
    configure(world, LOWER)
    world.tell(start)
    answers = [one for _, one in world.commands if isinstance(one, Answer) and one.command == start.command]
    assert answers[-1].code == "limit_too_high"


def test_a_start_of_which_nothing_is_announced_yet_is_written_down_anew() -> None:
    world = persisting()
    configure(world, LOWER)
    world.run(10)
    assert limits(world) == LOWER


def test_a_queue_is_for_starts_that_come_after() -> None:
    world = shed(2, rating=Amps(6.0))
    world.run(10)
    world.charging("A01", current=5.0)
    world.start("A02", current=5.0)
    assert world.state("A02") is PortState.AVAILABLE
    configure(world, Limits(), "A01", "A02", queue_s=60.0)
    world.start("A02", current=5.0)
    assert world.state("A02") is PortState.QUEUED


def test_ports_that_are_not_there_concern_nobody() -> None:
    world = World()
    world.charging()
    configure(world, LOWER, "Z99")
    assert world.view(A01).limits == Limits()
