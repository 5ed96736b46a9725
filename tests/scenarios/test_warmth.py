"""The thermal image: what has carried much for long opens, and stays warm over sessions and restarts."""

import math
from dataclasses import replace

import pytest

from chargerd.core.commands import Checkpoint, Code
from chargerd.core.metering.thermal import WORTH_KEEPING, Thermal, cooled
from chargerd.core.moment import ClockQuality, Moment, passed
from chargerd.core.session import Source, ThermalState
from chargerd.core.units import Amps, Instant, PortId, Seconds
from tests.core.world import World

PORT = PortId("A01")

K, TAU = 1.05, 300.0


@pytest.mark.parametrize("times", [1.06, 1.1, 1.5, 2.0, 3.0, 5.0, 10.0, 20.0])
@pytest.mark.parametrize("sampling", [0.1, 0.3, 1.0])
def test_the_image_trips_within_a_sample_of_the_closed_formula(times: float, sampling: float) -> None:
    formula = TAU * math.log((times / K) ** 2 / ((times / K) ** 2 - 1))
    image, at, now = Thermal(), 0.0, 0.0
    image.take_in(Amps(5.0 * times), Amps(5.0), Instant(0.0))
    while image.theta(Instant(now)) < 1.0:
        at, now = now, now + sampling
        image.take_in(Amps(5.0 * times), Amps(5.0), Instant(now))
    assert at - 1e-6 <= formula <= now + 1e-6
    steady = Thermal()
    steady.take_in(Amps(5.0 * times), Amps(5.0), Instant(0.0))
    assert steady.reaches_one_at() == pytest.approx(formula)


def test_what_may_flow_for_ever_never_trips() -> None:
    image = Thermal()
    image.take_in(Amps(5.25), Amps(5.0), Instant(0.0))
    assert image.reaches_one_at() is None
    assert Thermal().reaches_one_at() is None


@pytest.mark.long
def test_a_current_just_above_the_limit_trips_after_minutes_and_latches() -> None:
    world = World()
    world.draw(5.4, 700.0)
    world.charging()
    closed = world.elapsed
    formula = TAU * math.log((5.4 / 5 / K) ** 2 / ((5.4 / 5 / K) ** 2 - 1))
    assert world.run_until("tripped overcurrent_thermal", within=2000) - closed == pytest.approx(formula, abs=3)
    world.run(2)
    world.tells("ended overcurrent", "state tripped")


@pytest.mark.long
def test_a_warm_port_is_not_started_reset_or_not() -> None:
    world = World()
    world.draw(5.4, 700.0)
    world.charging()
    world.run_until("tripped overcurrent_thermal", within=2000)
    world.run(5)
    assert world.answers(world.reset()) == ["done ok"]
    world.start()
    assert world.answers("start-2") == ["rejected thermal"]
    world.run(300 * math.log(1 / 0.8) + 5)
    world.charging()


@pytest.mark.long
def test_an_hour_at_the_limit_leaves_the_port_warm_over_a_restart() -> None:
    world = World()
    world.draw(5.2, 700.0)
    world.charging()
    world.run(3600)
    world.restart(after=20)
    world.draw(0.0)
    world.run(5)
    assert "thermal" in world.view().blocked_by, "0.98 at the end, and a few seconds off"
    world.run(120)
    assert "thermal" not in world.view().blocked_by


def tripped_by_warmth() -> World:
    world = World()
    world.draw(5.4, 700.0)
    world.charging()
    world.run_until("tripped overcurrent_thermal", within=2000)
    world.run(5)
    world.draw(0.0)
    return world


@pytest.mark.long
def test_the_wire_of_a_session_that_has_ended_is_warm_after_a_restart_too() -> None:
    world = tripped_by_warmth()
    assert not world.journal.records
    world.restart(after=20)
    world.run(10)
    world.reset()
    world.start()
    world.tells("answer start rejected thermal")
    world.run(300 * math.log(1 / 0.8))
    assert "thermal" not in world.view().blocked_by


@pytest.mark.long
def test_a_crash_right_after_the_end_forgets_nothing_either() -> None:
    world = World()
    world.draw(5.4, 700.0)
    world.charging()
    world.run_until("ended overcurrent", within=2000)
    world.draw(0.0)
    world.restart(after=1)
    world.run(10)
    assert world.station.view(PORT, world.moment()).blocked_by[0] is Code.LATCHED
    assert "thermal" in world.view().blocked_by


@pytest.mark.long
def test_how_warm_a_wire_is_is_written_until_it_is_cold_and_no_longer() -> None:
    world = tripped_by_warmth()
    world.commands.clear()
    world.run(3600)
    told = [
        one.theta for _, command in world.commands if isinstance(command, Checkpoint) for one in command.warmths
    ]
    assert told == sorted(told, reverse=True)
    assert told[-1] < WORTH_KEEPING <= told[-2]
    assert len(told) == pytest.approx(300 * math.log(1 / 0.01) / 60, abs=2)


def test_a_wire_whose_time_off_nobody_knows_is_half_warm_at_least() -> None:
    world = World(begin=False)
    world.journal.warmths[PORT] = ThermalState(port=PORT, theta=0.2, at=Moment(instant=Instant(5.0), boot=0))
    world.begin()
    assert world.station.view(PORT, world.moment()) is not None
    kept = world.run_for_warmth()
    assert kept == pytest.approx(0.5 * math.exp(-60 / 300), abs=0.01)


@pytest.mark.long
def test_of_what_a_session_and_a_wire_have_left_the_warmer_counts() -> None:
    world = World()
    world.draw(5.2, 700.0)
    world.charging()
    world.run(1800)
    for theta, other in ((0.1, 0.9), (0.9, 0.1)):
        (record,) = world.journal.records.values()
        later = World(begin=False)
        later.journal.warmths[PORT] = ThermalState(port=PORT, theta=theta, at=later.moment())
        later.begin([replace(record, theta=other, at=later.moment())])
        assert later.run_for_warmth() == pytest.approx(0.9 * math.exp(-60 / 300), abs=0.02)


def test_off_time_that_is_not_known_cools_nothing() -> None:
    assert cooled(0.9, Seconds(300.0)) == pytest.approx(0.9 / math.e)
    assert cooled(0.9, None) == 0.9
    assert cooled(0.2, None) == 0.5


def test_no_wire_cools_by_a_clock_that_went_back_or_tells_less_than_this_boot_is_old() -> None:
    before = Moment(instant=Instant(500.0), boot=1, wall_ms=1_700_000_000_000, clock=ClockQuality.NTP)
    later = replace(before, instant=Instant(560.0))
    assert passed(before, later) == 60.0
    assert passed(later, before) is None
    rebooted = replace(before, instant=Instant(90.0), boot=2, wall_ms=1_700_000_100_000)
    assert passed(before, rebooted) == 100.0
    for wall_ms in (1_700_000_060_000, 1_699_999_000_000, None):
        assert passed(before, replace(rebooted, wall_ms=wall_ms)) is None


def test_a_gap_integrates_the_last_current() -> None:
    image = Thermal()
    image.take_in(Amps(7.0), Amps(5.0), Instant(0.0))
    image.take_in(Amps(0.0), Amps(5.0), Instant(60.0))
    assert image.theta(Instant(60.0)) == pytest.approx((7 / 5 / K) ** 2 * (1 - math.exp(-60 / TAU)))
    image.take_in(Amps(99.0), Amps(5.0), Instant(59.0))
    assert image.theta(Instant(59.0)) < 1, "what is older than what is known changes nothing"


def test_more_current_never_trips_later() -> None:
    last = math.inf
    for tenths in range(53, 1000):
        image = Thermal()
        image.take_in(Amps(tenths / 10), Amps(5.0), Instant(0.0))
        when = image.reaches_one_at()
        assert when is not None
        assert when <= last
        last = when


def test_a_reset_of_a_cold_port_works_as_ever() -> None:
    world = World()
    world.charging()
    world.show(20.0)
    world.run(5)
    assert world.answers(world.reset(source=Source.LOCAL)) == ["done ok"]
    world.run(2)
    assert world.view().blocked_by == ()
