"""A socket with a temperature sensor: what is too warm, for how long, and what a sensor that lies can do."""

import math
from dataclasses import replace

import pytest

from chargerd.core.commands import Code
from chargerd.core.events import TemperatureReading
from chargerd.core.facts import PortTemperatureHigh
from chargerd.core.plan import Protection
from chargerd.core.session import Source, StopReason
from chargerd.core.units import Celsius, Instant, PortId, Seconds
from chargerd.core.view import PortState
from tests.core.plant import port_plan
from tests.core.world import World


def feel(world: World, celsius: float | None, seconds: float, every: float = 5.0, port: str = "A01") -> None:
    """Let the socket's sensor show one temperature for a time."""
    end = world.now + seconds
    while world.now < end:
        shown = None if celsius is None else Celsius(celsius)
        world.tell(TemperatureReading(port=PortId(port), at=Instant(world.now), celsius=shown))
        world.run(min(every, end - world.now))


def warnings(world: World) -> list[PortTemperatureHigh]:
    return [fact for _, fact in world.facts if isinstance(fact, PortTemperatureHigh)]


def test_a_socket_of_seventy_degrees_is_opened_after_thirty_seconds() -> None:
    world = World()
    world.charging()
    feel(world, 69.9, 60)
    began = world.now
    feel(world, 70.0, 40)
    assert world.when("tripped port_temperature") == pytest.approx(world.elapsed - (world.now - began) + 30)
    assert world.state() is PortState.TRIPPED
    settlement = world.settlement()
    assert settlement.reason is StopReason.OVERTEMPERATURE
    assert settlement.detail is not None
    assert (settlement.detail.measured, settlement.detail.limit, settlement.detail.unit) == (70.0, 70.0, "c")


def test_it_is_opened_between_two_readings_when_its_time_has_come() -> None:
    world = World()
    world.charging()
    began = world.elapsed
    feel(world, 75.0, 50, every=7.0)
    assert world.when("tripped port_temperature") == pytest.approx(began + 30)


def test_it_stays_shut_until_somebody_has_looked_at_it() -> None:
    world = World()
    world.charging()
    feel(world, 80.0, 40)
    world.reset()
    assert world.state() is PortState.TRIPPED
    feel(world, 25.0, 10)
    world.reset()
    assert world.state() is PortState.TRIPPED, "it is cold again, and nobody has looked"
    world.reset(source=Source.LOCAL)
    assert world.state() is PortState.AVAILABLE


def test_a_dip_begins_the_thirty_seconds_anew() -> None:
    world = World()
    world.charging()
    for _ in range(4):
        feel(world, 72.0, 25)
        feel(world, 69.0, 5)
    world.tells_not("tripped port_temperature")
    assert world.state() is PortState.CHARGING


@pytest.mark.parametrize("shown", [None, math.nan, math.inf])
def test_a_sensor_that_shows_nothing_is_not_hot(shown: float | None) -> None:
    world = World()
    world.charging()
    feel(world, 75.0, 20)
    feel(world, shown, 60)
    assert world.state() is PortState.CHARGING
    assert world.view().temperature is None


def test_a_sensor_that_fell_silent_is_not_hot() -> None:
    world = World()
    world.charging()
    feel(world, 75.0, 10, every=5.0)
    world.run(120)
    assert world.state() is PortState.CHARGING
    feel(world, 75.0, 20)
    assert world.state() is PortState.CHARGING, "what was read before the silence counts no more"
    assert world.view().temperature == 75.0
    world.run(15)
    assert world.view().temperature is None


def test_one_reading_is_not_enough() -> None:
    hasty = replace(Protection(), temperature_delay=Seconds(10.0))
    world = World(port_plan(protection=hasty))
    world.charging()
    feel(world, 90.0, 14, every=14)
    assert world.state() is PortState.CHARGING
    feel(world, 90.0, 1)
    world.tells("tripped port_temperature")


def test_a_warm_socket_is_told_of_once_and_goes_on() -> None:
    world = World()
    session = world.charging()
    feel(world, 60.0, 120)
    assert [fact.session for fact in warnings(world)] == [session]
    assert warnings(world)[0].detail.limit == 60.0
    feel(world, 57.0, 40)
    feel(world, 61.0, 60)
    assert len(warnings(world)) == 1, "it has not cooled by 5 K"
    feel(world, 54.9, 10)
    feel(world, 61.0, 60)
    assert len(warnings(world)) == 2
    assert world.state() is PortState.CHARGING


def test_nothing_is_told_before_its_time_or_below() -> None:
    world = World()
    world.charging()
    feel(world, 62.0, 25)
    feel(world, 59.9, 120)
    assert warnings(world) == []


def test_a_warm_socket_is_not_started() -> None:
    world = World()
    world.ready()
    feel(world, 60.0, 40)
    assert world.view().blocked_by == (Code.THERMAL,)
    assert warnings(world)[0].session is None
    world.start()
    world.tells("answer start rejected thermal")
    feel(world, 59.0, 5)
    assert world.view().blocked_by == ()


def test_a_socket_that_gets_hot_during_the_start_is_not_closed() -> None:
    world = World()
    world.ready()
    feel(world, 40.0, 5)
    world.journal.latency = 2.9
    world.start()
    for _ in range(8):
        feel(world, 90.0, 5)
    world.tells("tripped port_temperature")
    assert not world.contacts[PortId("A01")].closed


def test_a_sensor_of_no_port_is_nobody_s() -> None:
    world = World()
    world.charging()
    feel(world, 90.0, 60, port="Z99")
    assert world.state() is PortState.CHARGING
