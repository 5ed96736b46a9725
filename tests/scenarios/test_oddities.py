"""Things that hardly ever happen, in states in which they hardly matter; the table knows them all the same."""

from dataclasses import replace

from chargerd.core.events import BoardBack, BoardLost
from chargerd.core.faults import FaultKind
from chargerd.core.plan import RelayPlan
from chargerd.core.session import Source, StopReason
from chargerd.core.units import BoardId, Instant, PortId, Seconds
from chargerd.core.view import PortState
from tests.core.plant import port_plan
from tests.core.world import World

A01 = PortId("A01")


def tripped() -> World:
    world = World()
    world.charging()
    world.run(3)
    world.show(20.0)
    world.run(5)
    assert world.state() is PortState.TRIPPED
    return world


def locked_out() -> World:
    world = World()
    session = world.charging()
    world.contacts[A01].welded = True
    world.stop(session=session)
    world.run_until("state locked_out")
    world.draw(0.0)
    world.run_until("ended remote")
    return world


def free(world: World) -> None:
    world.contacts[A01].welded = False
    world.run(10)
    assert not world.contacts[A01].closed


def blink(world: World) -> None:
    """Let the relay's board be lost and come back in one moment."""
    board, at = BoardId("relay-a"), Instant(world.now)
    world.tell(BoardLost(board=board, at=at, kind=FaultKind.OFFLINE))
    world.tell(BoardBack(board=board, at=at))


def close_for_good(world: World) -> None:
    world.draw(0.0, 0.0)
    world.set_contact(A01, closed=True, by="ghost")
    world.contacts[A01].welded = True


def test_a_tripped_port_is_opened_again_when_its_board_comes_back() -> None:
    world = tripped()
    world.board.silent = True
    world.run(20)
    world.board.silent = False
    world.run(5)
    assert world.state() is PortState.TRIPPED
    assert world.count("open") == 3


def test_a_tripped_port_found_closed_stays_tripped() -> None:
    world = tripped()
    world.set_contact(A01, closed=True, by="ghost")
    world.run(3)
    world.tells("relay unexpected", "contact open")
    assert world.state() is PortState.TRIPPED


def test_a_tripped_port_that_closes_for_good_is_locked_out() -> None:
    world = tripped()
    close_for_good(world)
    world.run(5)
    assert world.state() is PortState.LOCKED_OUT
    assert len(world.view().latches) == 2


def test_an_available_port_that_closes_for_good_is_locked_out() -> None:
    world = World()
    world.ready()
    close_for_good(world)
    world.run(5)
    assert world.state() is PortState.LOCKED_OUT


def test_a_suspended_port_that_closes_for_good_is_locked_out_and_settled() -> None:
    world = World()
    world.charging()
    world.run(3)
    world.meters[A01].silent = True
    world.run_until("suspended meter_stale")
    world.run(1)
    close_for_good(world)
    world.run(5)
    assert world.state() is PortState.LOCKED_OUT
    assert world.settlement().reason is StopReason.RELAY_FAULT


def test_a_locked_out_port_found_closed_stays_locked_out() -> None:
    world = locked_out()
    free(world)
    for _ in range(2):
        world.set_contact(A01, closed=True, by="ghost")
        world.run(3)
    assert world.state() is PortState.LOCKED_OUT
    assert [latch.function for latch in world.view().latches] == ["relay_will_not_open", "relay_unexpected"]


def test_nothing_can_be_stopped_where_nothing_runs() -> None:
    unknown = World(begin=False)
    unknown.board.silent = True
    unknown.begin()
    for world in (unknown, tripped(), locked_out()):
        assert world.answers(world.stop(session="session-7")) == ["rejected unknown_session"]


def test_leaving_with_a_trip_or_a_lock_out_keeps_it() -> None:
    for world, state in ((tripped(), PortState.TRIPPED), (locked_out(), PortState.LOCKED_OUT)):
        world.shut_down()
        world.run(10)
        assert world.state() is state


def test_a_reset_that_clears_some_latches_says_which_it_kept() -> None:
    world = tripped()
    close_for_good(world)
    world.run(5)
    free(world)
    assert world.answers(world.reset()) == ["rejected locked_out"]
    assert [latch.function for latch in world.view().latches] == ["relay_will_not_open"]


def test_a_board_that_blinks_during_a_start_opens_the_relay_once_more() -> None:
    world = World()
    world.ready()
    world.start()
    world.run(0.1)
    blink(world)
    world.run(10)
    world.tells("open", "open", "persist", "close", "started")
    assert world.state() is PortState.CHARGING


def test_a_board_that_blinks_and_holds_the_relay_closed_ends_the_start() -> None:
    world = World()
    world.meters[A01].lost_energy = True
    world.ready()
    world.start()
    world.run(0.1)
    close_for_good(world)
    blink(world)
    world.run(5)
    world.tells("locked out relay_will_not_open", "ended relay_fault")
    assert world.answers("start-1") == ["accepted ok", "failed relay_fault"]


def short_lease() -> World:
    relay = RelayPlan(board=BoardId("relay-a"), channel=1, lease=Seconds(3.0), renew_every=Seconds(1.5))
    return World(replace(port_plan(), relay=relay), separate=True)


def test_a_lease_that_cannot_be_renewed_before_the_first_reading_fails_the_start() -> None:
    world = short_lease()
    world.ready()
    world.start()
    world.run_until("close")
    world.by_hand()
    world.run_until("started")
    world.board.silent = True
    world.run(20)
    world.tells("started", "open", "ended start_failed")
    assert world.answers("start-1") == ["accepted ok", "failed board_lost"]


def test_a_lease_that_cannot_be_renewed_while_a_session_resumes_suspends_it_again() -> None:
    world = short_lease()
    world.charging()
    world.run(3)
    world.meters[A01].silent = True
    world.run_until("suspended meter_stale")
    world.by_itself()
    while world.count("close") < 2:
        world.run(0.005)
    world.by_hand()
    world.run_until("resumed")
    world.board.silent = True
    world.run_until("suspended relay_board_lost", within=5)
    world.board.silent = False
    world.by_itself()
    world.run(10)
    assert world.state() is PortState.CHARGING


def test_the_third_resumption_that_loses_its_lease_is_the_last() -> None:
    world = short_lease()
    world.charging()
    for _ in range(3):
        world.run(3)
        world.meters[A01].silent = True
        world.run_until("suspended meter_stale")
        world.by_itself()
        closings = world.count("close")
        while world.count("close") == closings:
            world.run(0.005)
    world.by_hand()
    world.run(0.2)
    world.board.silent = True
    world.run_until("ended suspended_too_long", within=20)


def test_a_stop_on_site_in_every_step_of_a_start() -> None:
    for delay in (0.01, 0.55, 0.6, 0.7):
        world = World()
        world.ready()
        world.start()
        world.run(delay)
        stop = world.stop(source=Source.LOCAL)
        again = world.stop(source=Source.LOCAL)
        world.run(10)
        assert world.answers(stop) == ["accepted ok", "done ok"]
        assert world.answers(again) in (["accepted ok", "done ok"], ["rejected unknown_session"])
        assert world.state() is PortState.AVAILABLE


def test_a_stop_of_a_suspended_session() -> None:
    world = World()
    session = world.charging()
    world.run(3)
    world.meters[A01].silent = True
    world.run_until("suspended meter_stale")
    world.run(1)
    stop = world.stop(session=session)
    world.run(5)
    assert world.answers(stop) == ["accepted ok", "done ok"]
    assert len(world.settlement().record.interruptions) == 1


def test_a_board_that_blinks_on_a_busy_line_is_told_again_to_open() -> None:
    idle = World()
    idle.ready()
    for world, state in ((idle, PortState.AVAILABLE), (tripped(), PortState.TRIPPED)):
        opened = world.count("open")
        world.relay_bus.held = True
        blink(world)
        world.run(1)
        assert world.count("open") == opened + 3
        world.relay_bus.release()
        world.run(5)
        assert world.state() is state
