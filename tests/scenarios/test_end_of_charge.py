"""Charges that end by the shape of their load, as the log book tells them."""

import pytest

from chargerd.core.session import StopReason
from chargerd.core.units import PortId
from tests.core.world import World


def _taper(world: World) -> None:
    watts = 276.0
    while watts > 3.0:
        world.draw(watts / 138, watts)
        world.run(30)
        watts *= 0.965


@pytest.mark.long
def test_a_pulled_plug_ends_the_session_five_minutes_later() -> None:
    world = World()
    session = world.charging()
    world.run(600)
    world.draw(0.0, 0.5)
    pulled = world.elapsed
    ended = world.run_until("ended unplugged", within=400)
    assert ended - pulled == pytest.approx(300, abs=5)
    settled = world.settlement()
    assert settled.record.order.session == session
    assert settled.detail is not None
    assert (settled.detail.function, settled.detail.unit) == ("unplugged", "w")
    assert settled.confidence == pytest.approx(0.7)
    world.run(5)
    assert not world.contacts[PortId("A01")].closed


@pytest.mark.long
def test_a_tapered_charge_is_full_and_says_how_sure_that_is() -> None:
    world = World()
    world.charging()
    world.run(600)
    _taper(world)
    world.run_until("ended full", within=3600)
    settled = world.settlement()
    assert settled.reason is StopReason.FULL
    assert settled.confidence is not None
    assert settled.confidence == pytest.approx(0.9)


@pytest.mark.long
def test_a_bike_taken_without_its_charger_ends_the_session_in_ten_minutes() -> None:
    world = World()
    world.charging()
    world.run(1800)
    world.draw(0.06, 9.0)
    taken = world.elapsed
    assert world.run_until("ended unplugged", within=660) - taken == pytest.approx(600, abs=10)
    detail = world.settlement().detail
    assert detail is not None
    assert (detail.function, detail.measured, detail.limit, detail.unit) == ("charger_idle", 9.0, 15.0, "w")


@pytest.mark.long
def test_a_meter_that_is_lost_for_seconds_does_not_begin_a_tail_anew() -> None:
    world = World()
    world.charging()
    world.run(600)
    _taper(world)
    world.run(1500)
    world.meters[PortId("A01")].silent = True
    world.run_until("suspended meter_stale", within=20)
    world.by_itself()
    world.run_until("resumed", within=60)
    world.run_until("ended full", within=900)


@pytest.mark.long
def test_what_is_known_of_a_charge_outlives_a_suspension() -> None:
    world = World()
    world.charging()
    world.run(1500)
    world.meters[PortId("A01")].silent = True
    world.run_until("suspended meter_stale", within=20)
    world.by_itself()
    world.run_until("resumed", within=60)
    world.draw(0.0, 0.5)
    world.run_until("ended unplugged", within=420)
