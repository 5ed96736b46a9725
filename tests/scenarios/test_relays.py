"""Relays that do not do as they are told."""

import pytest

from chargerd.core.commands import OpenRelay
from chargerd.core.events import BoardBack, BoardLost, PreparationFailed
from chargerd.core.facts import BoardNotPrepared, RelayNotReconciled
from chargerd.core.faults import FaultKind
from chargerd.core.plan import MeterPlan
from chargerd.core.session import Clearing, EnergyQuality, Source, StopReason
from chargerd.core.units import BoardId, Instant, PortId, Seconds
from chargerd.core.view import PortState
from tests.core.plant import port_plan
from tests.core.world import World

A01 = PortId("A01")


def weld(world: World) -> None:
    """Weld the port's contact where it is."""
    world.contacts[A01].welded = True


def test_a_relay_read_back_closed_after_three_openings_is_locked_out() -> None:
    world = World()
    session = world.charging()
    world.run(10)
    weld(world)
    world.stop(session=session)
    world.run_until("locked out relay_will_not_open", within=5)
    opens = [command.attempt for _, command in world.commands if isinstance(command, OpenRelay)]
    assert opens == [1, 1, 2, 3], "at the start, and three times now"
    world.run(60)
    assert not world.settlements(), "current still flows"
    world.draw(0.0)
    world.run(5)
    world.tells("answer stop accepted ok", "locked out relay_will_not_open", "state locked_out", "ended remote")
    assert world.settlement().quality is EnergyQuality.ESTIMATED
    assert world.settlement().meter_stop is None, "what was read before is not the register after opening"


def test_three_openings_without_an_echo_that_read_back_closed_are_tries_too() -> None:
    world = World()
    session = world.charging()
    world.run(10)
    weld(world)
    world.board.mute = True
    world.stop(session=session)
    world.run_until("locked out relay_will_not_open", within=5)


def test_a_relay_that_opens_at_the_third_try_is_fine() -> None:
    world = World()
    session = world.charging()
    world.run(10)
    weld(world)
    world.stop(session=session)
    while world.count("open") < 4:
        world.run(0.01)
    world.contacts[A01].welded = False
    world.set_contact(A01, closed=False, by="third try")
    world.run(5)
    world.tells_not("locked out relay_will_not_open")
    assert world.state() is PortState.AVAILABLE


def test_a_locked_out_relay_is_opened_on_and_on() -> None:
    world = World()
    session = world.charging()
    weld(world)
    world.stop(session=session)
    world.run_until("locked out relay_will_not_open")
    before = world.count("open")
    world.run(60)
    assert world.count("open") - before == pytest.approx(15, abs=2)


def test_a_lock_out_survives_a_restart_and_only_a_person_with_a_reason_clears_it() -> None:
    world = World()
    session = world.charging()
    weld(world)
    world.stop(session=session)
    world.run_until("locked out relay_will_not_open")
    world.contacts[A01].welded = False
    world.run(10)
    world.restart()
    world.run(10)
    assert world.state() is PortState.LOCKED_OUT
    world.start()
    assert world.answers("start-2") == ["rejected locked_out"]
    assert world.answers(world.reset()) == ["rejected locked_out"]
    assert world.answers(world.reset(reason="from afar")) == ["rejected locked_out"]
    assert world.answers(world.reset(source=Source.LOCAL)) == ["rejected locked_out"]
    assert world.state() is PortState.LOCKED_OUT
    assert world.answers(world.reset(source=Source.LOCAL, reason="relay exchanged")) == ["done ok"]
    assert world.state() is PortState.AVAILABLE


def test_a_reset_of_a_relay_that_still_does_not_open_is_refused() -> None:
    world = World()
    session = world.charging()
    weld(world)
    world.stop(session=session)
    world.run_until("locked out relay_will_not_open")
    looked = world.reset(source=Source.LOCAL, reason="looked at it, saw nothing")
    assert world.answers(looked) == ["rejected busy"], "current still flows"
    world.draw(0.0)
    world.run_until("ended remote")
    again = world.reset(source=Source.LOCAL, reason="looked at it, saw nothing")
    assert world.answers(again) == ["rejected not_allowed"], "it is read back closed"
    world.start()
    assert world.answers("start-2") == ["rejected locked_out"]
    world.run(10)
    assert world.state() is PortState.LOCKED_OUT


def test_a_relay_that_does_not_close_ends_the_start_with_a_latch_for_a_person() -> None:
    world = World()
    world.contacts[A01].jammed = True
    world.ready()
    world.start()
    world.run(5)
    world.tells("close", "open", "tripped relay_stuck_open", "ended relay_fault", "state tripped")
    assert world.answers("start-1") == ["accepted ok", "failed relay_fault"]
    assert world.view().latches[0].clearing is Clearing.LOCAL
    assert world.answers(world.reset()) == ["rejected not_allowed"]
    assert world.answers(world.reset(source=Source.LOCAL)) == ["done ok"]


def test_one_read_back_open_is_not_two() -> None:
    world = World()
    world.contacts[A01].jammed = True
    world.ready()
    world.start()
    world.run_until("close")
    world.run(0.06)
    world.contacts[A01].jammed = False
    world.set_contact(A01, closed=True, by="late")
    world.run(1)
    assert world.state() is PortState.CHARGING
    asked = world.count("read relay")
    world.run(10)
    assert world.count("read relay") == asked, "it is not asked for ever"


def test_a_relay_that_falls_open_while_charging_is_stuck_open() -> None:
    world = World()
    world.charging()
    world.run(10)
    world.contacts[A01].jammed = True
    world.set_contact(A01, closed=False, by="coil broken")
    world.run(5)
    world.tells("tripped relay_stuck_open", "ended relay_fault")
    assert world.settlement().reason is StopReason.RELAY_FAULT


@pytest.mark.long
def test_a_relay_found_closed_is_opened_the_second_time_locked_out() -> None:
    world = World()
    world.ready()
    world.set_contact(A01, closed=True, by="somebody's screwdriver")
    world.run(3)
    world.tells("contact closed", "open", "relay unexpected", "contact open")
    assert world.state() is PortState.AVAILABLE
    world.run(3600)
    world.set_contact(A01, closed=True, by="somebody's screwdriver")
    world.run(3)
    world.tells("locked out relay_unexpected", "contact open")
    assert world.state() is PortState.LOCKED_OUT
    world.reset(source=Source.LOCAL, reason="screwdriver taken away")
    world.run(10)
    assert world.state() is PortState.AVAILABLE
    world.set_contact(A01, closed=True, by="another screwdriver")
    world.run(3)
    assert world.state() is PortState.AVAILABLE, "counted anew"


def test_a_relay_that_closes_during_a_start_fails_it() -> None:
    world = World()
    world.journal.latency = 2.5
    world.ready()
    world.start()
    world.run_until("persist")
    world.draw(0.0)
    world.set_contact(A01, closed=True, by="ghost")
    world.run(10)
    world.tells("relay unexpected", "contact open", "ended start_failed")
    assert world.answers("start-1") == ["accepted ok", "failed relay_fault"]
    assert world.state() is PortState.AVAILABLE


def test_a_relay_that_closes_during_a_start_the_second_time_locks_out() -> None:
    world = World()
    world.ready()
    world.draw(0.0)
    world.set_contact(A01, closed=True, by="ghost")
    world.run(3)
    world.journal.latency = 2.5
    world.start()
    world.run_until("persist")
    world.set_contact(A01, closed=True, by="ghost")
    world.run(10)
    world.tells("locked out relay_unexpected", "ended relay_fault", "state locked_out")
    assert len(world.settlements()) == 1


@pytest.mark.parametrize("before", [0, 1])
def test_a_relay_that_closes_during_a_suspension(before: int) -> None:
    world = World()
    world.ready()
    world.draw(0.0)
    if before:
        world.set_contact(A01, closed=True, by="ghost")
        world.run(3)
    world.draw(2.0)
    world.charging()
    world.run(10)
    world.meters[A01].silent = True
    world.run_until("suspended meter_stale")
    world.run(5)
    charged = world.view().session
    world.draw(0.3)
    world.set_contact(A01, closed=True, by="ghost")
    world.by_itself()
    world.run(1.9)
    world.tells_not("locked out relay_board_lost")
    assert charged is not None
    if before:
        assert world.state() is PortState.LOCKED_OUT
        assert world.settlement().reason is StopReason.RELAY_FAULT
    else:
        world.run_until("resumed", within=10)


def test_a_relay_that_closes_while_its_session_ends() -> None:
    world = World()
    session = world.charging()
    world.run(10)
    world.meters[A01].lost_energy = True
    world.stop(session=session)
    world.run(0.5)
    world.set_contact(A01, closed=True, by="ghost")
    world.run(6)
    world.tells("contact open", "relay unexpected", "ended remote", "state available")
    assert not world.contacts[A01].closed


def test_current_before_closing_fails_the_start() -> None:
    world = World()
    world.ready()
    world.by_hand()
    world.start()
    world.run(0.5)
    world.show(0.25, 0.0, energy=5000.0)
    world.run(0.5)
    world.show(0.2, 0.0)
    assert world.answers("start-1") == ["accepted ok", "failed relay_fault"]
    world.tells_not("persist")


def test_readings_that_disagree_about_a_current_prove_nothing_yet() -> None:
    world = World()
    world.ready()
    world.by_hand()
    world.start()
    for amps in (3.0, 0.5, 0.1):
        world.run(0.5)
        world.show(amps, 0.0, energy=5000.0)
        assert world.state() is PortState.STARTING
    world.run(0.5)
    world.show(0.1, 0.0)
    world.tells("persist")


def test_just_no_current_before_closing_is_fine() -> None:
    world = World()
    world.ready()
    world.by_hand()
    world.start()
    for _ in range(2):
        world.run(0.5)
        world.show(0.19, 0.0, energy=5000.0)
    world.tells("persist")


def test_both_readings_must_show_no_current() -> None:
    world = World()
    world.ready()
    world.by_hand()
    world.start()
    for amps in (0.25, 0.15):
        world.run(0.5)
        world.show(amps, 0.0, energy=5000.0)
    world.tells_not("persist")
    world.run(0.5)
    world.show(0.15, 0.0)
    world.tells("persist")


def test_current_that_comes_up_while_the_session_is_written_keeps_the_relay_open() -> None:
    world = World()
    world.journal.latency = 1.0
    world.ready()
    world.start()
    world.run_until("persist")
    world.run(0.1)
    world.show(0.2, 20.0)
    world.by_hand()
    world.run(3)
    world.tells_not("close")
    assert world.answers("start-1") == ["accepted ok", "failed relay_fault"]


def test_current_between_two_refreshes_keeps_the_relay_open() -> None:
    world = World(port_plan(meter=MeterPlan(board=BoardId("m"), refresh=Seconds(1.0))))
    world.journal.latency = 0.8
    world.ready()
    world.by_hand()
    world.show(0.0, 0.0)
    world.start()
    for _ in range(2):
        world.run(1.1)
        world.show(0.0, energy=5000.0)
    world.tells("persist")
    world.run(0.5)
    world.show(0.3)
    world.run(0.4)
    world.tells_not("close")


def test_a_closing_that_never_goes_out_fails_the_start() -> None:
    world = World(separate=True)
    world.ready()
    world.start()
    world.run_until("persist")
    world.relay_bus.held = True
    world.run(5)
    world.tells("close", "open")
    world.relay_bus.release()
    world.run(10)
    world.tells_not("contact closed")
    assert world.answers("start-1") == ["accepted ok", "failed relay_fault"]


def test_a_closing_that_is_not_confirmed_fails_the_start_and_is_opened() -> None:
    world = World()
    world.ready()
    world.start()
    world.run_until("persist")
    world.board.mute = True
    world.run(4)
    world.board.mute = False
    world.run(5)
    world.tells("close", "contact closed", "open", "contact open", "ended start_failed")
    assert world.answers("start-1") == ["accepted ok", "failed board_lost"]
    assert world.settlement().meter_stop is not None, "something may have flowed: the register is read"


def test_a_board_that_comes_back_while_a_relay_closes_changes_nothing() -> None:
    world = World()
    world.ready()
    world.start()
    world.run_until("close")
    board, at = BoardId("relay-a"), Instant(world.now)
    world.tell(BoardLost(board=board, at=at, kind=FaultKind.TIMEOUT))
    world.tell(BoardBack(board=board, at=at))
    world.run(5)
    assert world.count("open") == 1
    assert world.state() is PortState.CHARGING


def test_all_relays_are_opened_at_the_start() -> None:
    world = World(port_plan("A01", 1), port_plan("A02", 2), begin=False)
    world.set_contact(A01, closed=True, by="whoever was here before")
    world.begin()
    world.run(1)
    assert not world.contacts[A01].closed
    assert {world.state("A01"), world.state("A02")} == {PortState.AVAILABLE}


def test_a_relay_that_cannot_be_shown_open_is_reported_after_five_seconds() -> None:
    world = World(port_plan("A01", 1), port_plan("A02", 2), begin=False)
    world.board.silent = True
    world.begin()
    world.run(4.9)
    world.tells_not("relay not reconciled")
    world.run(0.2)
    told = [fact.port for _, fact in world.facts if isinstance(fact, RelayNotReconciled)]
    assert told == ["A01", "A02"]
    world.run(60)
    world.board.silent = False
    world.run(10)
    assert world.state() is PortState.AVAILABLE
    assert world.count("relay not reconciled") == 1


def test_a_latched_port_whose_relay_cannot_be_shown_open_is_reported_too() -> None:
    first = World()
    first.charging()
    first.show(20.0)
    first.run(5)
    world = World(latches=tuple(first.journal.latches.values()), begin=False)
    world.board.silent = True
    world.begin()
    world.run(2)
    world.reset(source=Source.LOCAL)
    world.reset(source=Source.LOCAL)
    world.run(5)
    world.tells("relay not reconciled")


def test_a_relay_welded_at_the_start_is_locked_out() -> None:
    world = World(begin=False)
    world.set_contact(A01, closed=True, by="whoever was here before")
    weld(world)
    world.begin()
    world.run(10)
    world.tells("locked out relay_will_not_open")
    assert world.state() is PortState.LOCKED_OUT


def test_a_board_that_does_not_take_a_setting_is_told_of() -> None:
    world = World()
    world.charging()
    board = world.plans[PortId("A01")].relay.board
    world.tell(PreparationFailed(board=board, at=Instant(world.now), setting="poll timeout in seconds"))
    told = [fact for _, fact in world.facts if isinstance(fact, BoardNotPrepared)]
    assert told == [BoardNotPrepared(board=board, kind="poll timeout in seconds")]
    assert world.state() is PortState.CHARGING
