"""Commands about what there is already: new limits for a session, ports and circuits out of service."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from chargerd.core.commands import Answer, CloseRelay
from chargerd.core.events import (
    DisableRequested,
    EnableRequested,
    PersistFailed,
    UpdateRequested,
)
from chargerd.core.facts import PortDisabled, PortEnabled
from chargerd.core.moment import ClockQuality
from chargerd.core.plan import ChargeEnd, Limits, StationPlan
from chargerd.core.session import Order, Source, StopReason
from chargerd.core.units import Amps, CommandId, Instant, PortId, Seconds, SessionId, WattHours, Watts, between
from chargerd.core.view import PortState
from tests.core.plant import port_plan
from tests.core.sheds import HOLDER, SHED, SMOKE, SWITCH, all_charging, closed, rated, shed
from tests.core.world import World
from tests.scenarios.test_requests import (
    A01,
    WITH_SESSION,
    available,
    charging,
    opening,
    persisting,
    resuming,
    starting,
    stopping,
    suspended,
)

REMOTE = Source.REMOTE
GOING_ON = [situation for situation in WITH_SESSION if situation not in {stopping, opening}]
LOW = {"current": 3.0, "power": 500.0, "duration": 3600.0, "energy": 400.0}


def low(world: World) -> None:
    """Charge with limits below the port's own."""
    world.charging(current=3.0, power=500.0, duration=3600.0, energy=400.0)


def limited() -> World:
    """A session with limits below the port's own."""
    world = World()
    low(world)
    world.run(10)
    return world


def limits(world: World, port: str = "A01") -> Limits:
    session = world.view(port).session
    assert session is not None
    return session.order.limits


def change(world: World, name: str, figure: float) -> CommandId:
    """Ask for one other limit."""
    return world.update(**{name: figure})  # type: ignore[arg-type]  # by name


# New limits


@pytest.mark.parametrize("situation", GOING_ON)
def test_lower_limits_hold_at_once_in_every_state(situation: Callable[[], World]) -> None:
    world = situation()
    update = world.update(durable=False, power=400.0)
    assert world.answers(update) == ["done ok"]
    assert limits(world) == Limits(power=Watts(400.0))
    assert world.journal.records[SessionId("session-1")].order.limits.power == 400.0
    world.run(10)
    world.stop(force=True)
    world.run(10)
    assert world.settlement().record.order.limits.power == 400.0


@pytest.mark.parametrize("situation", GOING_ON)
def test_higher_limits_hold_once_they_are_durable_in_every_state(situation: Callable[[], World]) -> None:
    world = situation()
    world.update(durable=False, power=400.0, energy=300.0)
    world.journal.latency = 0.05
    update = world.update(power=900.0)
    assert world.answers(update) == ["accepted ok"]
    assert limits(world).power == 400.0, "not before the journal has them"
    world.run(0.1)
    assert world.answers(update) == ["accepted ok", "done ok"]
    assert limits(world) == Limits(power=Watts(900.0), energy=WattHours(300.0)), "what was not named stays"
    assert world.journal.records[SessionId("session-1")].order.limits.power == 900.0


def test_a_change_is_told_with_the_session_as_it_is_then() -> None:
    world = limited()
    told = world.count("updated")
    world.update(energy=100.0)
    assert world.count("updated") == told + 1
    world.update(energy=200.0)
    world.run_until("updated")
    world.update(energy=200.0)
    assert world.count("updated") == told + 2, "what changes nothing is not told"


def test_what_has_not_started_is_not_updated_either() -> None:
    world = starting()
    world.update(energy=100.0)
    world.tells_not("updated")
    world.run_until("started")
    assert world.journal.records[SessionId("session-1")].order.limits.energy == 100.0


def test_a_raise_whose_id_is_not_durable_does_nothing() -> None:
    world = limited()
    update = world.update(durable=False, power=800.0)
    world.run(5)
    assert world.answers(update) == []
    assert limits(world).power == 500.0


@pytest.mark.parametrize(
    ("name", "most"), [("current", 5.0), ("power", 1000.0), ("duration", 36000.0), ("energy", 600.0)]
)
def test_a_limit_may_be_raised_up_to_the_ports_own_and_is_not_clipped(name: str, most: float) -> None:
    world = World(port_plan(limits=Limits(energy=WattHours(600.0))))
    low(world)
    for above in (most * 1.001, float("nan"), float("inf")):
        assert world.answers(change(world, name, above)) == ["rejected limit_too_high"]
    assert getattr(limits(world), name) == LOW[name]
    update = change(world, name, most)
    world.run(1)
    assert world.answers(update) == ["accepted ok", "done ok"]
    assert getattr(limits(world), name) == most


@pytest.mark.parametrize("figure", [0.0, -1.0, float("nan")])
def test_a_limit_that_is_none_is_refused(figure: float) -> None:
    world = limited()
    assert world.answers(world.update(power=figure)) == ["rejected limit_too_high"]


def test_energy_that_has_flowed_already_ends_the_session() -> None:
    world = charging()
    world.run(100)
    update = world.update(durable=False, energy=5.0)
    assert world.answers(update) == ["done ok"]
    world.run(3)
    settled = world.settlement()
    assert settled.reason is StopReason.ENERGY_LIMIT
    assert settled.detail is not None
    assert settled.detail.limit == 5.0
    assert settled.record.energy > 5.0, "what was drawn is paid"
    assert world.state() is PortState.AVAILABLE


@pytest.mark.parametrize("situation", [charging, suspended])
def test_time_that_has_passed_already_ends_the_session(situation: Callable[[], World]) -> None:
    world = situation()
    began = world.elapsed
    world.update(durable=False, duration=5.0)
    assert world.state() is PortState.STOPPING
    world.run(4)
    settled = world.settlement()
    assert settled.reason is StopReason.DURATION_LIMIT
    assert settled.detail is not None
    assert (settled.detail.limit, settled.detail.unit) == (5.0, "s")
    assert between(Instant(began), settled.ended.instant) < 1000 + began


def test_a_suspended_session_whose_energy_is_used_up_does_not_return() -> None:
    world = World()
    world.charging()
    world.run(100)
    world.meters[A01].silent = True
    world.run_until("suspended meter_stale")
    world.run(1)
    world.update(durable=False, energy=5.0)
    world.run(4)
    assert world.settlement().reason is StopReason.ENERGY_LIMIT
    world.tells_not("resumed")


def test_what_was_drawn_before_a_lower_limit_is_no_fault() -> None:
    world = charging()
    world.by_hand()
    world.draw(4.0)
    world.show(4.0, 550.0)
    world.update(durable=False, current=2.0)
    world.run(0.2)
    world.show(None, 276.0)
    world.tells_not("tripped overcurrent_instant")
    world.show(2.0, 276.0)
    world.run(1)
    assert world.state() is PortState.CHARGING
    world.show(3.0, 414.0)
    world.tells("tripped overcurrent_instant")


def test_a_lower_limit_of_power_judges_what_comes() -> None:
    world = charging()
    world.by_hand()
    world.show(2.0, 700.0)
    world.update(durable=False, power=400.0)
    world.run(0.2)
    world.show(2.0, None)
    assert world.state() is PortState.CHARGING
    world.show(2.0, 600.0)
    assert world.state() is PortState.STOPPING
    world.tells("tripped overpower")


def test_a_lower_limit_does_not_begin_three_seconds_anew() -> None:
    world = charging()
    world.by_hand()
    for _ in range(5):
        world.show(5.6, 700.0)
        world.run(0.5)
    world.update(durable=False, current=4.9)
    world.show(5.6, 700.0)
    world.run(0.5)
    world.tells("tripped overcurrent_definite")


@pytest.mark.parametrize(("amps", "watts", "nearly"), [(2.3, 300.0, 2.7), (1.0, 450.0, 4.8)])
def test_a_higher_limit_lets_pass_what_was_too_much(amps: float, watts: float, nearly: float) -> None:
    world = World()
    world.charging(current=2.0, power=400.0)
    world.run(5)
    world.by_hand()
    world.show(amps, watts)
    for _ in range(3):
        world.run(nearly / 3)
        world.show(amps, watts)
    world.update(current=5.0, power=1000.0)
    world.run(1)
    assert world.state() is PortState.CHARGING
    world.show(amps, watts)
    assert world.state() is PortState.CHARGING


def test_two_changes_between_two_readings_are_no_fault_either() -> None:
    world = charging()
    world.by_hand()
    world.show(4.0, 550.0)
    world.update(durable=False, current=3.0)
    world.run(0.1)
    world.update(durable=False, current=2.0)
    world.run(0.1)
    world.show(None, 276.0)
    assert world.state() is PortState.CHARGING


def test_another_session_is_not_changed() -> None:
    world = limited()
    for name in ("session-9", None):
        assert world.answers(world.update(session=name, energy=1.0)) == ["rejected wrong_session"]
    assert world.answers(world.update(session="session-9", source=Source.LOCAL, energy=1.0)) == [
        "rejected wrong_session"
    ]
    assert world.answers(world.update(session=None, source=Source.LOCAL, energy=300.0)) == ["done ok"]
    assert limits(world).energy == 300.0


def test_where_nothing_is_under_way_there_are_no_limits_to_change() -> None:
    world = available()
    assert world.answers(world.update(power=1.0)) == ["rejected unknown_session"]
    assert world.answers(world.update("Z99", power=1.0)) == ["rejected unknown_port"]
    world = stopping()
    assert world.answers(world.update(power=1.0)) == ["rejected unknown_session"]
    assert world.answers(world.update(session="other", power=1.0)) == ["rejected wrong_session"]


def test_requests_without_a_command_are_carried_out_in_silence() -> None:
    world = limited()
    world.tell(UpdateRequested(port=A01, session=SessionId("session-1"), source=Source.LOCAL, power=Watts(400.0)))
    assert limits(world).power == 400.0
    world.tell(DisableRequested(port=A01, source=Source.LOCAL, reason="x"))
    world.tell(EnableRequested(port=A01, source=Source.LOCAL, reason="y"))
    assert [line.text for line in world.book if line.text.startswith("answer update")] == []


@pytest.mark.parametrize("situation", GOING_ON)
def test_a_journal_that_refuses_leaves_the_limits_as_they_are(situation: Callable[[], World]) -> None:
    world = situation()
    world.update(durable=False, power=400.0)
    world.journal.failing = True
    world.journal.latency = 0.05
    update = world.update(power=900.0)
    world.run(0.1)
    assert world.answers(update)[:2] == ["accepted ok", "failed store_unavailable"]
    if world.view().session is not None:
        assert limits(world).power == 400.0


def test_late_news_of_a_raise_moves_nothing() -> None:
    world = limited()
    world.journal.stuck = True
    update = world.update(power=900.0)
    world.stop(force=True)
    world.run(5)
    assert world.answers(update) == ["accepted ok", "failed failed"]
    world.tell(PersistFailed(port=A01, token=2))
    assert world.settlement().record.order.limits.power == 500.0


def test_a_lock_out_answers_a_raise_as_well() -> None:
    world = limited()
    world.journal.stuck = True
    update = world.update(power=900.0)
    world.contacts[A01].welded = True
    world.stop(force=True)
    world.run(30)
    assert world.answers(update) == ["accepted ok", "failed failed"]


def test_a_later_update_overtakes_a_raise_that_is_not_durable_yet() -> None:
    world = limited()
    world.journal.latency = 2.0
    first = world.update(power=900.0)
    second = world.update(power=800.0)
    third = world.update(durable=False, energy=100.0)
    assert world.answers(first) == ["accepted ok", "failed conflict"]
    assert world.answers(second) == ["accepted ok", "failed conflict"]
    assert world.answers(third) == ["done ok"]
    world.run(5)
    assert limits(world) == Limits(
        current=Amps(3.0), power=Watts(500.0), duration=Seconds(3600.0), energy=WattHours(100.0)
    )


def test_a_raise_must_fit_into_its_circuit() -> None:
    world = shed(2, **rated(10.0))
    world.charging("A01", current=4.0)
    world.charging("A02", current=4.5)
    world.run(2)
    assert world.answers(world.update("A01", current=5.0)) == ["rejected circuit_full"]
    world.update("A02", "session-2", durable=False, current=4.0)
    assert world.shed().allocated_currents[0] == pytest.approx(8.0), "the allocation follows"
    update = world.update("A01", current=5.0)
    world.run(2)
    assert world.answers(update) == ["accepted ok", "done ok"]
    assert world.shed().allocated_currents[0] == pytest.approx(9.0)


def test_a_raise_is_weighed_again_when_it_is_durable() -> None:
    world = shed(2, **rated(10.0))
    world.charging("A01", current=3.0)
    world.run(2)
    world.journal.latency = 1.0
    world.ready("A02")
    raised = world.update("A01", current=5.0)
    world.start("A02", current=5.0)
    world.run(5)
    assert world.answers(raised) == ["accepted ok", "failed circuit_full"]
    assert limits(world).current == 3.0


def test_time_may_be_given_though_the_circuit_is_full() -> None:
    world = shed(2, **rated(10.0))
    world.charging("A01", current=4.0, duration=600.0)
    world.charging("A02", current=5.0)
    update = world.update("A01", duration=3600.0)
    world.run(1)
    assert world.answers(update) == ["accepted ok", "done ok"]


def test_a_start_that_waits_may_ask_for_less_and_begins() -> None:
    world = shed(2, queue_for=3600.0, **rated(10.0))
    world.charging("A01", current=5.0)
    world.ready("A02")
    world.start("A02", current=5.0)
    world.run(2)
    assert world.state("A02") is PortState.QUEUED
    too_much = world.update("A02", "session-2", current=5.0, power=900.0)
    assert world.answers(too_much) == ["done ok"]
    world.update("A02", "session-2", durable=False, current=3.0)
    world.run_until("state charging")
    assert limits(world, "A02").current == 3.0


def test_a_start_that_waits_keeps_its_place_and_never_asks_for_more_than_there_can_be() -> None:
    world = shed(2, queue_for=3600.0, **rated(5.0))
    world.charging("A01", current=4.0)
    world.run(10)
    world.start("A02", current=3.0)
    world.run(2)
    assert world.state("A02") is PortState.QUEUED
    assert world.answers(world.update("A02", "session-2", current=4.9)) == ["rejected circuit_full"]
    update = world.update("A02", "session-2", current=4.0)
    world.run(1)
    assert world.answers(update) == ["accepted ok", "done ok"]
    assert world.view("A02").queue_position == 1
    world.journal.failing = True
    failed = world.update("A02", "session-2", current=4.2)
    world.run(1)
    assert world.answers(failed) == ["accepted ok", "failed store_unavailable"]


def resuming_world() -> World:
    """A site whose sessions go on after an outage."""
    return World(site=StationPlan(ports=(port_plan(),), resume_window=Seconds(1800.0)))


def interrupted() -> World:
    """A session that a crash has interrupted, and whose outage is not proved to have been short yet."""
    world = resuming_world()
    world.charging()
    world.run(130)
    world.time_from = ClockQuality.NONE
    world.boot = 2
    world.restart()
    world.run(1)
    assert world.state() is PortState.SUSPENDED
    return world


def test_a_session_that_waits_for_the_proof_of_its_outage_takes_new_limits() -> None:
    world = interrupted()
    world.update(durable=False, power=400.0)
    update = world.update(power=800.0)
    world.run(1)
    assert world.answers(update) == ["accepted ok", "done ok"]
    kept = world.journal.records[SessionId("session-1")]
    assert kept.order.limits.power == 800.0
    assert kept.at.boot == 1, "the record is as old as it was"
    world.update(durable=False, energy=1.0)
    world.run(1)
    assert world.settlement().reason is StopReason.ENERGY_LIMIT
    assert world.settlement().record.order.limits == Limits(power=Watts(800.0), energy=WattHours(1.0))


def test_new_limits_hold_after_a_crash() -> None:
    world = resuming_world()
    world.charging(energy=400.0)
    world.run(30)
    raised = world.update(energy=500.0)
    world.update(durable=False, power=700.0)
    assert world.answers(raised) == ["accepted ok", "failed conflict"]
    raised = world.update(energy=500.0)
    world.run(0.2)
    assert world.answers(raised) == ["accepted ok", "done ok"]
    world.restart()
    world.run_until("resumed")
    assert limits(world) == Limits(power=Watts(700.0), energy=WattHours(500.0))


@pytest.mark.parametrize("later", [{"energy": 400.0}, {"energy": 300.0}, {"power": 900.0}])
def test_a_raise_that_was_overtaken_does_not_come_back_after_a_crash(later: dict[str, float]) -> None:
    world = resuming_world()
    world.charging(energy=400.0, power=800.0)
    world.run(30)
    raised = world.update(energy=500.0)
    second = world.update(**later)  # type: ignore[arg-type]  # by name
    assert world.answers(raised) == ["accepted ok", "failed conflict"]
    world.run(0.2)
    assert world.answers(second)[-1] == "done ok"
    world.restart()
    world.run_until("resumed")
    assert limits(world).energy == later.get("energy", 400.0)


def test_a_raise_that_found_no_room_does_not_come_back_after_a_crash() -> None:
    world = shed(2, **rated(10.0))
    world.charging("A01", current=3.0)
    world.run(2)
    world.journal.latency = 1.0
    world.ready("A02")
    raised = world.update("A01", current=5.0)
    world.start("A02", current=5.0)
    world.run(5)
    assert world.answers(raised) == ["accepted ok", "failed circuit_full"]
    assert world.journal.records[SessionId("session-1")].order.limits.current == 3.0


def test_a_raise_in_the_turn_in_which_its_session_ends_does_not_bring_it_back() -> None:
    world = shed(queue_for=10, **rated(6.0))
    world.charging("A01")
    world.start("A02", current=2.0)
    raised = UpdateRequested(
        port=PortId("A02"),
        session=SessionId("session-2"),
        source=REMOTE,
        command=CommandId("c"),
        current=Amps(3.0),
    )
    world.tell(raised)
    world.run(9.9)
    world.wake_late = 1.0
    world.run(0.3)
    assert world.state("A02") is PortState.QUEUED, "nobody was woken when its time was over"
    world.tell(replace(raised, durable=True))
    world.run(1)
    assert world.answers("c") == ["accepted ok", "failed failed"]
    assert [settled.reason for settled in world.settlements()] == [StopReason.QUEUE_TIMEOUT]
    assert SessionId("session-2") not in world.journal.records, "a crash would have it settled once more"


def test_a_session_does_not_come_back_after_an_outage_on_a_port_that_is_disabled() -> None:
    world = resuming_world()
    world.charging()
    world.run(30)
    world.disable(source=Source.LOCAL, reason="terminal being replaced")
    world.restart()
    world.run(30)
    world.tells_not("resumed")
    assert world.settlement().reason is StopReason.POWER_LOSS
    assert world.state() is PortState.DISABLED


# Out of service


def test_a_disabled_port_takes_no_start_until_it_is_enabled() -> None:
    world = available()
    disable = world.disable()
    assert world.answers(disable) == ["done ok"]
    assert world.state() is PortState.DISABLED
    assert [code.value for code in world.view().blocked_by] == ["disabled"]
    world.start()
    assert world.answers("start-1") == ["rejected disabled"]
    assert world.answers(world.enable()) == ["done ok"]
    assert world.state() is PortState.AVAILABLE
    world.start()
    world.run_until("state charging")
    told = [fact for _, fact in world.facts if isinstance(fact, PortDisabled | PortEnabled)]
    assert [(fact.port, fact.reason) for fact in told] == [("A01", "recall"), ("A01", "mended")]


@pytest.mark.parametrize("situation", [one for one in GOING_ON if one not in {starting, persisting}])
def test_a_session_under_way_goes_on_and_the_port_is_disabled_afterwards(situation: Callable[[], World]) -> None:
    world = situation()
    state = world.state()
    assert world.answers(world.disable()) == ["done ok"]
    assert world.state() is state
    assert world.view().disabled is not None
    assert [code.value for code in world.view().blocked_by][:2] == ["busy", "disabled"]
    world.by_itself()
    world.run(20)
    assert world.state() is PortState.CHARGING
    world.stop(force=True)
    world.run(5)
    assert world.state() is PortState.DISABLED
    world.start()
    assert world.answers("start-2") == ["rejected disabled"]


@pytest.mark.parametrize("situation", WITH_SESSION)
def test_enabling_again_while_a_session_is_under_way(situation: Callable[[], World]) -> None:
    world = situation()
    world.disable()
    world.enable()
    world.by_itself()
    world.stop(force=True)
    world.run(10)
    assert world.state() is PortState.AVAILABLE


@pytest.mark.parametrize(("source", "reason"), [(Source.REMOTE, "remote"), (Source.LOCAL, "local")])
def test_a_start_that_waits_for_its_circuit_is_withdrawn(source: Source, reason: str) -> None:
    world = shed(2, queue_for=3600.0, **rated(10.0))
    world.charging("A01", current=5.0)
    world.ready("A02")
    world.start("A02", current=5.0)
    world.run(1)
    assert world.state("A02") is PortState.QUEUED
    world.disable(HOLDER, source=source)
    assert world.answers("start-2") == ["accepted ok", "failed disabled"]
    assert world.state("A02") is PortState.DISABLED
    assert world.state("A01") is PortState.CHARGING
    assert world.settlement().reason.value == reason
    assert not world.shed().queue


def awaiting_its_turn() -> World:
    """A start that is durable, a second behind that of the port beside it."""
    world = shed(2)
    world.ready("A01")
    world.ready("A02")
    world.start("A02")
    world.start("A01")
    while not closed(world):
        world.run(0.05)
    world.run(0.3)
    return world


def awaiting_power() -> World:
    """A start that is durable, and whose contactor has not closed yet."""
    world = shed(1, contactor=SWITCH)
    world.ready("A01")
    world.io.refuses = True
    world.start("A01")
    world.run(1.5)
    return world


BEFORE_CLOSING = {
    "readings": starting,
    "persist": persisting,
    "turn": awaiting_its_turn,
    "power": awaiting_power,
}


@pytest.mark.parametrize(
    ("step", "holder"), [*((step, A01) for step in BEFORE_CLOSING), ("turn", HOLDER), ("power", HOLDER)]
)
def test_no_relay_closes_for_a_start_once_its_port_is_disabled(step: str, holder: str) -> None:
    world = BEFORE_CLOSING[step]()
    assert world.state() is PortState.STARTING
    record = world.view().session
    assert record is not None
    assert world.answers(world.disable(holder)) == ["done ok"]
    assert record.order.command is not None
    assert world.answers(record.order.command) == ["accepted ok", "failed disabled"]
    world.io.refuses = False
    world.run(10)
    assert not [c for _, c in world.commands if isinstance(c, CloseRelay) and c.port == A01]
    assert world.state() is PortState.DISABLED
    (settled,) = [one for one in world.settlements() if one.record.order.port == "A01"]
    assert (settled.reason, settled.record.energy) == (StopReason.REMOTE, 0.0)
    world.enable(holder)
    world.charging()


def test_a_session_that_comes_back_from_a_suspension_goes_on_though_its_port_is_disabled() -> None:
    world = resuming()
    world.disable()
    world.run(10)
    assert world.state() is PortState.CHARGING


def test_a_circuit_takes_every_port_below_with_it() -> None:
    world = shed(3)
    world.charging("A01")
    world.ready("A02")
    disable = world.disable(HOLDER)
    assert world.answers(disable) == ["done ok"]
    assert [world.state(port) for port in ("A01", "A02")] == [PortState.CHARGING, PortState.DISABLED]
    disabled = world.shed().disabled
    assert disabled is not None
    assert world.view("A02").disabled == disabled
    told = next(fact for _, fact in world.facts if isinstance(fact, PortDisabled))
    assert told.circuit == SHED
    world.disable("A02")
    world.enable(HOLDER)
    assert world.state("A02") is PortState.DISABLED, "by its own"
    assert world.state("A03") is PortState.AVAILABLE
    world.enable("A02")
    assert world.state("A02") is PortState.AVAILABLE


@pytest.mark.parametrize("port", ["Z99", "circuit/nowhere"])
def test_what_there_is_not_cannot_be_disabled(port: str) -> None:
    world = available()
    assert world.answers(world.disable(port)) == ["rejected unknown_port"]
    assert world.answers(world.enable(port)) == ["rejected unknown_port"]
    world.tell(EnableRequested(port=PortId(port), source=Source.LOCAL, reason="why"))
    assert not world.journal.disabled


def test_it_survives_a_restart() -> None:
    world = shed(2)
    world.ready("A02")
    world.disable("A01", source=Source.LOCAL, reason="terminal being replaced")
    world.disable(HOLDER)
    world.enable(HOLDER)
    world.restart()
    world.run(10)
    assert world.state("A01") is PortState.DISABLED
    disabled = world.view("A01").disabled
    assert disabled is not None
    assert disabled.reason == "terminal being replaced"
    world.ready("A02")
    world.start("A01")
    assert world.answers("start-1") == ["rejected disabled"]


def test_what_was_disabled_on_site_is_enabled_on_site_only() -> None:
    world = available()
    world.disable(source=Source.LOCAL, reason="working here")
    assert world.answers(world.enable()) == ["rejected not_allowed"]
    assert world.answers(world.disable()) == ["done ok"], "it is, though not by this"
    assert world.answers(world.enable()) == ["rejected not_allowed"]
    assert world.state() is PortState.DISABLED
    assert world.answers(world.enable(source=Source.LOCAL)) == ["done ok"]
    assert world.state() is PortState.AVAILABLE


def test_the_site_may_take_over_and_give_back_what_was_disabled_from_afar() -> None:
    world = available()
    world.disable()
    assert world.answers(world.disable()) == ["done ok"]
    assert world.count("port disabled") == 1, "the same again is not told"
    world.disable(source=Source.LOCAL, reason="working here")
    assert world.count("port disabled") == 2
    assert world.answers(world.enable()) == ["rejected not_allowed"]
    world.enable(source=Source.LOCAL)
    assert world.answers(world.enable()) == ["done ok"], "there is nothing left to enable"
    assert world.count("port enabled") == 1


def test_a_disabled_port_is_watched_all_the_same() -> None:
    world = charging()
    world.disable()
    world.contacts[A01].welded = True
    world.stop(force=True)
    world.run(60)
    assert world.state() is PortState.LOCKED_OUT
    world.enable()
    assert world.state() is PortState.LOCKED_OUT, "to enable clears no latch"


def test_current_through_the_open_relay_of_a_disabled_port_locks_it_out() -> None:
    world = available()
    world.disable()
    world.run(10)
    world.by_hand()
    for _ in range(4):
        world.show(1.0, 200.0)
        world.run(0.5)
    world.tells("state disabled", "locked out relay_welded")


def test_a_latch_is_shown_before_the_disabling_and_cleared_beneath_it() -> None:
    world = charging()
    world.disable()
    world.by_hand()
    world.show(9.0, 900.0)
    world.by_itself()
    world.draw(0.0, 0.0)
    world.run(5)
    assert world.state() is PortState.TRIPPED
    world.reset()
    assert world.state() is PortState.DISABLED


def test_a_ghost_on_a_disabled_port_is_opened_and_the_second_one_locks_it_out() -> None:
    world = available()
    world.disable()
    world.run(5)
    for _ in range(2):
        world.set_contact(A01, closed=True, by="ghost")
        world.run(5)
    world.tells("state disabled", "relay unexpected", "relay unexpected", "locked out relay_unexpected")


def test_a_relay_of_a_disabled_port_that_will_not_open_locks_it_out() -> None:
    world = available()
    world.disable()
    world.run(5)
    world.draw(0.0, 0.0)
    world.set_contact(A01, closed=True, by="ghost")
    world.contacts[A01].welded = True
    world.run(30)
    world.tells("state disabled", "locked out relay_will_not_open", "state locked_out")


def test_a_relay_found_closed_and_welded_when_its_board_is_back_locks_its_port_out() -> None:
    for disabled in (False, True):
        world = available()
        if disabled:
            world.disable()
        back_from_silence(world, welded=True)
        world.tells("open", "open", "open", "locked out relay_will_not_open", "state locked_out")
        assert not world.count("relay unexpected"), "its board is told to open at once, and not looked at first"


def test_a_relay_found_closed_when_its_board_is_back_is_opened() -> None:
    for state in (PortState.AVAILABLE, PortState.DISABLED):
        world = available()
        if state is PortState.DISABLED:
            world.disable()
        back_from_silence(world, welded=False)
        assert world.state() is state
        assert not world.contacts[A01].closed


def back_from_silence(world: World, *, welded: bool) -> None:
    """Let the board fall silent, the relay close by itself meanwhile, and the board be back."""
    world.draw(0.0, 0.0)
    world.board.silent = True
    world.run(10)
    world.set_contact(A01, closed=True, by="ghost")
    world.contacts[A01].welded = welded
    world.board.silent = False
    world.run(30)


def test_a_disabled_port_whose_board_falls_silent_is_opened_when_it_speaks_again() -> None:
    world = available()
    world.disable()
    world.run(5)
    world.draw(0.0, 0.0)
    world.set_contact(A01, closed=True, by="ghost")
    world.run_until("relay unexpected")
    world.board.silent = True
    world.run(10)
    world.board.silent = False
    world.run(10)
    assert world.state() is PortState.DISABLED
    assert not world.contacts[A01].closed


def test_smoke_and_a_lost_input_board_on_disabled_ports() -> None:
    world = shed(2, inputs=(SMOKE,))
    world.ready("A02")
    world.disable(HOLDER)
    world.io.silent = True
    world.run(10)
    assert world.state("A01") is PortState.DISABLED
    world.io.silent = False
    world.run(5)
    world.danger.add("smoke-1")
    world.run(2)
    assert world.state("A01") is PortState.TRIPPED
    world.enable(HOLDER)
    assert world.state("A01") is PortState.TRIPPED


def test_a_port_that_is_held_open_shows_that_first() -> None:
    for hold in (tripped, locked_out, unknown):
        world = hold()
        state = world.state()
        assert world.answers(world.update(power=1.0)) == ["rejected unknown_session"]
        world.disable()
        assert world.state() is state
        assert "disabled" in [code.value for code in world.view().blocked_by]
        world.enable()
        assert world.state() is state
        assert "disabled" not in [code.value for code in world.view().blocked_by]


def tripped() -> World:
    world = charging()
    world.by_hand()
    world.show(9.0, 900.0)
    world.by_itself()
    world.draw(0.0, 0.0)
    world.run(5)
    return world


def locked_out() -> World:
    world = charging()
    world.contacts[A01].welded = True
    world.stop(force=True)
    world.draw(0.0, 0.0)
    world.run(60)
    world.settlement()  # Raises if there is none: a session that is not settled yet may show as locked out, too.
    return world


def unknown() -> World:
    world = World(begin=False)
    world.board.silent = True
    world.begin()
    world.run(1)
    return world


def test_a_disabled_port_has_nothing_to_reset() -> None:
    world = available()
    world.disable()
    assert world.answers(world.reset()) == ["done ok"]
    assert world.state() is PortState.DISABLED


def test_leaving_and_being_disabled() -> None:
    world = available()
    world.disable()
    assert world.answers(world.stop(session="session-1")) == ["rejected unknown_session"]
    assert world.answers(world.update(power=1.0)) == ["rejected unknown_session"]
    world.shut_down()
    world.run(5)
    assert world.station.idle()


# Starts


@pytest.mark.parametrize(("full_stop", "reason"), [(True, "full"), (False, "duration_limit")])
def test_a_port_may_stay_on_when_the_charge_is_full(reason: str, *, full_stop: bool) -> None:
    world = World(port_plan(charge_end=ChargeEnd(full_after=Seconds(60.0))))
    world.ready()
    order = Order(session=SessionId("s"), port=A01, limits=Limits(duration=Seconds(600.0)), full_stop=full_stop)
    world.order(order)
    world.run(60)
    world.draw(0.6, 100.0)
    world.run(170)
    world.draw(0.1, 6.0)
    world.run(420)
    assert world.settlement().reason.value == reason


@pytest.mark.parametrize("reason", ["remote", "local", "duration_limit"])
def test_a_start_that_found_no_load_says_so_whoever_ended_it(reason: str) -> None:
    world = World()
    world.draw(0.0, 0.0)
    world.charging()
    world.run(30)
    if reason == "duration_limit":
        world.update(durable=False, duration=20.0)
    else:
        world.stop(source=Source(reason), force=True)
    world.run(5)
    assert world.settlement().reason.value == reason
    assert world.answers("start-1") == ["accepted ok", "failed no_load"]


def test_a_start_that_was_stopped_before_its_relay_closed_found_nothing_out() -> None:
    world = starting()
    world.stop(force=True)
    world.run(5)
    assert world.answers("start-1") == ["accepted ok", "failed failed"]


def test_several_ports_and_one_raise() -> None:
    world = shed(2)
    all_charging(world, "A01", "A02")
    world.update("A02", "session-2", durable=False, current=2.0)
    world.update("A02", "session-2", current=3.0)
    world.run(1)
    assert (limits(world, "A01").current, limits(world, "A02").current) == (5.0, 3.0)


def test_a_reset_says_whether_anything_was_held() -> None:
    world = shed()
    world.ready()

    def said(command: CommandId) -> list[str]:
        return [told.message for _, told in world.commands if isinstance(told, Answer) and told.command == command]

    assert said(world.reset()) == said(world.reset(HOLDER)) == ["nothing was held"]
    world.charging()
    world.draw(9.0, 900.0)
    world.run_until("state tripped")
    assert said(world.reset()) == [""]
