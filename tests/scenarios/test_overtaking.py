"""What comes after a command that is not durable yet applies to it: nobody is switched on behind a stop's back."""

from dataclasses import replace
from typing import Any

import pytest

from chargerd.core.commands import Answer
from chargerd.core.events import (
    EnableRequested,
    RequestDropped,
    RequestHeard,
    ResetRequested,
    StartRequested,
    StopRequested,
    UpdateRequested,
)
from chargerd.core.plan import Limits
from chargerd.core.session import Clearing, Latch, Source
from chargerd.core.units import CommandId, PortId, SessionId, Watts
from chargerd.core.view import PortState
from tests.core.sheds import HOLDER, SMOKE, SWITCH, rated, shed
from tests.core.world import World
from tests.scenarios.test_requests import A01, available, charging

LOCAL, REMOTE = Source.LOCAL, Source.REMOTE
OVERLOAD = Latch(port=A01, function="overcurrent_instant", clearing=Clearing.REMOTE)


def comes_to_nothing(world: World, request: StartRequested, code: str) -> None:
    """Assert that a start whose id is durable at last is refused, and closes nothing."""
    port, command = request.port, request.order.command
    assert command is not None
    world.ready(port)
    world.tell(request)
    world.run(10)
    assert world.answers(command) == [f"rejected {code}"]
    assert world.state(port) is PortState.AVAILABLE
    world.tells_not("close", port=port)


def last_words(world: World, *commands: str) -> list[str]:
    """Return which of these commands were answered, in that order."""
    return [it.command for _, it in world.commands if isinstance(it, Answer) and it.command in commands]


@pytest.mark.parametrize(
    ("stop", "source"), [({"session": "session-1"}, REMOTE), ({"force": True}, REMOTE), ({}, LOCAL)]
)
def test_a_stop_applies_to_a_start_on_its_way(stop: dict[str, object], source: Source) -> None:
    world = available()
    start = world.hear_start()
    stopped = world.stop(source=source, **stop)  # type: ignore[arg-type]  # by name
    assert world.answers(stopped) == ["accepted ok"]
    world.run(30)
    comes_to_nothing(world, start, "conflict")
    assert world.answers(stopped) == ["accepted ok", "done ok"]
    assert last_words(world, "start-1", stopped) == [stopped, "start-1", stopped], "the start's last word first"
    assert world.messages("start-1") == ["overtaken by a stop"]


def test_a_start_nobody_stops_begins_when_it_is_durable() -> None:
    world = available()
    start = world.hear_start()
    world.run(5)
    world.tells_not("answer start accepted ok")
    world.tell(start)
    world.run_until("state charging")
    stopped = world.stop(session="session-1")
    world.run(5)
    assert world.answers(stopped) == ["accepted ok", "done ok"]


def test_a_start_that_is_dropped_leaves_nothing_behind() -> None:
    world = available()
    start = world.hear_start()
    stopped = world.stop(session="session-1")
    world.tell(RequestDropped(request=start))
    assert world.answers(stopped) == ["accepted ok", "done ok"], "it will never be carried out"
    world.tell(RequestDropped(request=start))
    assert world.answers(world.stop(session="session-1")) == ["rejected unknown_session"]
    world.start()
    world.run_until("state charging")


def test_a_stop_from_afar_must_name_a_start_on_its_way_or_insist() -> None:
    world = available()
    start = world.hear_start()
    assert world.answers(world.stop()) == ["rejected not_allowed"]
    assert world.answers(world.stop(session="another")) == ["rejected unknown_session"]
    world.tell(StopRequested(port=PortId("A09"), session=SessionId("session-1"), source=REMOTE))
    world.tell(start)
    world.run_until("state charging")


def test_a_stop_without_an_id_stops_all_the_same() -> None:
    world = available()
    start = world.hear_start()
    world.tell(StopRequested(port=A01, session=None, source=LOCAL))
    comes_to_nothing(world, start, "conflict")


def test_a_stop_of_the_session_under_way_is_answered_by_it_and_applies_to_what_is_on_its_way() -> None:
    world = charging()
    start = world.hear_start()
    assert world.answers(world.stop()) == ["rejected not_allowed"]
    stopped = world.stop(force=True)
    world.run(5)
    assert world.answers(stopped) == ["accepted ok", "done ok"]
    assert world.settlement().reason.value == "remote"
    world.book.clear()
    comes_to_nothing(world, start, "conflict")


def test_a_stop_of_the_next_start_does_not_touch_the_session_under_way() -> None:
    world = charging()
    start = world.hear_start()
    stopped = world.stop(session="session-2")
    assert world.answers(stopped) == ["accepted ok"]
    world.run(5)
    assert world.state() is PortState.CHARGING
    world.tell(start)
    assert world.answers(stopped) == ["accepted ok", "done ok"]
    assert world.answers("start-2") == ["rejected conflict"]


def test_of_two_starts_on_their_way_a_stop_means_both_and_is_done_after_both() -> None:
    world = available()
    first, second = world.hear_start(), world.hear_start()
    stopped = world.stop(force=True)
    world.tell(first)
    assert world.answers(stopped) == ["accepted ok"]
    world.tell(second)
    assert world.answers(stopped) == ["accepted ok", "done ok"]
    assert [world.answers(f"start-{number}") for number in (1, 2)] == [["rejected conflict"]] * 2


def test_the_next_start_is_not_barred_by_what_overtook_the_last() -> None:
    world = available()
    start = world.hear_start()
    world.stop(force=True)
    world.tell(start)
    world.start()
    world.run_until("state charging")


# Disabling, and what trips


@pytest.mark.parametrize("holder", ["A01", HOLDER])
def test_a_disabling_applies_to_a_start_on_its_way_though_it_is_undone_by_then(holder: str) -> None:
    world = shed(2)
    world.ready()
    start, other = world.hear_start(), world.hear_start("A02")
    world.disable(holder)
    world.enable(holder)
    comes_to_nothing(world, start, "disabled")
    world.tell(other)
    assert world.answers("start-2")[0] == ("accepted ok" if holder == "A01" else "rejected disabled")


def test_it_need_not_be_news() -> None:
    world = available()
    world.disable(source=LOCAL)
    start = world.hear_start()
    world.disable()
    world.enable(source=LOCAL)
    comes_to_nothing(world, start, "disabled")


@pytest.mark.parametrize("source", [LOCAL, REMOTE])
def test_a_disabling_is_not_undone_by_an_enabling_from_before_it(source: Source) -> None:
    world = available()
    world.disable(source=LOCAL)
    enable = EnableRequested(port=A01, source=LOCAL, reason="mended", command=CommandId("enable"))
    world.tell(RequestHeard(request=enable))
    world.disable(source=source)
    world.tell(enable)
    assert world.answers("enable") == ["rejected conflict"]
    assert world.state() is PortState.DISABLED
    again = replace(enable, command=CommandId("again"))
    world.tell(RequestHeard(request=again))
    world.disable(HOLDER)
    world.tell(again)
    assert world.answers("again") == ["done ok"]


def test_an_emergency_applies_to_a_start_on_its_way_though_it_is_over_by_then() -> None:
    world = shed(2, inputs=(SMOKE,))
    world.ready()
    start = world.hear_start()
    world.danger.add(SMOKE.id)
    world.run(1)
    world.danger.clear()
    world.run(1)
    world.reset(HOLDER, source=LOCAL)
    comes_to_nothing(world, start, "latched")
    assert world.messages("start-1") == ["smoke came after it was sent"]


def test_so_does_a_lock_out() -> None:
    world = available()
    start = world.hear_start()
    world.set_contact(A01, closed=True, by="ghost")
    world.run(5)
    world.set_contact(A01, closed=True, by="ghost")
    world.run_until("locked out relay_unexpected")
    world.run(5)
    world.reset(source=LOCAL, reason="looked at it")
    comes_to_nothing(world, start, "locked_out")


def test_and_a_relay_out_of_control_beside_it() -> None:
    world = shed(2, contactor=SWITCH)
    world.charging("A01")
    world.ready("A02")
    start = world.hear_start("A02")
    world.contacts[A01].welded = True
    world.stop("A01", force=True)
    world.run(10)
    world.tells("locked out relay_will_not_open")
    world.contacts[A01].welded = False
    world.set_contact(A01, closed=False, by="freed")
    world.run(10)
    assert world.answers(world.reset("A01", source=LOCAL, reason="replaced")) == ["done ok"]
    comes_to_nothing(world, start, "locked_out")


def test_a_trip_beside_it_does_not() -> None:
    world = shed(2)
    world.charging("A01")
    world.ready("A02")
    start = world.hear_start("A02")
    world.draw(16.0, port="A01")
    world.run(2)
    world.tells("tripped overcurrent_instant")
    world.tell(start)
    world.run_until("state charging")


@pytest.mark.parametrize("clearing", list(Clearing))
def test_a_reset_clears_nothing_that_came_after_it(clearing: Clearing) -> None:
    world = World(latches=(replace(OVERLOAD, function="overcurrent_thermal", clearing=clearing),))
    world.run(5)
    reset = ResetRequested(port=A01, source=LOCAL, reason="looked at it", command=CommandId("reset"))
    world.tell(RequestHeard(request=reset))
    world.set_contact(A01, closed=True, by="ghost")
    world.run(5)
    world.set_contact(A01, closed=True, by="ghost")
    world.run_until("locked out relay_unexpected")
    world.tell(reset)
    assert world.answers("reset") == ["rejected locked_out"]
    assert world.messages("reset") == ["relay_unexpected came after it was sent"]
    assert len(world.view().latches) == 2


def test_a_reset_that_nothing_overtakes_clears_what_it_was_about() -> None:
    world = World(latches=(OVERLOAD,))
    world.run(5)
    reset = ResetRequested(port=A01, source=REMOTE, command=CommandId("reset"))
    world.tell(RequestHeard(request=reset))
    world.disable()
    world.tell(reset)
    assert world.answers("reset") == ["done ok"]
    assert world.state() is PortState.DISABLED


# Other limits


def update(world: World, number: str, *, durable: bool = False, **changes: Any) -> list[str]:
    """Ask for other limits of session-1 once, and return how that is answered."""
    event = UpdateRequested(
        port=A01,
        session=SessionId("session-1"),
        source=REMOTE,
        command=CommandId(number),
        durable=durable,
    )
    world.tell(replace(event, **changes))
    return world.answers(number)


def in_force(world: World) -> Limits:
    session = world.view().session
    assert session is not None
    return session.order.limits


@pytest.mark.parametrize("unnamed", [False, True])
def test_lower_limits_become_those_of_a_start_on_its_way(*, unnamed: bool) -> None:
    world = available()
    start = world.hear_start(power=800.0)
    named: dict[str, Any] = {"session": None, "source": LOCAL} if unnamed else {}
    assert update(world, "lower", power=Watts(300.0), **named) == ["done ok"]
    assert update(world, "raise", power=Watts(900.0)) == []
    world.tell(start)
    world.run_until("state charging")
    assert in_force(world).power == 300.0
    assert update(world, "raise", power=Watts(900.0), durable=True) == ["accepted ok"]
    world.run(1)
    assert in_force(world).power == 900.0, "its id became durable after the start's"


def test_a_raise_that_is_durable_before_its_start_holds_from_the_beginning() -> None:
    world = available()
    start = world.hear_start(power=300.0)
    assert update(world, "raise", power=Watts(900.0)) == []
    assert update(world, "raise", power=Watts(900.0), durable=True) == ["done ok"]
    world.tell(start)
    world.run_until("state charging")
    assert in_force(world).power == 900.0


def test_a_start_on_its_way_is_given_no_more_than_the_port_allows() -> None:
    world = available()
    start = world.hear_start(power=300.0)
    assert update(world, "much", power=Watts(1001.0), durable=True) == ["rejected limit_too_high"]
    assert update(world, "other", power=Watts(200.0), session=SessionId("another")) == ["rejected unknown_session"]
    assert update(world, "unnamed", power=Watts(200.0), session=None) == ["rejected unknown_session"]
    world.stop(force=True)
    assert update(world, "late", power=Watts(200.0)) == ["rejected unknown_session"]
    comes_to_nothing(world, start, "conflict")


def test_new_limits_of_the_session_under_way_are_not_those_of_the_next() -> None:
    world = charging()
    start = world.hear_start(power=800.0)
    assert update(world, "lower", power=Watts(400.0)) == ["done ok"]
    assert update(world, "next", power=Watts(300.0), session=SessionId("session-2")) == ["done ok"]
    assert in_force(world).power == 400.0
    world.stop(session="session-1")
    world.run(5)
    world.tell(start)
    world.run_until("state charging")
    assert in_force(world).power == 300.0


def test_a_start_that_has_to_queue_keeps_what_was_heard_of_its_limits() -> None:
    world = shed(2, queue_for=3600.0, **rated(10.0))
    world.charging("A02", current=5.0)
    world.ready()
    start = world.hear_start(current=4.5, power=500.0)
    assert start.order.session == "session-2"
    named: dict[str, Any] = {"session": SessionId("session-2"), "power": Watts(900.0)}
    assert update(world, "raise", **named) == []
    world.tell(start)
    assert world.state() is PortState.QUEUED
    assert update(world, "raise", durable=True, **named) == ["accepted ok"]
    world.run(1)
    assert in_force(world).power == 900.0
    stopped = world.stop(session="session-2")
    world.run(1)
    assert world.answers(stopped) == ["accepted ok", "done ok"], "a start still queued is stopped as well"
    assert world.answers("start-2") == ["accepted ok", "failed failed"]
    assert not world.shed().queue


@pytest.mark.parametrize("heard_with_the_start", [False, True])
def test_a_lower_limit_is_not_undone_by_a_raise_from_before_it(*, heard_with_the_start: bool) -> None:
    world = available()
    start = world.hear_start(power=500.0)
    if not heard_with_the_start:
        world.tell(start)
        world.run_until("state charging")
    assert update(world, "raise", power=Watts(900.0)) == []
    assert update(world, "lower", power=Watts(400.0)) == ["done ok"]
    assert update(world, "raise", power=Watts(900.0), durable=True) == ["rejected conflict"]
    if heard_with_the_start:
        world.tell(start)
        world.run_until("state charging")
    assert in_force(world).power == 400.0


def test_of_two_raises_on_their_way_the_later_counts() -> None:
    world = available()
    world.charging(power=500.0)
    assert update(world, "high", power=Watts(900.0)) == []
    assert update(world, "middle", power=Watts(700.0)) == []
    assert update(world, "high", power=Watts(900.0), durable=True) == ["rejected conflict"]
    assert update(world, "middle", power=Watts(700.0), durable=True) == ["accepted ok"]
    world.run(1)
    assert in_force(world).power == 700.0


def test_a_raise_of_whatever_is_under_way_does_not_raise_the_next_customers_limits() -> None:
    world = available()
    world.charging(power=500.0)
    unnamed: dict[str, Any] = {"session": None, "source": LOCAL, "power": Watts(900.0)}
    assert update(world, "raise", **unnamed) == []
    world.stop(source=LOCAL)
    world.run(5)
    world.charging(power=400.0)
    assert update(world, "raise", durable=True, **unnamed) == ["rejected conflict"]
    assert in_force(world).power == 400.0
