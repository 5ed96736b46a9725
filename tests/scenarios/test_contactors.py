"""Contactors: closed before the relays below, opened after them, or at once where a relay is out of control."""

from dataclasses import replace

import pytest

from chargerd.core.commands import CloseRelay, OpenRelay, RenewLease
from chargerd.core.events import BoardBack, BoardPrepared, PreparationFailed
from chargerd.core.facts import CircuitTripped, RelayNotReconciled
from chargerd.core.session import Source, StopReason
from chargerd.core.units import Instant, PortId, Seconds
from chargerd.core.view import PortState
from tests.core.sheds import CONTACTOR, HOLDER, SHED, SMOKE, SWITCH, all_charging, closed, shed
from tests.core.world import World

A01 = PortId("A01")


def switch_closed(world: World) -> bool:
    return world.contacts[CONTACTOR].closed


def tripped(world: World) -> list[str]:
    return [fact.function for _, fact in world.facts if isinstance(fact, CircuitTripped)]


def test_a_contactor_closes_before_the_relay_and_opens_after_it() -> None:
    world = shed(contactor=SWITCH)
    world.ready()
    assert not switch_closed(world)
    session = world.charging()
    assert switch_closed(world)
    assert world.when("contact closed", CONTACTOR) < world.when("contact closed", "A01")
    world.run(30)
    renewed = [at for at, it in world.commands if isinstance(it, RenewLease) and it.port == CONTACTOR]
    assert len(renewed) >= 8, "leased like any relay"
    world.stop(session=session)
    world.run(8)
    assert not switch_closed(world)
    assert world.when("contact open", CONTACTOR) > world.when("contact open", "A01")
    assert world.shed().contactor_closed is False
    assert world.station.idle()


def test_a_contactor_waits_for_a_relay_that_opens_late() -> None:
    world = shed(contactor=SWITCH)
    world.charging()
    world.run(2)
    world.board.deaf = True
    world.stop(force=True)
    world.run(0.5)
    assert switch_closed(world)
    world.board.deaf = False
    world.run(8)
    assert not switch_closed(world)


def weld(world: World, port: PortId) -> None:
    """Let a contact stick closed, whose board goes on saying what it was told."""
    contact = world.contacts[port]
    contact.closed = contact.welded = contact.hidden = True


def locked(world: World, port: str) -> list[str]:
    return [latch.function for latch in world.view(port).latches]


def test_a_weld_at_the_end_of_the_last_session_is_found_before_the_contactor_opens() -> None:
    world = shed(contactor=SWITCH)
    session = world.charging()
    world.run(10)
    weld(world, A01)
    world.stop(session=session)
    world.run(25)
    assert locked(world, "A01") == ["relay_welded"]
    assert tripped(world) == ["relay_out_of_control"]
    assert not world.energised(A01)


def test_a_contactor_does_not_wait_for_a_meter_that_says_nothing() -> None:
    world = shed(contactor=SWITCH)
    session = world.charging()
    world.run(10)
    world.by_hand()
    world.stop(session=session)
    world.run(3.5)
    assert not switch_closed(world)


@pytest.mark.parametrize(("refresh", "waits"), [(0.0, 20.0), (1.0, 22.0)])
def test_a_contactor_waits_no_longer_than_20_s_for_a_verdict(refresh: float, waits: float) -> None:
    site = shed(contactor=SWITCH).plan
    ports = (replace(port, meter=replace(port.meter, refresh=Seconds(refresh))) for port in site.ports)
    world = World(site=replace(site, ports=tuple(ports)))
    session = world.charging()
    world.run(10)
    world.draw(0.5, 5.0)
    weld(world, A01)
    opened = world.elapsed
    world.stop(session=session)
    world.run(waits - 2)
    assert switch_closed(world)
    world.run(3)
    assert not switch_closed(world)
    assert world.when("contact open", CONTACTOR) - opened < waits + 0.5
    assert not world.view().latches, "5 W are crosstalk"


def test_a_weld_that_shows_with_the_contactor_locks_out_at_its_own_start() -> None:
    world = shed(contactor=SWITCH)
    world.ready()
    weld(world, A01)
    world.start()
    world.run(5)
    assert locked(world, "A01") == ["relay_welded"]
    assert world.settlement().reason is StopReason.RELAY_WELDED
    assert not world.energised(A01)
    world.tells_not("close", port="A01")


def begun_below_a_late_contactor(late: float, disk: float = 0.05) -> World:
    """Let a start on a port begin whose contactor closes only after its meter has been read twice."""
    world = World(site=shed(contactor=SWITCH).plan, separate=True)
    world.journal.latency = disk
    world.ready()
    world.draw(0.0)
    world.relay_bus.held = True
    world.start()
    world.run(late)
    return world


@pytest.mark.parametrize(("late", "disk"), [(0.6, 0.05), (0.6, 0.2), (1.6, 0.05)])
def test_a_weld_that_shows_with_a_late_contactor_locks_out_too(late: float, disk: float) -> None:
    world = begun_below_a_late_contactor(late, disk)
    world.tells("persist")
    weld(world, A01)
    world.draw(2.0)
    world.relay_bus.release()
    world.run(5)
    assert locked(world, "A01") == ["relay_welded"]
    assert world.settlement().reason is StopReason.RELAY_WELDED
    world.tells_not("close", port="A01")


def test_current_that_comes_and_goes_below_a_late_contactor_is_a_weld_all_the_same() -> None:
    world = begun_below_a_late_contactor(0.6)
    world.by_hand()
    world.relay_bus.release()
    for amps in (2.0, 3.0, 2.0):
        world.run(0.6)
        world.show(amps, 300.0)
    assert locked(world, "A01") == ["relay_welded"]
    world.tells_not("close", port="A01")


def test_a_meter_that_says_nothing_once_its_contactor_is_closed_fails_the_start() -> None:
    world = begun_below_a_late_contactor(0.6)
    world.by_hand()
    world.relay_bus.release()
    world.run(5)
    world.tells_not("close", port="A01")
    assert world.answers("start-1") == ["accepted ok", "failed meter_stale"]


def test_readings_that_never_agree_once_the_contactor_is_closed_fail_the_start() -> None:
    world = begun_below_a_late_contactor(0.6)
    world.by_hand()
    world.relay_bus.release()
    for amps in (0.3, 0.6) * 5:
        world.run(0.4)
        world.show(amps, 0.0)
    world.tells_not("close", port="A01")
    assert world.answers("start-1") == ["accepted ok", "failed meter_stale"]


def test_a_weld_that_shows_with_the_contactor_of_a_neighbour_is_no_exchanged_wire() -> None:
    world = shed(contactor=SWITCH)
    for port in ("A01", "A03"):
        world.draw(0.0, port=port)
    world.draw(2.0, port="A02")
    world.ready()
    weld(world, PortId("A02"))
    world.start()
    world.run_until("wiring suspect", within=15)
    world.by_hand("A01")
    world.run(1)
    world.show(0.0, 0.0)
    world.run(15)
    assert locked(world, "A02") == ["relay_welded"]
    assert not locked(world, "A01")
    assert not world.energised(PortId("A02"))


@pytest.mark.parametrize("powered", [True, False])
def test_exchanged_meters_below_a_contactor(*, powered: bool) -> None:
    world = shed(contactor=SWITCH, inputs=(SMOKE,))
    world.wired = {A01: PortId("A02"), PortId("A02"): A01, PortId("A03"): PortId("A03")}
    for port in ("A02", "A03"):
        world.draw(0.0, port=port)
    world.ready()
    world.start(current=4.0)
    world.run_until("wiring suspect", within=15)
    if not powered:
        world.danger.add("smoke-1")
    world.run(3)
    assert (not world.suspects) is powered, "without power nobody can tell"
    world.run(14)
    assert [locked(world, port) for port in ("A01", "A02")] == [["wiring_suspect"], ["wiring_suspect"]]


def test_a_contactor_stays_closed_while_another_port_needs_it() -> None:
    world = shed(contactor=SWITCH)
    all_charging(world, "A01", "A02")
    world.stop("A01", force=True)
    world.run(30)
    assert switch_closed(world)
    assert world.state("A02") is PortState.CHARGING


def test_a_port_waits_for_its_contactor() -> None:
    world = shed(contactor=SWITCH)
    world.ready()
    world.io.refuses = True
    world.start()
    world.run(1.5)
    assert not world.contacts[A01].closed, "it is not known to be closed"
    world.io.refuses = False
    world.run(5)
    assert world.state() is PortState.CHARGING
    assert world.when("contact closed", "A01") > world.when("contact closed", CONTACTOR)


def test_ports_that_have_waited_for_their_contactor_close_one_a_second() -> None:
    world = World(site=shed(contactor=SWITCH).plan, separate=True)
    ports = ("A01", "A02", "A03")
    for port in ports:
        world.ready(port)
    world.relay_bus.held = True
    for port in ports:
        world.start(port)
    world.run(2.4)
    world.relay_bus.release()
    world.run(5)
    first, second, third = sorted(world.contacts[PortId(port)].edges[0][0] for port in ports)
    assert second - first >= 0.9
    assert third - second >= 0.9


@pytest.mark.parametrize("held", [1.2, 2.4])
def test_closings_that_wait_in_their_bus_go_out_one_a_second(held: float) -> None:
    world = World(site=shed().plan, separate=True)
    ports = ("A01", "A02", "A03")
    for port in ports:
        world.ready(port)
    for port in ports:
        world.start(port)
    world.run_until("close")
    world.relay_bus.held = True
    world.run(held)
    world.relay_bus.release()
    world.run(8)
    first, second, third = sorted(world.contacts[PortId(port)].edges[0][0] for port in ports)
    assert second - first >= 1.0
    assert third - second >= 1.0
    assert {world.state(port) for port in ports} == {PortState.CHARGING}


def test_a_closing_that_nobody_confirmed_counts_as_one() -> None:
    world = World(site=shed().plan, separate=True)
    for port in ("A01", "A02"):
        world.ready(port)
    world.board.mute = True
    world.start("A01")
    world.start("A02")
    world.run_until("close", within=5)
    world.run(0.1)
    world.board.mute = False
    world.run(8)
    first, second = (world.contacts[PortId(port)].edges[0][0] for port in ("A01", "A02"))
    assert second - first >= 1.0


def test_a_contactor_that_does_not_close_is_latched() -> None:
    world = shed(contactor=SWITCH)
    world.contacts[CONTACTOR].jammed = True
    world.ready()
    world.start()
    world.run(10)
    assert tripped(world) == ["contactor_stuck_open"]
    assert world.settlement().reason is StopReason.RELAY_FAULT
    assert not [it for _, it in world.commands if isinstance(it, CloseRelay) and it.port == A01]
    assert world.answers(world.reset(HOLDER)) == ["rejected not_allowed"]
    world.contacts[CONTACTOR].jammed = False
    assert world.answers(world.reset(HOLDER, source=Source.LOCAL)) == ["done ok"]
    world.charging()


def test_a_contactor_that_does_not_open_is_locked_out() -> None:
    world = shed(contactor=SWITCH)
    session = world.charging()
    world.contacts[CONTACTOR].welded = True
    world.stop(session=session)
    world.run(10)
    assert tripped(world) == ["contactor_will_not_open"]
    assert not closed(world)
    refused = world.reset(HOLDER, source=Source.LOCAL)
    assert world.answers(refused) == ["rejected not_allowed"]
    assert world.messages(refused) == ["contactor_will_not_open: to be cleared on site with a reason"]
    world.contacts[CONTACTOR].welded = False
    world.run(10)
    done = world.reset(HOLDER, source=Source.LOCAL, reason="contactor exchanged")
    assert world.answers(done) == ["done ok"]


def test_a_contactor_whose_board_is_lost_suspends_what_is_below() -> None:
    world = shed(contactor=SWITCH)
    world.charging()
    world.run(2)
    world.io.silent = True
    world.run_until("suspended contactor_lost", within=10)
    world.run(10)
    assert not switch_closed(world), "its lease has ended"
    world.io.silent = False
    world.run_until("resumed", within=20)
    assert switch_closed(world)


def test_a_start_whose_contactor_cannot_be_closed_fails() -> None:
    world = shed(contactor=SWITCH)
    world.ready()
    world.io.deaf = True
    world.start()
    world.run(10)
    world.tells("ended start_failed")
    assert world.answers("start-1") == ["accepted ok", "failed board_lost"]


def test_a_contactor_found_closed_is_opened() -> None:
    world = shed(contactor=SWITCH)
    world.run(5)
    world.set_contact(CONTACTOR, closed=True, by="screwdriver")
    world.run(5)
    assert not switch_closed(world)
    world.tells("relay unexpected", port=CONTACTOR)


def test_a_contactor_that_cannot_be_shown_open_is_reported() -> None:
    world = shed(contactor=SWITCH)
    world.restart()
    world.io.silent = True
    world.run(6)
    told = [fact.port for _, fact in world.facts if isinstance(fact, RelayNotReconciled)]
    assert told == [CONTACTOR]
    world.run(10)
    world.io.silent = False
    world.run(10)
    world.charging()


@pytest.mark.parametrize("function", ["relay_will_not_open", "relay_welded"])
def test_a_relay_out_of_control_costs_all_below_their_contactor(function: str) -> None:
    world = shed(contactor=SWITCH)
    all_charging(world, "A01", "A02")
    world.run(5)
    if function == "relay_will_not_open":
        world.contacts[A01].welded = True
        world.stop(force=True)
        world.run_until(f"locked out {function}", within=10)
    else:
        world.stop(force=True)
        world.run(2)
        world.by_hand()
        for _ in range(3):
            world.run(0.5)
            world.show(1.0, 200.0)
    world.run(2)
    assert not switch_closed(world)
    assert tripped(world) == ["relay_out_of_control"]
    world.tells("ended relay_fault", port="A02")
    world.ready_not("A02")
    world.contacts[A01].welded = False
    world.by_itself()
    world.run(10)
    world.reset(source=Source.LOCAL, reason="relay exchanged")
    world.charging("A02")
    assert switch_closed(world)


def test_a_board_without_dead_man_that_is_lost_costs_the_contactor_until_it_is_back() -> None:
    world = shed(contactor=SWITCH, lease=None)
    all_charging(world, "A01", "A02")
    world.run(5)
    world.board.silent = True
    world.run_until("suspended relay_board_lost", within=10)
    world.run(1)
    assert not switch_closed(world)
    world.run(8)
    assert {world.state(port) for port in ("A01", "A02")} == {PortState.SUSPENDED}
    world.board.silent = False
    world.run(60)
    assert switch_closed(world)
    assert {world.state(port) for port in ("A01", "A02")} == {PortState.CHARGING}


@pytest.mark.parametrize("known", ["never", "set", "refused", "back"])
def test_a_board_that_was_not_prepared_counts_as_one_without_dead_man(known: str) -> None:
    world = shed(contactor=SWITCH, prepared=False)
    board, at = world.plans[A01].relay.board, Instant(world.now)
    if known != "never":
        world.tell(BoardPrepared(board=board, at=at))
    if known == "refused":
        world.tell(PreparationFailed(board=board, at=at, setting="inputs move no relay"))
    if known == "back":
        world.tell(BoardBack(board=board, at=at))
    world.charging()
    world.run(5)
    world.board.silent = True
    world.run(3)
    opened = [fact for _, fact in world.facts if isinstance(fact, CircuitTripped)]
    assert bool(opened) is (known != "set"), "what its inputs do, and its timer, is known only once it was set"
    assert switch_closed(world) is (known == "set")


def test_leaving_opens_the_contactor_after_the_relays() -> None:
    world = shed(contactor=SWITCH)
    world.charging()
    world.shut_down()
    world.run(10)
    assert not switch_closed(world)
    assert world.station.idle()


def test_all_contactors_are_opened_at_the_start() -> None:
    world = shed(contactor=SWITCH)
    assert [it.port for _, it in world.commands if isinstance(it, OpenRelay)][-1] == CONTACTOR
    assert world.count("open", SHED) == 0
