"""Relays that were told to open, and of which nobody can say whether they have."""

from dataclasses import replace

import pytest

from chargerd.core.commands import CloseRelay, RenewLease
from chargerd.core.events import MeterFault
from chargerd.core.facts import CircuitTripped, RelayUnconfirmed
from chargerd.core.faults import FaultKind
from chargerd.core.plan import CircuitPlan, DeadMan, RelayPlan, StationPlan
from chargerd.core.session import Source, StopReason
from chargerd.core.units import BoardId, Instant, PortId
from chargerd.core.view import PortState
from tests.core.plant import port_plan
from tests.core.sheds import CONTACTOR, MAIN, SHED, SWITCH, all_charging, rated, shed
from tests.core.world import World

A01, A02 = PortId("A01"), PortId("A02")


def told_unconfirmed(world: World) -> list[PortId]:
    return [fact.port for _, fact in world.facts if isinstance(fact, RelayUnconfirmed)]


def tripped(world: World) -> list[str]:
    return [fact.function for _, fact in world.facts if isinstance(fact, CircuitTripped)]


def fed_since(world: World, instant: float) -> list[float]:
    """Return when the contactor was closed or renewed from an instant of the boot clock on."""
    return [
        at
        for at, it in world.commands
        if at >= instant and isinstance(it, CloseRelay | RenewLease) and it.port == CONTACTOR
    ]


def silence(world: World, *ports: str) -> None:
    for port in ports:
        world.meters[PortId(port)].silent = True


def two_boards(lease: float | None = 6.0) -> World:
    """Two ports below one contactor, each with a relay board of its own; the first one's has this lease."""
    ports = [port_plan("A01", 1), port_plan("A02", 1)]
    first = RelayPlan(board=BoardId("relay-a"), channel=1)
    if lease is None:
        first = replace(first, lease=None, dead_man=DeadMan.NONE)
    ports = [replace(ports[0], relay=first), replace(ports[1], relay=replace(SWITCH, board=BoardId("relay-b")))]
    circuits = (CircuitPlan(id=MAIN), CircuitPlan(id=SHED, parent=MAIN, contactor=SWITCH))
    return World(site=StationPlan(ports=tuple(ports), circuits=circuits))


@pytest.mark.long
def test_a_line_that_dies_with_a_contact_stuck_is_not_fed_by_its_contactor_for_ever() -> None:
    world = World(site=shed(contactor=SWITCH).plan, separate=True)
    all_charging(world, "A01", "A02")
    world.run(5)
    world.contacts[A01].welded = True
    world.board.silent = True
    silence(world, "A01", "A02", "A03")
    world.run_until("suspended meter_stale", within=10)
    opened = world.now
    world.run(9)
    assert not world.energised(A01)
    world.run(600)
    assert not [at for at in fed_since(world, opened) if at > opened + 7.5]
    assert {"A01", "A02"} <= set(told_unconfirmed(world))
    assert not world.view().latches, "nobody has seen a current"


def test_a_contactor_whose_own_line_is_well_waits_for_no_relay_of_a_dead_one() -> None:
    world = two_boards()
    world.charging("A01")
    world.run(5)
    world.contacts[A01].welded = True
    world.board.silent = True
    silence(world, "A01")
    world.run_until("suspended meter_stale", within=10)
    opened = world.now
    world.run(60)
    assert not world.energised(A01)
    assert max(fed_since(world, opened)) <= opened + 7.5
    world.tells_not("suspended contactor_lost")


@pytest.mark.long
def test_a_blind_relay_that_lapses_costs_its_own_port_only() -> None:
    world = two_boards()
    all_charging(world, "A01", "A02")
    world.run(5)
    world.board.silent = True
    silence(world, "A01")
    world.run(400)
    assert told_unconfirmed(world) == ["A01"]
    assert world.state("A02") is PortState.CHARGING
    assert world.contacts[CONTACTOR].closed
    assert world.state("A01") is PortState.UNKNOWN
    world.ready_not("A01")
    world.board.silent = False
    world.by_itself()
    world.charging("A01")


def test_a_blind_relay_that_nothing_opens_costs_the_contactor_until_it_is_confirmed() -> None:
    world = two_boards(lease=None)
    all_charging(world, "A01", "A02")
    world.run(5)
    world.board.refuses = True
    silence(world, "A01")
    world.run_until("suspended meter_stale", within=10)
    opened = world.now
    world.run(4.8)
    assert world.contacts[CONTACTOR].closed
    world.run(0.5)
    assert not world.contacts[CONTACTOR].closed
    assert tripped(world) == ["relay_out_of_control"]
    world.tells("suspended contactor_opened", port="A02")
    world.run(20)
    assert not [at for at in fed_since(world, opened) if at > opened + 5]
    assert not world.view().latches
    world.board.refuses = False
    world.by_itself()
    world.run_until("resumed", within=30)
    world.run(10)
    assert {world.state(port) for port in ("A01", "A02")} == {PortState.CHARGING}


@pytest.mark.long
def test_no_meter_below_an_open_contactor_tells_that_a_relay_is_open() -> None:
    world = two_boards(lease=None)
    all_charging(world, "A01", "A02")
    world.run(5)
    world.contacts[A01].welded = True
    world.board.refuses = True
    silence(world, "A01")
    world.run_until("tripped relay_out_of_control", within=20)
    world.run(1)
    opened = world.now
    world.by_itself()
    world.run(120)
    assert not fed_since(world, opened)
    assert not world.energised(A01)
    assert world.state("A02") is PortState.SUSPENDED
    world.contacts[A01].welded = False
    world.board.refuses = False
    world.run_until("resumed", within=30)
    assert world.contacts[CONTACTOR].closed


def test_a_suspected_relay_that_nobody_can_read_and_whose_current_stays_is_locked_out() -> None:
    site = two_boards(lease=None).plan
    third = replace(port_plan("A03", 2), relay=replace(SWITCH, board=BoardId("relay-b"), channel=2), circuit=SHED)
    world = World(site=replace(site, ports=(*site.ports, third)))
    world.wired = {**world.wired, A01: A02, A02: A01}
    world.draw(9.7, port="A01")
    world.draw(0.0, port="A02")
    world.charging("A03")
    world.ready("A01")
    world.start("A01", current=4.0)
    world.run_until("started", within=8)
    world.contacts[A01].welded = True
    world.board.refuses = True
    world.run_until("wiring suspect", within=15)
    suspected = world.now
    locked = world.run_until("locked out relay_unconfirmed", within=10) + 1000.0
    assert locked - suspected <= 5.6
    world.run(1)
    assert not world.energised(A01)
    assert world.suspects, "nothing is settled yet"
    world.run(15)
    assert not world.suspects
    assert "wiring_suspect" in [latch.function for latch in world.view("A02").latches]


@pytest.mark.parametrize("amps", [9.0, 0.2])
def test_current_through_a_relay_whose_board_refuses_to_be_read_locks_it_out(amps: float) -> None:
    world = two_boards(lease=None)
    all_charging(world, "A01", "A02")
    world.run(5)
    world.board.refuses = True
    world.contacts[A01].welded = True
    world.draw(amps, 12.0)
    world.stop(force=True)
    stopped = world.now
    locked = world.run_until("locked out relay_unconfirmed", within=10)
    assert 4.9 <= locked + 1000.0 - stopped <= 5.6
    world.run(2)
    assert not world.energised(A01)
    world.tells("ended relay_fault", port="A02")
    world.ready_not("A02")
    world.run(600)
    assert not [at for at in fed_since(world, stopped) if at > stopped + 5.6]
    reasons = {one.record.order.port: one.reason for one in world.settlements()}
    assert reasons == {A01: StopReason.REMOTE, A02: StopReason.RELAY_FAULT}


def test_power_alone_is_a_load_too() -> None:
    world = World(port_plan(lease=None))
    world.charging()
    world.board.refuses = True
    world.by_hand()
    world.stop(force=True)
    for _ in range(12):
        world.run(0.5)
        world.show(0.15, 10.0)
    assert not world.view().latches
    world.show(0.15, 10.1)
    assert [latch.function for latch in world.view().latches] == ["relay_unconfirmed"]


def test_what_a_meter_showed_before_it_could_show_an_opening_is_no_evidence() -> None:
    world = World(port_plan(lease=None))
    world.charging()
    world.board.refuses = True
    world.stop(force=True)
    world.run(0.4)
    world.by_hand()
    world.show(2.0, 300.0)
    world.run(7)
    assert not world.view().latches
    assert world.state() is PortState.STOPPING
    world.show(2.0, 300.0)
    assert [latch.function for latch in world.view().latches] == ["relay_unconfirmed"]


def test_a_frozen_meter_is_blind() -> None:
    world = two_boards(lease=None)
    all_charging(world, "A01", "A02")
    world.run(5)
    meter = world.meters[A01]
    meter.together, meter.frozen, meter.register = True, (2.0, 300.0), lambda _counted: 5000.0
    world.run_until("suspended meter_frozen", within=120)
    world.board.refuses = True
    world.run(4.5)
    assert world.contacts[CONTACTOR].closed
    world.run(1)
    assert not world.contacts[CONTACTOR].closed
    assert not world.view().latches, "a frozen meter has seen nothing"


@pytest.mark.parametrize("seen", [True, False])
def test_an_idle_port_that_closes_by_itself_and_whose_board_then_dies(*, seen: bool) -> None:
    world = shed(contactor=SWITCH)
    world.ready()
    world.set_contact(CONTACTOR, closed=True, by="screwdriver")
    world.contacts[CONTACTOR].welded = seen
    world.draw(9.0)
    world.set_contact(A01, closed=True, by="ghost")
    world.contacts[A01].welded = True
    world.run_until("relay unexpected", within=3)
    assert world.state() is PortState.UNKNOWN
    world.board.silent = True
    if not seen:
        silence(world, "A01")
    world.run(20)
    if seen:
        assert [latch.function for latch in world.view().latches] == ["relay_board_lost"]
        assert "relay_out_of_control" in tripped(world)
    else:
        assert A01 in told_unconfirmed(world)
        assert world.state() is PortState.UNKNOWN
    world.ready_not("A01")


def test_a_start_that_waits_for_its_circuit_is_watched_too() -> None:
    world = shed(**rated(11.0), queue_for=300.0)
    world.charging("A01")
    world.start("A02")
    assert world.state("A02") is PortState.QUEUED
    world.run(4)
    world.draw(0.0, port="A02")
    world.set_contact(A02, closed=True, by="ghost")
    world.contacts[A02].welded = True
    world.run_until("relay unexpected", within=5)
    world.board.refuses = True
    world.run(5)
    world.by_hand("A02")
    world.run(2)
    world.show(1.0, 200.0, port="A02")
    assert [latch.function for latch in world.view("A02").latches] == ["relay_unconfirmed"]


def test_a_reset_once_nothing_flows_leaves_the_port_unknown_until_its_relay_is_read() -> None:
    world = two_boards(lease=None)
    all_charging(world, "A01", "A02")
    world.run(5)
    world.board.refuses = True
    world.contacts[A01].welded = True
    world.stop("A01", force=True)
    world.run_until("locked out relay_unconfirmed", within=10)
    world.by_hand()
    world.show(0.0, 0.0)
    world.run(10)
    world.show(0.0, 0.0)
    assert world.view().state is PortState.LOCKED_OUT
    assert world.answers(world.reset(source=Source.LOCAL, reason="replaced")) == ["done ok"]
    assert world.view().state is PortState.UNKNOWN


def test_a_reset_does_not_feed_a_relay_that_is_still_unconfirmed() -> None:
    world = two_boards(lease=None)
    all_charging(world, "A01", "A02")
    world.run(5)
    world.board.refuses = True
    world.contacts[A01].welded = True
    world.stop("A01", force=True)
    world.run_until("locked out relay_unconfirmed", within=10)
    world.by_hand()
    world.show(0.0, 0.0)
    world.run(10)
    world.show(0.1, 300.0)
    cleared = world.now
    assert world.answers(world.reset(source=Source.LOCAL, reason="saw nothing")) == ["done ok"]
    assert world.view().state is PortState.LOCKED_OUT, "not even until its next reading"
    world.start("A02")
    world.run(20)
    assert not fed_since(world, cleared)
    assert [latch.function for latch in world.view().latches] == ["relay_unconfirmed"]


def test_a_contactor_that_cannot_be_read_back_open_is_told_of() -> None:
    world = shed(contactor=SWITCH)
    session = world.charging()
    world.run(5)
    world.stop(session=session)
    world.io.silent = True
    world.run(20)
    assert told_unconfirmed(world) == [CONTACTOR]
    world.run(100)
    assert told_unconfirmed(world) == [CONTACTOR], "told once"


@pytest.mark.long
def test_no_session_is_settled_while_current_is_seen() -> None:
    world = World(port_plan(lease=None))
    session = world.charging()
    world.run(5)
    world.board.refuses = True
    world.contacts[A01].welded = True
    world.stop(session=session)
    world.run(3600)
    assert not world.settlements()
    assert world.state() is PortState.LOCKED_OUT
    world.draw(0.19, 9.0)
    world.run(5)
    assert world.settlement().reason is StopReason.REMOTE


def test_no_session_is_settled_by_a_register_alone() -> None:
    world = World()
    session = world.charging()
    world.run(5)
    world.by_hand()
    world.stop(session=session)
    world.run_until("contact open", within=5)
    world.run(0.2)
    world.show(2.0, 300.0)
    world.run(1)
    assert not world.settlements(), "nobody has seen that nothing flows any more"
    world.show(0.0, 0.0)
    assert world.settlement().meter_stop is not None


def test_a_meter_that_falls_silent_has_not_seen_a_current() -> None:
    world = World()
    session = world.charging()
    world.run(5)
    world.stop(session=session)
    silence(world, "A01")
    world.run(10)
    assert world.settlement().reason is StopReason.REMOTE


def test_a_session_is_settled_a_day_after_its_start_whatever_is_seen() -> None:
    world = World(port_plan(lease=None))
    session = world.charging()
    world.board.refuses = True
    world.contacts[A01].welded = True
    world.stop(session=session)
    world.run(60)
    assert not world.settlements()
    image = world.station._ports[A01].session.image  # noqa: SLF001 - a day of events takes minutes
    image.started_at = Instant(image.started_at - 86400.0 + 70.0)
    world.run(5)
    assert not world.settlements()
    world.run(10)
    assert world.settlement().reason is StopReason.REMOTE


def test_a_start_that_never_closed_is_answered_though_current_flows() -> None:
    world = World()
    world.ready()
    world.by_hand()
    world.start()
    for _ in range(2):
        world.run(0.5)
        world.show(1.0, 100.0, energy=5000.0)
    assert world.answers("start-1") == ["accepted ok", "failed relay_fault"]


def test_a_meter_fault_is_no_reading() -> None:
    world = World()
    session = world.charging()
    world.run(5)
    world.by_hand()
    world.stop(session=session)
    for _ in range(3):
        world.run(0.4)
        world.tell(MeterFault(port=A01, at=Instant(world.now), kind=FaultKind.TIMEOUT))
    assert not world.settlements()
