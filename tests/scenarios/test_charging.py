"""An ordinary charge, and every way one ends that is nobody's fault."""

from dataclasses import replace

import pytest

from chargerd.core.facts import SessionUpdated
from chargerd.core.plan import Limits, MeterPlan, Protection, RelayPlan
from chargerd.core.session import EnergyQuality, Source, StopReason
from chargerd.core.units import BoardId, PortId, Seconds, WattHours
from chargerd.core.view import PortState
from tests.core.plant import IDLE_POLL, port_plan
from tests.core.world import World


@pytest.mark.long
def test_a_charge_from_start_to_stop() -> None:
    world = World(tiers=(150.0, 285.0))
    session = world.charging()
    world.run(600)
    world.stop(session=session)
    world.run(5)
    world.tells(
        "open",
        "state available",
        "answer start accepted ok",
        "pace armed",
        "read energy",
        "state starting",
        "persist",
        "pace closed",
        "close",
        "contact closed",
        "read relay",
        "started",
        "state charging",
        "answer start done ok",
        "renew",
        "answer stop accepted ok",
        "open",
        "contact open",
        "read energy",
        "answer stop done ok",
        "pace idle",
        "ended remote",
        "state available",
    )
    settled = world.settlement()
    assert settled.quality is EnergyQuality.EXACT
    assert settled.record.charging == pytest.approx(world.contact_time(), abs=0.2)
    assert settled.record.energy == pytest.approx(600 * 300 / 3600, abs=1.5)
    assert settled.record.peak_power == settled.record.peak_power_first_5_min == pytest.approx(300)
    assert sum(tier.energy for tier in settled.record.tiers) == pytest.approx(settled.record.energy)
    assert sum(tier.charging for tier in settled.record.tiers) == pytest.approx(settled.record.charging)
    assert settled.record.tiers[-1].energy > 49, "300 W lie above the last bound"
    assert world.answers("start-1") == ["accepted ok", "done ok"]


def test_the_session_is_durable_before_the_relay_closes() -> None:
    world = World()
    world.journal.latency = 1.0
    world.ready()
    world.start()
    persisted = world.run_until("persist")
    closed = world.run_until("close")
    assert closed - persisted == pytest.approx(1.0, abs=0.01)
    world.tells_not("started", "contact closed")


def test_a_renewal_goes_out_every_three_seconds_and_stops_with_the_session() -> None:
    world = World()
    session = world.charging()
    world.run(30)
    assert 9 <= world.count("renew") <= 11
    assert [by for _, _, by in world.contacts[PortId("A01")].edges] == ["close"], "no lease ever lapsed"
    world.stop(session=session)
    before = world.count("renew")
    world.run(30)
    assert world.count("renew") == before


def test_a_load_that_never_comes_ends_the_session_after_two_minutes() -> None:
    world = World()
    world.draw(0.03, 7.9)
    world.charging()
    ended = world.run_until("ended no_load", within=130)
    assert ended - world.when("close") == pytest.approx(120, abs=0.3)
    assert world.answers("start-1") == ["accepted ok", "failed no_load"]
    assert world.settlement().record.charging == pytest.approx(120, abs=0.2)


def test_eight_watts_once_are_a_load() -> None:
    world = World()
    world.draw(0.05, 8.0)
    world.charging()
    world.run(3)
    world.draw(0.01, 1.0)
    world.run(300)
    assert world.state() is PortState.CHARGING


def test_the_orders_time_with_the_relay_closed_ends_it() -> None:
    world = World()
    world.charging(duration=Seconds(90.0))
    opened = world.run_until("open", within=100)
    assert opened - world.when("close") == pytest.approx(90, abs=0.3)
    world.run_until("ended duration_limit", within=1)
    assert world.settlement().record.charging == pytest.approx(90, abs=0.2)
    detail = world.settlement().detail
    assert detail is not None
    assert (detail.function, detail.limit, detail.unit) == ("duration_limit", 90, "s")


def test_a_suspension_does_not_count_as_charging_time() -> None:
    world = World()
    world.charging(duration=Seconds(90.0))
    world.run(10)
    world.meters[PortId("A01")].silent = True
    world.run(60)
    world.meters[PortId("A01")].silent = False
    ended = world.run_until("ended duration_limit", within=200)
    assert ended - world.when("close") > 140
    assert world.settlement().record.charging == pytest.approx(90, abs=0.3)
    assert world.settlement().record.charging == pytest.approx(world.contact_time(), abs=0.5)


def test_a_day_is_the_longest_session() -> None:
    plan = port_plan(
        limits=Limits(duration=Seconds(200000.0)),
        protection=Protection(stale_after=Seconds(90.0)),
        relay=RelayPlan(board=BoardId("relay-a"), channel=1, lease=Seconds(120.0), renew_every=Seconds(60.0)),
    )
    world = World(plan, poll=1.0, coils=60.0)
    world.draw(0.5, 60.0)
    world.charging()
    world.poll = 30.0
    world.run(86300)
    assert world.state() is PortState.CHARGING
    world.run(110)
    assert world.settlement().reason is StopReason.DURATION_LIMIT
    detail = world.settlement().detail
    assert detail is not None
    assert detail.limit == 86400


def test_the_orders_energy_ends_it_within_what_two_readings_draw() -> None:
    world = World()
    world.draw(4.0, 900.0)
    world.charging(energy=WattHours(20.0))
    world.run_until("ended energy_limit", within=100)
    settled = world.settlement()
    assert 20.0 <= settled.record.energy <= 21.5
    assert world.loads[PortId("A01")].energy_at(world.now) - 5000 == pytest.approx(20.0, abs=1.5)


@pytest.mark.long
def test_the_register_pulls_the_energy_at_every_checkpoint() -> None:
    """Watts of a meter that reads 20 % low do not sell a fifth of the energy for nothing."""
    world = World()
    world.charging()
    world.meters[PortId("A01")].script = [(2.0, 240.0)] * 4000
    world.run(1800)
    record = world.view().session
    assert record is not None
    assert record.energy == pytest.approx(150, abs=7), "30 min at 300 W, a minute's error at most"
    assert record.last_register is not None
    assert record.last_register > 5100


@pytest.mark.long
def test_totals_are_told_every_quarter_of_an_hour() -> None:
    world = World()
    world.charging()
    world.run(3600)
    told = [fact for _, fact in world.facts if isinstance(fact, SessionUpdated)]
    assert len(told) == 4
    assert [round(fact.record.energy / 75) for fact in told] == [1, 2, 3, 4]


@pytest.mark.long
def test_a_meter_that_refreshes_each_second_with_all_in_one_block() -> None:
    meter = MeterPlan(board=BoardId("meter-a"), refresh=Seconds(1.0), power_every=Seconds(1.0))
    world = World(port_plan(meter=meter), poll=0.25)
    world.meters[PortId("A01")].together = True
    session = world.charging()
    assert world.when("persist") - world.when("state starting") < 2.5, "two refreshes apart, not two polls"
    world.run(300)
    world.stop(session=session)
    world.run(5)
    settled = world.settlement()
    assert settled.record.energy == pytest.approx(25, abs=1.2)
    assert settled.quality is EnergyQuality.EXACT


def test_a_board_without_leases_is_read_back_instead() -> None:
    world = World(port_plan(lease=None))
    session = world.charging()
    world.run(120)
    world.tells_not("renew")
    assert world.state() is PortState.CHARGING
    world.stop(session=session)
    world.run(1)
    world.tells("close", "contact closed", "started", "open", "contact open", "ended remote")


def test_an_idle_port_is_read_now_and_then() -> None:
    world = World()
    world.run(60)
    readings = [at for at, event in world.events if type(event).__name__ == "MeterReading"]
    assert len(readings) == pytest.approx(60 / IDLE_POLL, abs=1)


@pytest.mark.long
def test_ports_charge_beside_each_other() -> None:
    plans = [port_plan(f"A{number:02}", number) for number in range(1, 13)]
    world = World(*plans)
    for plan in plans:
        world.charging(plan.id)
    world.run(120)
    for plan in plans:
        assert world.state(plan.id) is PortState.CHARGING
        world.stop(plan.id, source=Source.LOCAL)
    world.run(5)
    assert {settled.reason for settled in world.settlements()} == {StopReason.LOCAL}
    assert len(world.settlements()) == 12


def test_a_view_changes_nothing() -> None:
    world, looked_at = World(), World()
    for each in (world, looked_at):
        each.charging()
    for _ in range(100):
        world.run(0.7)
        looked_at.run(0.35)
        assert looked_at.view() == looked_at.view()
        looked_at.run(0.35)
    mine, other = world.view().session, looked_at.view().session
    assert mine is not None
    assert other is not None
    assert replace(mine, at=other.at).energy == pytest.approx(other.energy)


def test_what_flowed_before_the_relay_moved_is_not_shown_as_what_flows() -> None:
    world = World(poll=0.5, separate=True)
    session = world.charging()
    world.run(5)
    assert world.view().measured.power == 300.0
    world.stop(session=session)
    world.run(10)
    assert world.view().measured.power == 0.0
    world.start()
    world.run_until("contact closed")
    while not world.view().relay_closed:
        world.run(0.01)
    shown = world.view().measured
    assert shown.power in {None, 300.0}, "no power of an open relay"
    assert shown.current != 0.0
    world.run(5)
    assert world.view().measured.power == 300.0
