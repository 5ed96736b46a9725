"""A daemon that is stopped in order: sessions wait for the next one, and go on; or all end, and nothing starts."""

from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise

import pytest

from chargerd.core.commands import CloseRelay, Code, Pace, SetPace
from chargerd.core.events import RestartRequested
from chargerd.core.plan import CircuitPlan, StationPlan
from chargerd.core.session import EnergyQuality, StopReason, Waits
from chargerd.core.units import Amps, CircuitId, CommandId, PortId, Seconds, WattHours
from chargerd.core.view import PortState
from tests.core.plant import BOOT, port_plan
from tests.core.sheds import CONTACTOR, SWITCH
from tests.core.sheds import shed as shed_behind
from tests.core.world import World
from tests.scenarios.test_commands import locked_out, tripped, unknown
from tests.scenarios.test_queues import queued
from tests.scenarios.test_requests import (
    WITH_SESSION,
    available,
    charging,
    closing,
    first_reading,
    opening,
    persisting,
    resuming,
    starting,
    stopping,
    suspended,
)
from tests.scenarios.test_reserving import disabled
from tests.scenarios.test_resuming import UP, begin, charged, found, kept, only, outages, site
from tests.scenarios.test_voltage import supplied, volts

A01 = PortId("A01")
TWELVE = tuple(f"A{number:02d}" for number in range(1, 13))


def shed(names: tuple[str, ...], *, rating: float = 125.0, queue_for: float = 0.0) -> World:
    ports = tuple(port_plan(name, number) for number, name in enumerate(names, 1))
    return World(
        site=StationPlan(
            ports=ports,
            circuits=(CircuitPlan(id=CircuitId("shed"), rating=Amps(rating)),),
            resume_window=Seconds(1800.0),
            queue_for=Seconds(queue_for),
        )
    )


def closings(world: World, names: tuple[str, ...]) -> list[float]:
    """Return when the relays closed since the newest of them opened, in order."""
    return sorted(world.contacts[PortId(name)].edges[-1][0] for name in names)


def gaps(world: World, names: tuple[str, ...]) -> list[float]:
    """Return for how long each contact was open the last time."""
    found = []
    for name in names:
        (opened, was, _), (closed, now, _) = world.contacts[PortId(name)].edges[-2:]
        assert (was, now) == (False, True)
        found.append(closed - opened)
    return found


def test_a_restart_interrupts_a_session_and_does_not_end_it() -> None:
    world = charged(200)
    before = kept(world)
    world.restart_in_order()
    assert world.state() is PortState.SUSPENDED
    assert not world.settlements()
    world.run_until("resumed", within=10)
    world.run(100)
    world.stop(session=before.order.session)
    world.run(10)
    settled = only(world.settlements())
    (interruption,) = settled.record.interruptions
    assert (settled.reason, settled.quality, interruption.reason) == (
        StopReason.REMOTE,
        EnergyQuality.EXACT,
        "restart",
    )
    flowed = world.loads[A01].energy_at(world.now) - 5000.0
    assert settled.record.energy == pytest.approx(flowed, abs=2.0)
    assert [world.count(line) for line in ("started", "suspended restart", "resumed")] == [1, 1, 1]
    assert world.count("suspended power_loss") == 0, "it was told before"


def test_the_time_of_a_restart_is_not_charging_and_no_second_counts_twice() -> None:
    world = charged(200)
    world.restart_in_order(after=30.0)
    world.run_until("resumed", within=10)
    world.run(60)
    record = world.view().session
    assert record is not None
    edges = world.contacts[A01].edges
    closed = sum(later - at for (at, shut, _), (later, _, _) in pairwise([*edges, (world.now, False, "")]) if shut)
    assert record.charging == pytest.approx(closed, abs=0.3)
    assert record.suspended == pytest.approx(gaps(world, ("A01",))[0], abs=0.3)
    assert record.outages == pytest.approx(30.0, abs=0.5)


def coarse() -> World:
    """A world whose meter counts in steps of ten watt-hours, and has just begun one."""
    port = port_plan()
    world = World(site=site(replace(port, meter=replace(port.meter, energy_resolution=WattHours(10.0)))))
    world.charging()
    world.run(50)
    return world


def drawn_over(end: Callable[[World], None]) -> float:
    """Return what a session has drawn when it goes on, whose register has made its first step meanwhile."""
    world = coarse()
    end(world)
    world.meters[A01].register = lambda _counted: 5012.0
    world.run_until("resumed", within=60)
    record = world.view().session
    assert record is not None
    return record.energy


def test_a_step_of_the_register_is_no_energy_of_a_restart() -> None:
    """Its relay was read back open: nothing can have flowed. After a kill the register alone knows."""

    def unseen(world: World) -> None:
        world.board.silent = True
        world.restart_in_order()
        world.board.silent = False

    assert drawn_over(World.restart_in_order) == pytest.approx(4.2, abs=0.3)
    assert drawn_over(World.restart) == pytest.approx(10.0)
    assert drawn_over(unseen) == pytest.approx(10.0)


def test_what_a_meter_counts_while_the_daemon_is_away_is_not_billed() -> None:
    """Within a minute at the highest power there is, it was: 87 Wh of a load that draws 300 W."""
    world = charged(60)
    world.restart_in_order(after=300.0)
    before = kept(world).energy
    world.loads[A01].energy += 30.0
    world.run_until("resumed", within=60)
    world.run(60)
    world.stop(force=True)
    world.run(10)
    settled = only(world.settlements())
    assert settled.record.energy == pytest.approx(before + 300.0 * 62 / 3600, abs=0.5)
    assert (settled.quality, settled.quality_reason) == (EnergyQuality.ESTIMATED, "register_jumped")


def test_a_slow_meter_makes_up_after_a_restart_for_what_was_drawn_before_it() -> None:
    world = charged(60)
    world.restart_in_order()
    world.loads[A01].energy += 3.0
    world.run_until("resumed", within=60)
    world.stop(force=True)
    world.run(10)
    assert only(world.settlements()).quality is EnergyQuality.EXACT


def test_what_was_made_up_for_is_read_on_from_there() -> None:
    world = charged(60)
    world.restart_in_order()
    world.run_until("resumed", within=60)
    world.meters[A01].lost_energy = True
    world.run(300)
    world.meters[A01].lost_energy = False
    world.run(30)
    world.stop(force=True)
    world.run(10)
    assert only(world.settlements()).quality is EnergyQuality.EXACT


def test_what_waits_is_written_down_before_the_daemon_has_gone() -> None:
    world = charged(100)
    world.tell(RestartRequested())
    end = world.now + 1.5
    while not world.station.idle() and world.now < end:
        world.run(0.05)
    assert world.station.idle()
    written = kept(world)
    assert written.waits == Waits(reason=StopReason.RESTART, patience=Seconds(120.0), opened=True)
    assert not world.contacts[A01].closed
    opened = world.contacts[A01].edges[-1][0]
    assert written.charging == pytest.approx(opened - world.contacts[A01].edges[0][0], abs=0.06)
    assert written.at.instant >= opened


def test_twelve_sessions_of_one_circuit_are_interrupted_for_ten_seconds_at_most_each() -> None:
    world = shed(TWELVE)
    for name in TWELVE:
        world.charging(name)
    world.run(30)
    world.restart_in_order(after=3.0)
    world.run(12)
    assert {world.state(name) for name in TWELVE} == {PortState.CHARGING}
    assert max(gaps(world, TWELVE)) <= 10.0
    assert min(later - at for at, later in pairwise(closings(world, TWELVE))) >= 0.25


def test_nor_does_a_kill_within_one_boot_interrupt_them_for_longer() -> None:
    world = shed(TWELVE)
    for name in TWELVE:
        world.charging(name)
    world.run(30)
    world.restart(after=1.0)
    world.run(14)
    assert {world.state(name) for name in TWELVE} == {PortState.CHARGING}
    assert min(later - at for at, later in pairwise(closings(world, TWELVE))) >= 0.25


def test_after_a_reboot_they_come_back_over_half_a_minute_as_after_any_return_of_the_mains() -> None:
    names = TWELVE[:4]
    made = shed(names)
    for name in names:
        made.charging(name)
    made.run(30)
    made.tell(RestartRequested())
    made.run(1.5)
    world = World(site=made.plan, begin=False)
    wall_ms = world.moment().wall_ms
    assert wall_ms is not None
    for record in made.journal.records.values():
        at = replace(record.at, boot=0, wall_ms=wall_ms - round((UP + 60.0) * 1000))
        world.journal.records[record.order.session] = replace(record, at=at)
        world.loads[record.order.port].energy = made.loads[record.order.port].energy_at(made.now)
    world.begin(tuple(world.journal.records.values()))
    world.run(45)
    assert {world.state(name) for name in names} == {PortState.CHARGING}
    shut = closings(world, names)
    assert shut[-1] - shut[0] > 5.0
    assert min(later - at for at, later in pairwise(shut)) >= 1.0


def test_a_start_after_the_return_keeps_its_second() -> None:
    world = shed(TWELVE[:2])
    world.charging("A01")
    world.run(30)
    world.restart_in_order()
    world.run_until("state charging", within=10)
    world.charging("A02")
    assert world.contacts[PortId("A02")].edges[-1][0] - world.contacts[A01].edges[-1][0] >= 1.0


def test_one_that_is_suspended_after_its_return_keeps_its_second_again() -> None:
    world = shed(TWELVE[:2])
    world.charging("A01")
    world.run(30)
    world.restart_in_order()
    world.run_until("state charging", within=10)
    world.meters[A01].silent = True
    world.run(6)
    world.by_itself()
    world.start("A02")
    world.run(10)
    first, second = closings(world, TWELVE[:2])
    assert second - first >= 1.0


@pytest.mark.parametrize("situation", WITH_SESSION)
def test_every_relay_is_opened_whatever_goes_on(situation: Callable[[], World]) -> None:
    world = situation()
    world.tell(RestartRequested())
    world.run(8)
    assert world.station.idle()
    assert not world.contacts[A01].closed
    charged_before = situation in {charging, suspended, resuming}
    assert (world.state() is PortState.SUSPENDED) is charged_before
    assert len(world.settlements()) == (not charged_before)


def test_a_port_without_a_session_is_left_as_it_is() -> None:
    for situation in (available, tripped, locked_out, unknown, disabled):
        world = situation()
        state, settled = world.state(), len(world.settlements())
        world.tell(RestartRequested())
        world.run(1)
        assert (world.state(), len(world.settlements())) == (state, settled)


@pytest.mark.parametrize("situation", [starting, persisting, closing, first_reading])
def test_what_has_not_charged_yet_ends_by_the_restart(situation: Callable[[], World]) -> None:
    world = situation()
    world.tell(RestartRequested())
    world.run(5)
    assert world.station.idle()
    assert only(world.settlements()).reason is StopReason.RESTART
    assert world.answers("start-1")[-1].startswith("failed")


def test_what_waits_for_its_circuit_ends_by_the_restart() -> None:
    world = queued()
    world.tell(RestartRequested())
    world.run(5)
    assert [one.reason for one in world.settlements()] == [StopReason.RESTART]
    assert (world.state("A01"), world.state("A02")) == (PortState.SUSPENDED, PortState.AVAILABLE)
    assert world.answers("start-2")[-1].startswith("failed")


@pytest.mark.parametrize("situation", [stopping, opening])
def test_what_is_being_ended_ends_for_its_own_reason_and_once(situation: Callable[[], World]) -> None:
    for within in (0.0, 5.0):
        world = situation()
        world.restart_in_order(within=within)
        world.run(20)
        assert only(world.settlements()).reason is StopReason.REMOTE
        assert world.state() is PortState.AVAILABLE


def waiting_for_its_meter(seconds: float) -> World:
    world = charged(100)
    world.meters[A01].silent = True
    world.run_until("suspended meter_stale", within=10)
    world.run(seconds)
    return world


def test_what_waits_already_goes_on_waiting_for_the_same_and_no_longer() -> None:
    world = waiting_for_its_meter(90)
    since = world.now - 90
    world.restart_in_order(after=5.0)
    record = world.view().session
    assert record is not None
    assert [one.reason for one in record.interruptions] == ["meter_stale"]
    ended = world.run_until("ended meter_lost", within=60)
    assert ended + BOOT - since == pytest.approx(120 + 5.0 + 1.5, abs=5), "the time of the restart is not counted"
    assert world.count("suspended restart") == 0
    assert world.count("suspended power_loss") == 0


def test_a_meter_that_is_back_after_the_restart_lets_it_go_on() -> None:
    world = waiting_for_its_meter(119)
    world.restart_in_order()
    world.run(2)
    world.by_itself()
    world.run_until("resumed", within=8)
    record = world.view().session
    assert record is not None
    assert [one.reason for one in record.interruptions] == ["meter_stale"]


def test_restarts_again_and_again_do_not_let_it_wait_for_ever() -> None:
    world = waiting_for_its_meter(1)
    for _ in range(40):
        world.restart_in_order(after=2.0)
        world.run(11)
        if world.settlements():
            break
    settled = only(world.settlements())
    assert settled.reason is StopReason.METER_LOST
    assert settled.record.suspended - settled.record.outages < 150


def test_a_voltage_is_waited_for_by_its_name_over_a_restart() -> None:
    world = supplied("A01")
    world.plan = replace(world.plan, resume_window=Seconds(1800.0))
    volts(world, 270.0)
    world.run_until("suspended overvoltage", within=10)
    world.run(10)
    world.restart_in_order()
    world.run(5)
    volts(world, 230.0)
    back = world.now
    again = world.run_until("resumed", within=120) + BOOT
    assert again - back >= 60


def test_one_that_is_not_proved_to_go_on_yet_is_left_as_it_was_found() -> None:
    world = charged(200)
    before = kept(world)
    world.restart(after=10.0)
    world.tell(RestartRequested())
    world.run(0.3)
    assert kept(world) == before
    world.restart(after=2.0)
    world.run_until("resumed", within=60)
    record = world.view().session
    assert record is not None
    (interruption,) = record.interruptions
    assert (interruption.since, interruption.reason) == (before.at, "power_loss")


def test_a_restart_while_it_comes_back_is_one_more_interruption() -> None:
    world = charged(100)
    world.restart_in_order()
    world.run_until("state starting", within=10)
    world.restart_in_order()
    world.run_until("state charging", within=10)
    record = world.view().session
    assert record is not None
    assert {one.reason for one in record.interruptions} == {"restart"}
    assert None not in {one.until for one in record.interruptions}


def test_stopped_for_longer_than_an_outage_may_last_it_has_ended_by_the_restart() -> None:
    world = charged(100)
    world.restart_in_order(after=1801.0)
    settled = only(world.settlements())
    assert (settled.reason, settled.quality_reason) == (StopReason.RESTART, "interrupted")
    assert settled.detail is not None
    assert settled.detail.function == "interrupted"
    assert settled.record.suspended < 1.0, "it ended when the daemon did"


def test_a_clock_that_proves_nothing_ends_it_by_the_restart_too() -> None:
    world, record = found(UP + 60, waits=Waits(reason=StopReason.RESTART, patience=Seconds(120.0)))
    world.time_from = type(world.time_from).NONE
    begin(world, record)
    world.run(121)
    assert only(world.settlements()).reason is StopReason.RESTART


@pytest.mark.parametrize("in_order", [True, False])
def test_a_session_does_not_go_on_at_a_port_that_is_wired_otherwise_now(in_order: bool) -> None:
    """Its name is the same, but another socket would be switched on, or another register read."""
    end: Callable[[World], None] = World.restart_in_order if in_order else World.restart
    world = World(site=site(replace(port_plan(), wired="relay /dev/a 1, meter /dev/a 2")))
    world.charging()
    world.run(100)
    end(world)
    world.run_until("resumed", within=60)
    world.run(10)
    world.plan = replace(world.plan, ports=(replace(port_plan(), wired="relay /dev/a 3, meter /dev/a 2"),))
    closed = world.count("close")
    end(world)
    world.run(60)
    settled = only(world.settlements())
    assert settled.reason is (StopReason.RESTART if in_order else StopReason.POWER_LOSS)
    assert settled.record.wired == "relay /dev/a 1, meter /dev/a 2"
    assert world.state() is PortState.AVAILABLE
    assert world.count("close") == closed


def test_one_that_was_kept_before_its_wiring_was_goes_on_and_keeps_it() -> None:
    waits = Waits(reason=StopReason.RESTART, patience=Seconds(120.0))
    world, record = found(UP + 60, waits=waits, wired=None)
    begin(world, record)
    world.run_until("resumed", within=60)
    world.run(70)
    assert kept(world).wired == ""


def test_a_session_goes_on_ten_times_after_restarts_as_after_outages() -> None:
    waits = Waits(reason=StopReason.RESTART, patience=Seconds(120.0))
    going_on = replace(outages(1)[0], reason="restart", until=None)
    for before, goes_on in ((9, True), (10, False)):
        past = tuple(replace(one, reason="restart") for one in outages(before) if one.reason == "power_loss")
        world, record = found(UP + 60, interruptions=(*past, going_on), waits=waits)
        begin(world, record)
        if goes_on:
            world.run_until("resumed", within=60)
        else:
            assert only(world.settlements()).reason is StopReason.RESTART


def test_a_daemon_that_dies_each_time_it_closes_does_so_ten_times() -> None:
    """Written ahead, told to close, and killed before that was read back."""
    world = charged(100)
    for _ in range(12):
        world.restart(after=1.0)
        if world.settlements():
            break
        world.run_until("close", within=20)
    assert only(world.settlements()).reason is StopReason.POWER_LOSS
    assert world.count("close") == 11


def test_a_relay_nobody_could_read_open_is_opened_before_its_session_goes_on() -> None:
    world = charged(100)
    world.board.silent = True
    world.restart_in_order(after=1.0)
    world.run(10)
    assert world.state() is PortState.SUSPENDED
    world.board.silent = False
    world.run_until("resumed", within=30)
    edges = world.contacts[A01].edges
    assert [shut for _, shut, _ in edges] == [True, False, True]


def test_no_port_is_read_as_a_closed_one_before_its_relay_is_told_to_close() -> None:
    """Else its line has no time for who its boards are, and what waits for that waits for up to a minute."""
    for end in (World.restart_in_order, World.restart):
        world = charged(100)
        cut = len(world.commands)
        end(world, 2.0)
        world.run_until("resumed", within=10)
        said = [one for _, one in world.commands[cut:] if isinstance(one, SetPace | CloseRelay)]
        closing = next(place for place, one in enumerate(said) if isinstance(one, CloseRelay))
        begun = [one.pace for one in said[: closing - 1] if isinstance(one, SetPace)]
        assert begun
        assert Pace.CLOSED not in begun


def test_nothing_goes_on_while_the_daemon_leaves() -> None:
    world = waiting_for_its_meter(5)
    world.tell(RestartRequested())
    world.by_itself()
    world.run(20)
    world.tells_not("resumed")
    assert world.state() is PortState.SUSPENDED


def test_nothing_starts_while_it_leaves() -> None:
    world = World(site=site())
    world.ready()
    world.tell(RestartRequested())
    world.start()
    assert world.answers("start-1") == ["rejected disabled"]


def test_a_start_without_its_last_word_gets_it_when_the_session_goes_on() -> None:
    world = World(site=site())
    world.draw(0.0, 0.0)
    world.charging()
    world.run(5)
    world.tell(RestartRequested())
    world.run(1)
    record = kept(world)
    world.draw(2.0)
    world.life += 1
    world.relay_bus.clear()
    world.meter_bus.clear()
    world.renew()
    world.begin([record], unanswered={CommandId("start-1")})
    world.run(20)
    assert world.answers("start-1")[-1] == "done ok"


def test_draining_lets_nothing_start_and_what_charges_go_on() -> None:
    world = shed(TWELVE[:2])
    world.charging("A01")
    world.drain()
    world.start("A02")
    assert world.answers("start-2") == ["rejected disabled"]
    assert world.view("A02").blocked_by[0] is Code.DISABLED
    world.meters[A01].silent = True
    world.run_until("suspended meter_stale", within=10)
    world.by_itself()
    world.run_until("resumed", within=20)
    world.drain(begin=False)
    world.charging("A02")


def test_draining_lets_what_waits_for_its_circuit_have_its_turn() -> None:
    world = shed(TWELVE[:2], rating=8.0, queue_for=600.0)
    world.charging("A01")
    world.start("A02")
    assert world.state("A02") is PortState.QUEUED
    world.drain()
    world.stop("A01", force=True)
    world.run_until("state charging", within=30)
    assert world.state("A02") is PortState.CHARGING


@pytest.mark.parametrize("held", [False, True])
def test_the_contactor_opens_after_the_relays_and_with_one_that_does_not(held: bool) -> None:
    world = shed_behind(contactor=SWITCH)
    world.plan = replace(world.plan, resume_window=Seconds(1800.0))
    world.charging()
    world.board.silent = held
    world.restart_in_order(after=3.0)
    opened = [one for one in world.contacts[CONTACTOR].edges if not one[1]]
    assert opened or held, "a lease opens it at the latest"
    world.board.silent = False
    world.run(10)
    assert world.state() is PortState.CHARGING
    assert world.contacts[CONTACTOR].edges[-2][1] is False
