"""Sessions after an outage of the gateway: which go on, what proves that they may, and what is counted once."""

from dataclasses import replace
from itertools import pairwise
from typing import Any

import pytest

from chargerd.core.commands import Answer, Code, ReplyStatus
from chargerd.core.events import MeterReading, TemperatureReading
from chargerd.core.facts import SessionSuspended
from chargerd.core.moment import ClockQuality, Moment
from chargerd.core.plan import CircuitPlan, Limits, PortPlan, StationPlan
from chargerd.core.session import (
    Clearing,
    EnergyQuality,
    Interruption,
    Latch,
    SessionRecord,
    Settlement,
    StopReason,
)
from chargerd.core.station import Station
from chargerd.core.units import (
    Amps,
    Celsius,
    CircuitId,
    CommandId,
    Instant,
    PortId,
    Seconds,
    Volts,
    WattHours,
    Watts,
)
from chargerd.core.view import PortState
from tests.core.plant import BOOT, port_plan
from tests.core.world import World
from tests.judging import every

A01 = PortId("A01")
WINDOW = Seconds(1800.0)
UP = Seconds(BOOT)
"""How long the machine has been up when a world begins."""


def site(*ports: PortPlan, window: Seconds = WINDOW) -> StationPlan:
    return StationPlan(
        ports=ports or (port_plan(),),
        circuits=(CircuitPlan(id=CircuitId("shed"), rating=Amps(63.0)),),
        resume_window=window,
        tariff_tiers=(Watts(150.0), Watts(400.0)),
    )


def charged(seconds: float = 200.0) -> World:
    """A world whose port has charged for a while."""
    world = World(site=site())
    world.charging()
    world.run(seconds)
    return world


def kept(world: World) -> SessionRecord:
    (record,) = world.journal.records.values()
    return record


def found(outage: float, *, window: Seconds = WINDOW, **changes: object) -> tuple[World, SessionRecord]:
    """A world after a reboot, and the record it finds: made `outage` seconds before it begins."""
    made = World(site=site())
    made.charging()
    made.run(130)
    world = World(site=site(window=window), begin=False)
    wall_ms = world.moment().wall_ms
    assert wall_ms is not None
    at = Moment(instant=Instant(70.0), boot=0, wall_ms=wall_ms - round(outage * 1000), clock=ClockQuality.NTP)
    record = replace(kept(made), at=at, **changes)  # type: ignore[arg-type]  # the caller names members
    load, old = world.loads[A01], made.loads[A01]
    load.energy = old.energy_at(made.now)
    return world, record


def begin(world: World, record: SessionRecord, **also: object) -> None:
    world.journal.records[record.order.session] = record
    world.begin([record], **also)  # type: ignore[arg-type]  # passed on


def flowed(world: World, record: SessionRecord) -> float:
    """Return the watt-hours the meter has counted since the session's start."""
    assert record.meter_start is not None
    return world.loads[A01].energy_at(world.now) - record.meter_start


def only(settlements: list[Settlement]) -> Settlement:
    assert len(settlements) == 1, settlements
    return settlements[0]


@pytest.mark.long
def test_a_session_goes_on_after_a_kill_and_is_settled_once_with_all_its_energy() -> None:
    world = charged(200)
    before = kept(world)
    world.restart(after=10.0)
    assert world.state() is PortState.SUSPENDED
    assert not world.settlements()
    world.run(40)
    world.tells("suspended power_loss", "resumed", "state charging")
    world.run(100)
    world.stop(session=before.order.session)
    world.run(10)
    settled = only(world.settlements())
    assert settled.reason is StopReason.REMOTE
    assert settled.quality is EnergyQuality.EXACT
    assert settled.record.energy == pytest.approx(flowed(world, before), abs=2.0)
    assert settled.record.started == before.started
    assert world.count("started") == 1, "the backend hears of one start"


def test_it_goes_through_the_whole_start_sequence() -> None:
    world = charged(100)
    world.restart(after=1.0)
    cut = len(world.lines())
    world.run(40)
    after = [line for line in world.lines()[cut:] if line in {"open", "read energy", "persist", "close"}]
    assert after[:3] == ["read energy", "persist", "close"], "it was opened at the very start already"
    assert world.lines().index("suspended power_loss") < cut


def test_it_closes_no_more_when_the_register_shows_that_all_was_drawn_unseen() -> None:
    world = charged(200)
    before = kept(world)
    limits = replace(before.order.limits, energy=WattHours(before.energy + 1.0))
    world.journal.records[before.order.session] = replace(before, order=replace(before.order, limits=limits))
    world.run(20)
    closings = world.count("close")
    world.restart(after=10.0)
    world.run(60)
    assert world.count("close") == closings
    settled = only(world.settlements())
    assert settled.reason is StopReason.ENERGY_LIMIT
    assert settled.record.energy == pytest.approx(flowed(world, before), abs=2.0)


def test_what_is_counted_is_counted_once() -> None:
    world = charged(200)
    before = kept(world)
    crashed = world.now
    world.restart(after=30.0)
    back = world.now
    closed = world.run_until("resumed", within=60) + BOOT
    world.run(120)
    record = world.view().session
    assert record is not None
    unwatched = back - before.at.instant
    assert record.outages == pytest.approx(unwatched)
    assert record.suspended == pytest.approx(closed - before.at.instant, abs=0.2)
    assert record.charging == pytest.approx(before.charging + world.now - closed, abs=0.2)
    assert record.charging < crashed - before.started.instant + world.now - closed, "never more than was seen"
    assert sum(tier.charging for tier in record.tiers) == pytest.approx(record.charging)
    assert sum(tier.energy for tier in record.tiers) == pytest.approx(record.energy)
    assert record.elapsed == pytest.approx(world.now - before.started.instant)
    (interruption,) = record.interruptions
    assert (interruption.since, interruption.reason) == (before.at, "power_loss")
    assert interruption.until is not None


def test_a_reboot_within_the_window_is_proved_by_the_clock() -> None:
    world, record = found(UP + 60)
    begin(world, record)
    world.run_until("resumed", within=60)
    again = world.view().session
    assert again is not None
    assert again.outages == pytest.approx(UP + 60)


def test_the_window_itself_is_within_it_and_a_second_more_is_not() -> None:
    world, record = found(1800)
    begin(world, record)
    world.run_until("resumed", within=60)
    world, record = found(1801)
    begin(world, record)
    settled = only(world.settlements())
    assert (settled.reason, settled.ended, settled.record) == (StopReason.POWER_LOSS, record.at, record)


@pytest.mark.parametrize("clock", [ClockQuality.NTP, ClockQuality.NONE])
def test_a_window_of_nothing_resumes_nothing(clock: ClockQuality) -> None:
    world, record = found(UP + 60, window=Seconds(0.0))
    world.time_from = clock
    begin(world, record)
    assert only(world.settlements()).reason is StopReason.POWER_LOSS


def test_the_outage_ends_with_the_start_of_the_daemon_not_with_the_first_reading() -> None:
    world, record = found(1790)
    world.meters[A01].silent = True
    begin(world, record)
    world.run(60)
    world.meters[A01].silent = False
    world.run_until("resumed", within=60)


def test_a_clock_that_proves_nothing_is_waited_for() -> None:
    world, record = found(UP + 60)
    world.time_from = ClockQuality.NONE
    begin(world, record)
    world.run(100)
    assert world.state() is PortState.SUSPENDED
    assert not world.settlements()
    world.tells_not("close")
    world.time_from = ClockQuality.NTP
    world.run_until("resumed", within=60)
    again = world.view().session
    assert again is not None
    assert again.outages == pytest.approx(UP + 60, abs=0.1)


def test_but_for_two_minutes_only() -> None:
    world, record = found(UP + 60)
    world.time_from = ClockQuality.NONE
    begin(world, record)
    began = world.elapsed
    ended = world.run_until("ended power_loss", within=150)
    assert ended - began == pytest.approx(120, abs=0.1)
    settled = only(world.settlements())
    assert (settled.ended, settled.record) == (record.at, record), "at its last checkpoint"
    world.tells_not("close")
    world.run(5)
    assert world.state() is PortState.AVAILABLE


def test_a_clock_that_comes_and_proves_a_long_outage_ends_it_at_once() -> None:
    world, record = found(2000)
    world.time_from = ClockQuality.NONE
    begin(world, record)
    world.run(20)
    world.time_from = ClockQuality.RTC
    world.run(10)
    settled = only(world.settlements())
    assert (settled.reason, settled.ended) == (StopReason.POWER_LOSS, record.at)
    world.tells_not("close")


@pytest.mark.parametrize("outage", [-60.0, 60.0, -3 * 365 * 86400.0])
def test_a_clock_that_went_back_or_tells_less_than_this_boot_is_old_proves_nothing(outage: float) -> None:
    world, record = found(outage)
    begin(world, record)
    world.run(119)
    assert not world.settlements()
    world.tells_not("close")
    world.run(2)
    assert only(world.settlements()).record == record


def test_a_record_made_without_a_clock_proves_nothing() -> None:
    world, record = found(UP + 60)
    record = replace(record, at=replace(record.at, wall_ms=None, clock=ClockQuality.NONE))
    begin(world, record)
    world.run(121)
    assert only(world.settlements()).record == record


def test_within_one_boot_the_wall_clock_may_be_set_as_it_likes() -> None:
    world = charged()
    world.clock_step_ms = 3 * 365 * 86_400_000
    world.restart(after=5.0)
    world.run_until("resumed", within=60)


@pytest.mark.parametrize(
    "changes",
    [
        {"charged": False},
        {"ending": StopReason.OVERPOWER},
        {"charging": Seconds(36000.0)},
        {"elapsed": Seconds(86400.0 - BOOT - 60.0)},
        {"meter_start": None},
    ],
    ids=lambda changes: next(iter(changes)),
)
def test_what_was_over_does_not_go_on(changes: dict[str, Any]) -> None:
    world, record = found(UP + 60, **changes)
    begin(world, record)
    settled = only(world.settlements())
    assert settled.reason is (record.ending or StopReason.POWER_LOSS)
    assert settled.ended == record.at


def outages(count: int) -> tuple[Interruption, ...]:
    """So many outages, and as many suspensions for other reasons, which do not count."""
    moment = Moment(instant=Instant(20.0), boot=0, wall_ms=None, clock=ClockQuality.NONE)
    reasons = (StopReason.POWER_LOSS, StopReason.METER_LOST) * count
    return tuple(Interruption(since=moment, until=moment, reason=reason) for reason in reasons)


def test_a_session_goes_on_ten_times_and_not_once_more() -> None:
    world, record = found(UP + 60, interruptions=outages(9))
    begin(world, record)
    world.run_until("resumed", within=60)
    world, record = found(UP + 60, interruptions=outages(10))
    begin(world, record)
    world.run(60)
    assert only(world.settlements()).reason is StopReason.POWER_LOSS


def test_an_energy_that_was_delivered_is_not_delivered_again() -> None:
    world, record = found(UP + 60)
    limits = replace(record.order.limits, energy=WattHours(5.0))
    begin(world, replace(record, order=replace(record.order, limits=limits), energy=WattHours(5.0)))
    assert only(world.settlements()).reason is StopReason.POWER_LOSS


def test_a_port_that_is_held_resumes_nothing() -> None:
    _, record = found(UP + 60)
    latch = Latch(port=A01, function="overcurrent_instant", clearing=Clearing.REMOTE)
    world = World(site=site(), latches=[latch], begin=False)
    begin(world, record)
    assert only(world.settlements()).reason is StopReason.POWER_LOSS
    assert world.state() is not PortState.SUSPENDED


def test_nor_does_one_whose_limits_were_lowered_meanwhile() -> None:
    _, record = found(UP + 60)
    world = World(site=site(port_plan(limits=replace(Limits(), power=Watts(500.0)))), begin=False)
    begin(world, record)
    assert only(world.settlements()).reason is StopReason.POWER_LOSS


def test_nor_one_somebody_had_asked_to_end() -> None:
    world, record = found(UP + 60)
    begin(world, record, stopped={A01})
    assert only(world.settlements()).reason is StopReason.POWER_LOSS


def test_a_trip_that_was_not_settled_before_the_crash_stays_a_trip() -> None:
    world = charged()
    world.by_hand()
    world.show(4.0, 1600.0)
    world.tells("tripped overpower")
    world.run(0.02)
    world.restart(after=1.0)
    assert only(world.settlements()).reason is StopReason.OVERPOWER
    world.run(60)
    assert world.count("close") == 1


def test_it_can_be_stopped_while_it_waits() -> None:
    world, record = found(UP + 60)
    world.time_from = ClockQuality.NONE
    begin(world, record)
    world.run(10)
    command = world.stop(session=record.order.session)
    world.run(5)
    settled = only(world.settlements())
    assert (settled.reason, settled.ended) == (StopReason.REMOTE, record.at)
    assert world.answers(command) == ["accepted ok", "done ok"]
    assert world.state() is PortState.AVAILABLE


def test_nobody_else_is_started_meanwhile() -> None:
    world, record = found(UP + 60)
    world.time_from = ClockQuality.NONE
    begin(world, record)
    world.run(10)
    assert world.view().blocked_by[0] is Code.BUSY
    world.start()
    world.tells("answer start rejected busy")


def test_a_start_that_was_not_answered_yet_is_answered_then() -> None:
    world, record = found(UP + 60, peak_power=Watts(0.0), charging=Seconds(30.0))
    command = record.order.command
    assert command is not None
    begin(world, record, unanswered={command})
    world.run(60)
    assert world.answers(command) == ["done ok"]
    world, record = found(UP + 60)
    begin(world, record)
    world.run(60)
    assert world.answers(command) == []


def test_a_meter_that_stays_silent_ends_it() -> None:
    world = charged()
    world.meters[A01].silent = True
    world.restart(after=1.0)
    world.run(130)
    assert only(world.settlements()).reason is StopReason.POWER_LOSS
    world.tells_not("resumed")


def test_outages_do_not_use_up_its_suspensions() -> None:
    world = charged()
    for _ in range(5):
        world.restart(after=5.0)
        world.run_until("state charging", within=60)
        world.run(30)
    record = world.view().session
    assert record is not None
    assert [one.reason for one in record.interruptions] == ["power_loss"] * 5
    world.meters[A01].silent = True
    world.run(10)
    assert world.state() is PortState.SUSPENDED
    assert not world.settlements()


def test_a_second_crash_before_it_goes_on_is_one_interruption() -> None:
    world = charged()
    before = kept(world)
    world.restart(after=5.0)
    world.run(0.5)
    world.restart(after=5.0)
    world.run_until("resumed", within=60)
    record = world.view().session
    assert record is not None
    (interruption,) = record.interruptions
    assert interruption.since == before.at
    assert world.loads[A01].energy_at(world.now) >= 5000


def test_a_suspension_ends_where_the_outage_begins() -> None:
    world = charged()
    world.meters[A01].silent = True
    world.run(65)
    suspended = world.view().session
    assert suspended is not None
    at = kept(world).at
    world.meters[A01].silent = False
    world.restart(after=5.0)
    world.run_until("resumed", within=60)
    record = world.view().session
    assert record is not None
    assert [(one.reason, one.until is not None) for one in record.interruptions] == [
        ("meter_stale", True),
        ("power_loss", True),
    ]
    assert record.interruptions[0].until == at


def test_a_register_that_was_replaced_meanwhile_makes_it_an_estimate() -> None:
    world = charged()
    world.restart(after=5.0)
    world.loads[A01].energy = 17.0
    world.run_until("resumed", within=60)
    world.run(30)
    world.stop(session=str(kept(world).order.session))
    world.run(10)
    settled = only(world.settlements())
    assert (settled.quality, settled.quality_reason) == (EnergyQuality.ESTIMATED, "register_went_back")


def test_what_made_it_an_estimate_before_is_not_forgotten() -> None:
    world, record = found(UP + 60, doubt="register_jumped")
    begin(world, record)
    world.run(60)
    world.stop(session=record.order.session)
    world.run(10)
    assert only(world.settlements()).quality_reason == "register_jumped"


@pytest.mark.long
def test_many_come_back_one_after_the_other_after_a_reboot() -> None:
    names = [f"A{number:02}" for number in range(1, 7)]
    world = World(site=site(*(port_plan(name, number) for number, name in enumerate(names, 1))))
    for name in names:
        world.charging(name)
    world.run(70)
    for session, record in world.journal.records.items():
        assert record.at.wall_ms is not None
        before = replace(record.at, boot=0, wall_ms=record.at.wall_ms - round((UP + 200.0) * 1000))
        world.journal.records[session] = replace(record, at=before)
    world.restart(after=5.0)
    world.run(60)
    times = sorted(world.when("close", name, nth=2) for name in names)
    assert times[-1] - times[0] > 5.0
    assert every(later - earlier >= 0.999 for earlier, later in pairwise(times)), times
    assert {world.state(name) for name in names} == {PortState.CHARGING}


def test_the_backend_hears_of_the_outage_when_the_daemon_is_back() -> None:
    world = charged()
    world.restart(after=5.0)
    told = [fact for _, fact in world.facts if isinstance(fact, SessionSuspended)]
    assert [(fact.reason, fact.record.energy > 0) for fact in told] == [("power_loss", True)]


@pytest.mark.long
def test_a_battery_taken_is_still_told_by_the_shape_from_before() -> None:
    world = charged(300)
    record = kept(world)
    assert record.level == pytest.approx(300.0, abs=5)
    world.restart(after=5.0)
    world.run_until("resumed", within=60)
    world.draw(0.1, 14.0)
    world.run_until("ended unplugged", within=700)
    assert only(world.settlements()).confidence == pytest.approx(0.7)


def test_two_records_of_one_port_do_not_both_go_on() -> None:
    world, record = found(UP + 60)
    other = replace(record, order=replace(record.order, session="session-9"))  # type: ignore[arg-type]
    world.begin([record, other])
    assert [one.record.order.session for one in world.settlements()] == ["session-9"]


def test_an_answer_is_not_given_for_a_port_nobody_knows() -> None:
    _, record = found(UP + 60)
    station = Station(site(port_plan("B07")), World().moment())
    outcome = station.begin([record], World().moment(), unanswered={CommandId("start-1")})
    assert not [told for told in outcome.commands if isinstance(told, Answer) and told.status is ReplyStatus.DONE]
    assert len(outcome.facts) == 1


@pytest.mark.long
@pytest.mark.parametrize(
    ("model", "told"),
    [
        ("heat", "tripped port_temperature"),
        ("mains", "suspended overvoltage"),
        ("frozen", "suspended meter_frozen"),
        ("thermal", "tripped overcurrent_thermal"),
    ],
)
def test_what_is_known_of_a_port_protects_a_session_that_goes_on_too(model: str, told: str) -> None:
    world = charged(200)
    world.restart(after=10.0)
    world.run_until("resumed", within=60)
    if model == "frozen":
        world.meters[A01].register = lambda _counted: 5000.0
    elif model == "thermal":
        world.draw(5.4, 900.0)
    else:
        for _ in range(20):
            at = Instant(world.now)
            if model == "heat":
                world.tell(TemperatureReading(port=A01, at=at, celsius=Celsius(75.0)))
            else:
                world.tell(MeterReading(port=A01, at=at, voltage=Volts(270.0)))
            world.run(2)
    world.run(1200 if model in {"frozen", "thermal"} else 1)
    world.tells(told)
    assert bool(world.view().latches) is (model in {"heat", "thermal"}), (
        "the wire is hot, not only the order's own limit"
    )
