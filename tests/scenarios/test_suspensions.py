"""Meters and boards that fall silent: open at once, come back by the whole start sequence, or end."""

from dataclasses import replace

import pytest

from chargerd.core.events import RelayAction, RelayNotWritten
from chargerd.core.faults import FaultKind
from chargerd.core.plan import MeterPlan, Protection, StationPlan
from chargerd.core.session import EnergyQuality, Source, StopReason
from chargerd.core.units import BoardId, Instant, PortId, Seconds
from chargerd.core.view import PortState
from tests.core.plant import BOOT, port_plan
from tests.core.world import World
from tests.judging import every

A01 = PortId("A01")


def test_a_meter_silent_for_three_seconds_opens_the_port() -> None:
    world = World()
    world.charging()
    world.run(10)
    world.by_hand()
    world.show(2.0, 300.0)
    last = world.elapsed
    world.run(2.99)
    assert world.state() is PortState.CHARGING
    world.run(0.02)
    assert world.when("suspended meter_stale") - last == pytest.approx(3.0)
    assert world.state() is PortState.SUSPENDED
    world.run(0.1)
    assert not world.contacts[A01].closed


def test_a_slow_meter_may_miss_three_of_its_own_readings() -> None:
    world = World(port_plan(meter=MeterPlan(board=BoardId("m"), refresh=Seconds(1.4))), poll=0.2)
    world.charging()
    world.run(10)
    world.by_hand()
    world.show(2.0, 300.0)
    last = world.elapsed
    assert world.run_until("suspended meter_stale") - last == pytest.approx(4.2)


def test_power_that_is_missing_is_no_zero() -> None:
    world = World()
    world.charging()
    world.run(10)
    world.by_hand()
    world.show(2.0, 300.0)
    last = world.elapsed
    for _ in range(20):
        world.run(0.5)
        world.show(2.0)
    assert world.when("suspended meter_stale") - last == pytest.approx(6.0), "three readings of power, each 2 s"


def test_faults_are_no_readings() -> None:
    world = World()
    world.charging()
    world.run(10)
    world.meters[A01].silent = True
    world.run(10)
    assert world.state() is PortState.SUSPENDED


def test_a_meter_that_comes_back_resumes_the_session_by_the_whole_start_sequence() -> None:
    world = World()
    session = world.charging()
    world.run(10)
    world.meters[A01].silent = True
    world.run_until("suspended meter_stale")
    world.run(30)
    assert world.count("persist") == 1
    world.by_itself()
    world.run_until("resumed", within=20)
    world.tells(
        "suspended meter_stale",
        "contact open",
        "pace armed",
        "read energy",
        "persist",
        "pace closed",
        "close",
        "contact closed",
        "read relay",
        "resumed",
    )
    assert world.count("persist") == 2, "written ahead anew"
    world.run(60)
    assert world.state() is PortState.CHARGING
    world.stop(session=session)
    world.run(5)
    record = world.settlement().record
    assert len(record.interruptions) == 1
    assert record.suspended == pytest.approx(30, abs=3)
    assert record.charging == pytest.approx(world.contact_time(), abs=0.3)
    assert world.settlement().quality is EnergyQuality.EXACT


def test_good_news_needs_two_readings_after_the_suspension() -> None:
    world = World()
    world.charging()
    world.run(10)
    world.by_hand()
    world.show(0.1, 20.0)
    world.run_until("suspended meter_stale")
    world.run(1)
    world.show(0.0, 0.0)
    world.run(1)
    assert world.state() is PortState.SUSPENDED
    world.show(0.0, 0.0)
    assert world.state() is PortState.STARTING


def test_two_readings_that_disagree_are_none() -> None:
    world = World()
    world.charging()
    world.run(10)
    world.by_hand()
    world.run_until("suspended meter_stale")
    world.run(1)
    for amps in (0.25, 0.0, 0.25, 0.0, 0.19):
        world.show(amps, 0.0)
        if amps != 0.19:
            assert world.state() is PortState.SUSPENDED, amps
        world.run(0.5)
    assert world.state() is PortState.STARTING


def test_a_meter_that_does_not_come_back_ends_the_session_after_two_minutes() -> None:
    world = World()
    world.charging()
    world.run(10)
    world.meters[A01].silent = True
    suspended = world.run_until("suspended meter_stale")
    ended = world.run_until("ended meter_lost", within=150)
    assert ended - suspended == pytest.approx(123, abs=1), "120 s, and 3 s for a register that is not to be had"
    settled = world.settlement()
    assert settled.reason is StopReason.METER_LOST
    assert settled.quality is EnergyQuality.ESTIMATED
    assert settled.quality_reason == "register_not_read"
    assert settled.meter_stop is None
    assert settled.record.charging == pytest.approx(world.contact_time(), abs=0.3)


def test_three_suspensions_are_borne_the_fourth_ends_the_session() -> None:
    world = World()
    world.charging()
    for number in range(1, 4):
        world.run(20)
        world.meters[A01].silent = True
        world.run_until("suspended meter_stale")
        assert world.count("suspended meter_stale") == number
        world.by_itself()
        world.run_until("resumed", within=20)
    world.run(20)
    world.meters[A01].silent = True
    world.run_until("ended suspended_too_long", within=20)
    assert world.count("suspended meter_stale") == 3
    world.run(1)
    assert not world.contacts[A01].closed


def glitch(world: World, seconds: float = 4.0) -> None:
    """Let the meter be silent for some seconds, and its session go on."""
    world.meters[A01].silent = True
    world.run(seconds)
    world.by_itself()
    world.run_until("resumed", within=20)


@pytest.mark.long
def test_four_seconds_every_twenty_minutes_cost_no_charge() -> None:
    world = World()
    world.charging()
    began = world.elapsed
    for number in range(1, 10):
        world.run_to(BOOT + began + 1200.0 * number)
        glitch(world)
    world.run(60)
    assert world.state() is PortState.CHARGING
    assert world.count("suspended meter_stale") == 9
    record = world.view().session
    assert record is not None
    assert record.suspended < 9 * 6.0


@pytest.mark.long
def test_what_began_longer_ago_than_the_hour_counts_no_more() -> None:
    world = World()
    world.charging()
    began = world.elapsed
    glitch(world)
    world.run(1500)
    glitch(world)
    glitch(world)
    world.run_to(BOOT + began + 3500)
    world.meters[A01].silent = True
    world.run_until("ended suspended_too_long", within=20)


def test_suspensions_from_before_a_restart_count_as_well() -> None:
    world = World(site=StationPlan(ports=(port_plan(),), resume_window=Seconds(1800.0)))
    world.charging()
    for _ in range(3):
        glitch(world)
    world.run(70)
    world.restart()
    world.run_until("state charging", within=200)
    world.meters[A01].silent = True
    world.run_until("ended suspended_too_long", within=20)


@pytest.mark.long
def test_half_an_hour_of_suspensions_in_all_ends_the_session() -> None:
    world = World(port_plan(protection=Protection(recover_within=Seconds(3600.0))))
    world.charging()
    world.run(10)
    world.meters[A01].silent = True
    world.run_until("suspended meter_stale")
    world.run(900)
    world.by_itself()
    world.run_until("resumed", within=20)
    world.meters[A01].silent = True
    world.run_until("suspended meter_stale")
    again = world.elapsed
    ended = world.run_until("ended suspended_too_long", within=1000)
    assert ended - again == pytest.approx(900, abs=8)
    assert world.settlement().record.suspended == pytest.approx(1800, abs=4)


def test_a_meter_that_dies_during_the_first_start_fails_it() -> None:
    world = World()
    world.ready()
    world.start()
    world.run_until("close")
    world.meters[A01].silent = True
    world.run(10)
    world.tells("started", "open", "contact open", "ended start_failed")
    assert world.answers("start-1") == ["accepted ok", "failed meter_stale"]


def test_a_meter_that_dies_again_while_its_session_resumes_suspends_it_again() -> None:
    world = World()
    world.charging()
    world.run(10)
    world.meters[A01].silent = True
    world.run_until("suspended meter_stale")
    world.run(10)
    world.by_itself()
    world.run_until("resumed", within=20)
    world.meters[A01].silent = True
    world.run(6)
    assert world.count("suspended meter_stale") == 2
    world.by_itself()
    world.run_until("state charging", within=20)
    world.stop(source=Source.LOCAL)
    world.run(5)
    interruptions = world.settlement().record.interruptions
    assert len(interruptions) == 2
    assert every(each.until is not None for each in interruptions)


def test_time_spent_on_a_resumption_that_fails_counts_as_suspended() -> None:
    """Closing, not yet read back, and the meter dies: two suspensions, and no second is lost or counted twice."""
    world = World(port_plan(protection=Protection(step_timeout=Seconds(8.0))))
    world.charging()
    world.run(10)
    world.by_hand()
    world.run_until("suspended meter_stale")
    world.run(20)
    world.show(0.0, 0.0)
    world.run(0.1)
    world.show(0.0, 0.0)
    world.run(0.1)
    world.board.blind = True
    world.show(0.0, 0.0)
    world.run(0.1)
    world.show(0.0, 0.0)
    world.run(5)
    assert world.count("suspended meter_stale") == 2, world.print()
    world.board.blind = False
    world.by_itself()
    world.run_until("resumed", within=30)
    record = world.view().session
    assert record is not None
    assert every(each.until is not None for each in record.interruptions)
    assert record.suspended + record.charging == pytest.approx(world.elapsed - world.when("close"), abs=0.1)
    assert record.suspended == pytest.approx(world.elapsed - world.when("suspended meter_stale") - 6.0, abs=0.1)


def test_a_resumed_start_that_fails_ends_by_what_had_suspended_it() -> None:
    world = World()
    world.charging()
    world.run(10)
    world.meters[A01].silent = True
    world.run_until("suspended meter_stale")
    world.run(5)
    world.by_itself()
    world.journal.failing = True
    world.run(10)
    assert world.settlement().reason is StopReason.METER_LOST


def test_a_later_start_that_fails_is_not_blamed_on_an_older_suspension() -> None:
    world = World()
    session = world.charging()
    world.run(10)
    world.meters[A01].silent = True
    world.run_until("suspended meter_stale")
    world.by_itself()
    world.run_until("resumed", within=20)
    world.run(2)
    world.stop(session=session)
    world.run(5)
    world.ready()
    world.start()
    world.run_until("close")
    world.meters[A01].silent = True
    world.run(10)
    assert world.settlements()[-1].reason is StopReason.START_FAILED


def test_a_store_that_fails_keeps_a_suspended_session_waiting() -> None:
    world = World()
    world.charging()
    world.run(10)
    world.meters[A01].silent = True
    world.run_until("suspended meter_stale")
    world.store(writable=False)
    world.by_itself()
    world.run(60)
    assert world.state() is PortState.SUSPENDED
    world.store(writable=True)
    world.run_until("resumed", within=10)


def test_renewals_that_fail_suspend_one_second_before_the_lease_ends() -> None:
    world = World()
    world.charging()
    world.run(10)
    world.board.silent = True
    renewed = max(line.at for line in world.book if line.text == "renew")
    suspended = world.run_until("suspended relay_board_lost", within=10)
    assert suspended - renewed == pytest.approx(5, abs=0.1)
    world.run(1.1)
    assert not world.contacts[A01].closed, "its lease has lapsed by itself"
    assert world.contacts[A01].edges[-1][2] == "lapse"
    world.run(20)
    record = world.view().session
    assert record is not None
    assert record.charging == pytest.approx(world.contact_time(), abs=0.3), "no longer than the last lease"
    world.board.silent = False
    world.run_until("resumed", within=30)
    world.tells("suspended relay_board_lost", "contact open", "persist", "close", "resumed")


def test_writes_that_are_carried_out_but_not_echoed_renew_nothing() -> None:
    world = World()
    world.charging()
    world.run(10)
    world.board.mute = True
    world.run_until("suspended relay_board_lost", within=10)
    world.run(0.5)
    assert not world.contacts[A01].closed, "the opening came through, echo or not"


def test_a_late_renewal_is_withheld_and_suspends() -> None:
    plan = port_plan()
    world = World(replace(plan, relay=replace(plan.relay, renew_every=Seconds(4.9))))
    world.charging()
    world.run_until("renew", within=10)
    closed = world.when("close")
    assert world.elapsed - closed == pytest.approx(4.9, abs=0.1)
    edges = len(world.contacts[A01].edges)
    world.run(1.0)
    assert world.state() is PortState.CHARGING
    world.relay_bus.held = True
    world.run(20)
    assert world.state() is PortState.SUSPENDED
    world.relay_bus.release()
    world.run(0.1)
    assert [by for _, _, by in world.contacts[A01].edges[edges:]] == ["lapse"], (
        "nothing was closed behind its back"
    )


@pytest.mark.parametrize("late", [5.6, 7.0])
def test_a_renewal_that_waits_too_long_is_withheld_though_the_core_hangs(late: float) -> None:
    world = World(separate=True, coils=100.0)
    world.charging()
    closed = world.when("close")
    world.run(1)
    world.relay_bus.held = True
    world.run_until("renew", within=10)
    world.wake_late = 100.0
    world.by_hand()
    world.run_to(BOOT + closed + late)
    world.relay_bus.release()
    world.run(0.6)
    assert not world.contacts[A01].closed
    assert len(world.contacts[A01].edges) == 2, "the renewal of an open relay would be a closing"
    assert world.state() is PortState.SUSPENDED


def test_a_bus_that_says_late_is_believed_at_once() -> None:
    world = World()
    world.charging()
    world.tell(
        RelayNotWritten(
            port=A01,
            action=RelayAction.RENEW,
            kind=FaultKind.TIMEOUT,
            at=Instant(world.now),
            sent=False,
            late=True,
        )
    )
    assert world.state() is PortState.SUSPENDED


def test_a_failed_renewal_is_tried_again_while_it_still_can_be() -> None:
    world = World()
    world.charging()
    world.run_until("renew", within=10)
    world.board.silent = True
    world.run(0.15)
    world.board.silent = False
    world.run(30)
    assert world.state() is PortState.CHARGING


def test_current_after_the_lease_locks_the_port_out() -> None:
    world = World()
    world.charging()
    world.run(10)
    world.board.silent = True
    world.contacts[A01].welded = True
    suspended = world.run_until("suspended relay_board_lost", within=10)
    world.run(0.9)
    world.tells_not("locked out relay_board_lost")
    locked = world.run_until("locked out relay_board_lost", within=10)
    assert locked - suspended <= 7.5, "a lease after the last renewal that may have come through"
    assert world.state() is PortState.LOCKED_OUT
    world.run(60)
    assert not world.settlements(), "current still flows"
    world.draw(0.0)
    world.run(5)
    assert world.settlement().reason is StopReason.RELAY_FAULT
    assert world.state() is PortState.LOCKED_OUT


def test_current_after_the_lease_is_held_against_the_relay_when_its_session_is_over() -> None:
    world = World()
    session = world.charging()
    world.run(10)
    world.board.silent = True
    world.contacts[A01].welded = True
    world.stop(session=session)
    world.run(30)
    assert world.state() is PortState.LOCKED_OUT
    world.tells_not("ended remote")
    world.draw(0.0)
    world.run_until("ended remote", within=5)
    assert world.state() is PortState.LOCKED_OUT


def test_a_stop_while_the_board_is_away_is_settled_when_the_lease_has_ended() -> None:
    world = World()
    session = world.charging()
    world.run(10)
    world.board.silent = True
    world.run(1)
    world.stop(session=session)
    asked = world.elapsed
    ended = world.run_until("ended remote", within=30)
    assert 3.0 <= ended - asked <= 7
    assert not world.contacts[A01].closed
    assert world.state() is PortState.UNKNOWN
    assert world.settlement().record.charging == pytest.approx(world.contact_time(), abs=0.3)
    assert world.settlement().quality is EnergyQuality.ESTIMATED
    world.run(60)
    assert world.count("open") > 10, "opened on and on"
    world.board.silent = False
    world.run(10)
    assert world.state() is PortState.AVAILABLE


def test_a_renewal_in_flight_while_the_stop_comes_delays_the_settlement() -> None:
    world = World(separate=True)
    session = world.charging()
    world.run(1)
    world.board.mute = True
    world.run_until("renew", within=10)
    world.run(0.05)
    world.board.silent = True
    world.stop(session=session)
    stopped = world.elapsed
    ended = world.run_until("ended remote", within=30)
    assert ended - stopped == pytest.approx(6.2, abs=0.1), "a lease after the renewal that may have come through"
    assert not world.contacts[A01].closed


@pytest.mark.parametrize("silent_for", [20.0, 200.0])
def test_a_board_without_leases_that_falls_silent_suspends_after_six_seconds(silent_for: float) -> None:
    world = World(port_plan(lease=None))
    world.charging()
    world.run(10)
    world.draw(0.1, 9.0)
    world.board.silent = True
    lost = world.elapsed
    assert world.run_until("suspended relay_board_lost", within=10) - lost <= 6.1
    world.run(silent_for)
    world.board.silent = False
    if silent_for < 120:
        world.run_until("resumed", within=20)
    else:
        world.tells("ended board_lost")
        world.run(5)
        assert world.state() is PortState.AVAILABLE
        assert not world.contacts[A01].closed


def test_a_board_that_comes_back_opens_what_has_no_lease_in_force() -> None:
    world = World(port_plan("A01", 1), port_plan("A02", 2), coils=0.4)
    world.charging("A01")
    world.run(1)
    opened = world.count("open", "A02")
    world.board.silent = True
    world.run(1.5)
    world.board.silent = False
    world.run(3)
    assert world.count("board returned", "") == 1
    assert world.count("open", "A02") == opened + 1
    assert world.count("open", "A01") == 1, "its lease is in force: read back, not opened"
    assert world.state("A01") is PortState.CHARGING
    assert world.state("A02") is PortState.AVAILABLE


def test_a_port_whose_board_is_away_cannot_be_started() -> None:
    world = World()
    world.ready()
    world.board.silent = True
    world.run(10)
    world.start()
    assert world.answers("start-1") == ["rejected board_lost"]
